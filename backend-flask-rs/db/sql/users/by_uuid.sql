-- The users with the uuids $1, as far as there are such.
select
  users.uuid,
  users.display_name,
  users.handle
from public.users
where users.uuid = any($1)
