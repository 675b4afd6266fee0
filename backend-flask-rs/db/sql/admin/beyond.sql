-- What this database has that a new one, as create_database.sql makes it, would not have; a row for each. First what
-- a database has as a whole, then the objects that are not in a schema, or not in one that can be dropped: those of
-- initdb have an oid below 16384 (FirstNormalObjectId of src/include/access/transam.h). What a superuser has changed
-- in initdb's own is seen of schema public alone; nor are operators, conversions and text search seen that one has put
-- into pg_catalog.
with this as (
  select *
  from pg_database
  where datname = current_database()
),
-- What is not template0's, or does not matter. Each version has columns of its own.
ignored(columns) as (
  values (array[
    'oid', 'datname', 'datdba', 'encoding', 'datistemplate', 'datallowconn', 'datfrozenxid', 'datminmxid',
    'datacl', 'datcollversion'
  ])
),
catalog(id, object) as (
  select 'pg_am'::regclass, oid from pg_am
  union all select 'pg_cast'::regclass, oid from pg_cast
  union all select 'pg_class'::regclass, oid from pg_class
  union all select 'pg_collation'::regclass, oid from pg_collation
  union all select 'pg_default_acl'::regclass, oid from pg_default_acl
  union all select 'pg_extension'::regclass, oid from pg_extension
  union all select 'pg_foreign_data_wrapper'::regclass, oid from pg_foreign_data_wrapper
  union all select 'pg_language'::regclass, oid from pg_language
  union all select 'pg_largeobject'::regclass, oid from pg_largeobject_metadata
  union all select 'pg_proc'::regclass, oid from pg_proc
  union all select 'pg_publication'::regclass, oid from pg_publication
  union all select 'pg_type'::regclass, oid from pg_type
)
select 'a session at work' as what
from pg_stat_get_activity(null) as session, this
where datid = this.oid
  and backend_type = 'client backend'
  and pid <> pg_backend_pid()
  and state is distinct from 'idle'
union all
select 'a replication slot' from pg_get_replication_slots() join this on datoid = this.oid
union all
select 'a subscription' from pg_subscription join this on subdbid = this.oid
union all
select 'another owner' from this where pg_get_userbyid(datdba) <> current_user
union all
select 'rights of its own' from this where datacl is not null
union all
select 'settings of its own' from pg_db_role_setting join this on setdatabase = this.oid
union all
select 'a comment' from pg_shdescription join this on objoid = this.oid and classoid = 'pg_database'::regclass
union all
select 'another encoding, locale, tablespace or bound'
from this, pg_database as template, ignored
where template.datname = 'template0'
  and (
    to_jsonb(this) - columns <> to_jsonb(template) - columns
    or pg_encoding_to_char(this.encoding) <> 'UTF8'
    or this.datistemplate
  )
union all
select 'another schema public'
where not exists (
  select
  from pg_namespace as namespace
  left join pg_init_privs as initial
    on initial.objoid = namespace.oid
    and initial.classoid = 'pg_namespace'::regclass
  where nspname = 'public'
    and namespace.oid < 16384
    and nspowner < 16384
    and nspacl is not distinct from initprivs
)
union all
select 'no plpgsql'
where not exists (select from pg_extension where extname = 'plpgsql' and oid < 16384)
union all
select pg_describe_object(id, object, 0) from catalog where object >= 16384
