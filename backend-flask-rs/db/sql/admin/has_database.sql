-- The database $1, if there is one.
select datname
from pg_catalog.pg_database
where datname = $1
