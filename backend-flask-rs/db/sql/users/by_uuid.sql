-- The existing users among the uuids $1.
select
  users.uuid,
  users.display_name,
  users.handle
from public.users
where users.uuid = any($1)
