-- What one session is at work on, since when, and whose locks it waits for.
select
  query,
  extract(epoch from clock_timestamp() - query_start)::float8 as seconds,
  pg_blocking_pids(pid) as blocked_by
from pg_stat_activity
where pid = $1
  and state = 'active'
