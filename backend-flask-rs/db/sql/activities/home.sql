-- The $1 newest activities that have not expired, with who wrote them.
select
  activities.uuid,
  users.display_name,
  users.handle,
  activities.message,
  activities.replies_count,
  activities.reposts_count,
  activities.likes_count,
  activities.reply_to_activity_uuid,
  activities.expires_at,
  activities.created_at
from public.activities
join public.users on users.uuid = activities.user_uuid
where activities.expires_at is null or activities.expires_at > current_timestamp
order by activities.created_at desc, activities.uuid
limit $1
