-- Succeeds if the tables exist and can be read. Returns at most one row.
select 1 as answer
from public.users
limit 1
