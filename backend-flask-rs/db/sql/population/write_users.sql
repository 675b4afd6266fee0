-- Writes the users in four arrays of equal length: uuid $1, display name $2, handle $3, created at $4. Rows that are
-- already right are not written.
insert into public.users (uuid, display_name, handle, email, cognito_user_id, created_at)
select
  new.uuid,
  new.display_name,
  new.handle,
  new.handle || '@example.com',
  'MOCK-' || new.handle,
  new.created_at
from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[])
  as new (uuid, display_name, handle, created_at)
on conflict (uuid) do update set
  display_name = excluded.display_name,
  handle = excluded.handle,
  email = excluded.email,
  cognito_user_id = excluded.cognito_user_id,
  created_at = excluded.created_at
where (users.display_name, users.handle, users.email, users.cognito_user_id, users.created_at)
  is distinct from
  (excluded.display_name, excluded.handle, excluded.email, excluded.cognito_user_id, excluded.created_at)
