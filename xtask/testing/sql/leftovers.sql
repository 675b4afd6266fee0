-- What runs that have ended left behind, and takes the lock of each. $1 is the oldest template that is still of use.
--
-- A test database belongs to the session that holds its lock; if nobody does, its owner is gone. One that was kept has a
-- comment that says until when.
with ended as materialized (
  select datname::text as name
  from pg_database
  where datdba = (select oid from pg_roles where rolname = current_user)
    and (
      (
        datname ~ '^cruddur_test_[0-9a-f]{16}$'
        and coalesce(
          substring(shobj_description(oid, 'pg_database') from '^kept until (\d{4}-[-0-9T:.+Z]+)$')::timestamptz < now(),
          shobj_description(oid, 'pg_database') is null
        )
      )
      or (datname ~ '^cruddur_template_[0-9]{8}_[0-9a-f]+$' and datname::text collate "C" < $1)
    )
)
select name from ended where pg_try_advisory_lock(hashtextextended(name, 0))
