-- Whether the tables are there and can be read: one row at most.
select 1 as answer
from public.users
limit 1
