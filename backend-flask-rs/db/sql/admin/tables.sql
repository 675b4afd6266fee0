-- Every table of the database except the system's, largest first: its quoted name, its approximate number of rows (0 if
-- there is no estimate), and its size in bytes.
select
  format('%I.%I', namespace.nspname, class.relname) as name,
  greatest(class.reltuples::bigint, statistics.n_live_tup, 0) as about,
  pg_table_size(class.oid) as bytes
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
left join pg_stat_user_tables as statistics on statistics.relid = class.oid
where class.relkind = 'r'
  and namespace.nspname <> 'information_schema'
  and namespace.nspname not like 'pg\_%'
order by bytes desc, name
