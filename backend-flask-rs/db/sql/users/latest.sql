-- The $1 users who joined last.
select
  users.uuid,
  users.display_name,
  users.handle
from public.users
order by users.created_at desc, users.uuid
limit $1
