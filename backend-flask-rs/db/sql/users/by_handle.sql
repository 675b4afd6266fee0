-- The user with the handle $1: one row or none.
select
  users.uuid,
  users.display_name,
  users.handle
from public.users
where users.handle = $1
