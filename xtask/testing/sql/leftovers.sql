-- Finds the databases that ended runs left, and takes their locks. $1 is the smallest name of a template in use.
--
-- A test database belongs to the session that holds its lock; if the lock is free, its owner has ended. A kept
-- database has a comment with the time until which it stays.
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
