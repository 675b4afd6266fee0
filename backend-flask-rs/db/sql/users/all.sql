-- Every user.
select
  users.uuid,
  users.display_name,
  users.handle
from public.users
