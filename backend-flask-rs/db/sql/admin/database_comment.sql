-- The comment on the database that this session is in, null if it has none.
select shobj_description(oid, 'pg_database') as comment
from pg_catalog.pg_database
where datname = current_database()
