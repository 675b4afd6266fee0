-- How long a session's statement has run, how long it has waited for locks, and which sessions hold them. Postgres 13
-- does not record when a wait began: there the wait counts from the statement's start.
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
