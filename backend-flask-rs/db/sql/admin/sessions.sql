-- Every client's session on the server, whatever its database, except the one that asks.
-- Ages are seconds; what a session has not begun, or its owner hides, is null.
select
  pid,
  usename::text as usename,
  datname::text as datname,
  host(client_addr) as client_addr,
  application_name,
  state,
  extract(epoch from clock_timestamp() - query_start)::float8 as query_seconds,
  extract(epoch from clock_timestamp() - backend_start)::float8 as session_seconds
from pg_stat_activity
where backend_type = 'client backend'
  and pid <> pg_backend_pid()
order by datname, usename, pid
