-- How long one session has been at work, and for how long it has waited for whose locks. Postgres 13 does not know when a
-- wait began: there it is the whole time.
select
  extract(epoch from clock_timestamp() - query_start)::float8 as seconds,
  extract(
    epoch from clock_timestamp() - coalesce(
      (select min((to_jsonb(lock) ->> 'waitstart')::timestamptz) from pg_locks as lock where pid = $1 and not granted),
      query_start
    )
  )::float8 as waiting,
  pg_blocking_pids(pid) as blocked_by
from pg_stat_activity
where pid = $1
  and state = 'active'
