-- The next $2 users after the uuid $1, or the first ones if it is null.
select
  users.uuid,
  users.display_name,
  users.handle
from public.users
where $1::uuid is null or users.uuid > $1
order by users.uuid
limit $2
