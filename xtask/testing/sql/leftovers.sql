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
        datname like 'cruddur\_test\_%'
        and coalesce(
          substring(shobj_description(oid, 'pg_database') from '^kept until (.*)$')::timestamptz < now(),
          shobj_description(oid, 'pg_database') is null
        )
      )
      or (datname like 'cruddur\_template\_%' and datname::text collate "C" < $1)
    )
)
select name from ended where pg_try_advisory_lock(hashtextextended(name, 0))
