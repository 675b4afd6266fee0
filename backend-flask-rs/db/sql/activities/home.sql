-- The $1 newest activities that have not expired, with their authors, as the API's JSON. Times have the form of
-- src/time.rs.
select coalesce(json_agg(activity order by created_at desc, uuid), '[]')::text as activities
from (
  select
    activities.uuid,
    users.display_name,
    users.handle,
    activities.message,
    activities.replies_count,
    activities.reposts_count,
    activities.likes_count,
    activities.reply_to_activity_uuid,
    to_char(activities.expires_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as expires_at,
    to_char(activities.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') as created_at
  from public.activities
  join public.users on users.uuid = activities.user_uuid
  where activities.expires_at is null or activities.expires_at > current_timestamp
  order by activities.created_at desc, activities.uuid
  limit $1
) as activity
