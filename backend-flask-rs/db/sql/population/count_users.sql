-- The number of users with a uuid from $1 to $2, as bigint.
select count(*) as users
from public.users
where uuid between $1 and $2
