-- Ends every client's session in the database $1 except the one that asks; one row for each ended.
-- Materialized, so that no session is signalled before the filter has chosen it.
with others as materialized (
  select pid
  from pg_stat_activity
  where datname = $1::text
    and backend_type = 'client backend'
    and pid <> pg_backend_pid()
),
signalled as materialized (
  select pid, pg_terminate_backend(pid) as terminated
  from others
)
select pid
from signalled
where terminated
order by pid
