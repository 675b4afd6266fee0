-- The user with the Cognito id $1: one row or none.
select
  users.uuid,
  users.display_name,
  users.handle
from public.users
where users.cognito_user_id = $1
limit 1
