-- The statements that empty this database: they drop every schema but `public`, and all that is in `public`. The rights
-- that new objects are to have there, and a publication of all its tables, are not in it: beyond.sql sees them.
select format('drop schema if exists %I cascade', nspname) as statement
from pg_namespace
where oid >= 16384
  and nspname !~ '^pg_'
union all
select format('drop %s if exists %s cascade', replace(object.type, 'statistics object', 'statistics'), object.identity)
from pg_namespace as namespace
join pg_depend as member
  on member.refclassid = 'pg_namespace'::regclass
  and member.refobjid = namespace.oid
cross join pg_identify_object(member.classid, member.objid, member.objsubid) as object
where namespace.nspname = 'public'
  and object.type not in ('default acl', 'publication namespace')
  -- Nor what goes with another: an identity's sequence, an extension's functions.
  and not exists (
    select
    from pg_depend as part
    where part.classid = member.classid
      and part.objid = member.objid
      and part.objsubid = member.objsubid
      and part.deptype in ('i', 'e')
  )
-- Nothing is left that was put into order by an earlier version of the system's library (from Postgres 15 on).
union all
select format('alter database %I refresh collation version', datname)
from pg_database
where datname = current_database()
  and to_jsonb(pg_database) ->> 'datcollversion' is not null
