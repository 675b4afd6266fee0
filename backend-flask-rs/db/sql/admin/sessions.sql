-- Every client session on the server except this one, whatever its database. Ages are in seconds. A value is null if it
-- does not apply, or if the session's owner hides it.
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
