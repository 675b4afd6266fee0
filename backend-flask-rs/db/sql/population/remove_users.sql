-- Removes the users with a uuid from $1 to $2, and their activities.
with posts as (
  delete from public.activities
  where user_uuid between $1 and $2
)
delete from public.users
where uuid between $1 and $2
