-- Users and activities to develop with. The uuids are fixed: the items in DynamoDB name users by
-- theirs, and seeding again brings these rows back to what stands here and touches no others.

insert into public.users (uuid, display_name, handle, email, cognito_user_id)
values
  ('9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01', 'Andrew Brown', 'andrewbrown', 'andrewbrown@example.com', 'MOCK-andrewbrown'),
  ('9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02', 'Andrew Bayko', 'bayko', 'bayko@example.com', 'MOCK-bayko'),
  ('9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e03', 'Zoë Kestrel', 'zoekestrel', 'zoekestrel@example.com', 'MOCK-zoekestrel'),
  ('9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e04', '雨宮 ことり', 'amemiya', 'amemiya@example.com', 'MOCK-amemiya'),
  ('9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e05', 'Teapot Bot', 'teapot', 'teapot@example.com', 'MOCK-teapot')
on conflict (uuid) do update set
  display_name = excluded.display_name,
  handle = excluded.handle,
  email = excluded.email,
  cognito_user_id = excluded.cognito_user_id;

insert into public.activities
  (uuid, user_uuid, message, replies_count, reposts_count, likes_count, reply_to_activity_uuid, expires_at, created_at)
values
  (
    '4e7d2b18-0b5c-4c36-9f21-7a90d3c5e801',
    '9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e01',
    'One command now sets up both databases. My coffee had no time to get cold.',
    1, 0, 3,
    null,
    current_timestamp + interval '10 days',
    current_timestamp - interval '2 hours'
  ),
  (
    '4e7d2b18-0b5c-4c36-9f21-7a90d3c5e802',
    '9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e02',
    'That is the first time I have seen you finish a cup before noon.',
    0, 0, 2,
    '4e7d2b18-0b5c-4c36-9f21-7a90d3c5e801',
    current_timestamp + interval '10 days',
    current_timestamp - interval '1 hour'
  ),
  (
    '4e7d2b18-0b5c-4c36-9f21-7a90d3c5e803',
    '9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e03',
    'Today''s bird at the window: a very round robin. 🐦',
    0, 1, 12,
    null,
    current_timestamp + interval '3 days',
    current_timestamp - interval '1 day'
  ),
  (
    '4e7d2b18-0b5c-4c36-9f21-7a90d3c5e804',
    '9c1f4a52-6d0e-4b7b-8a3f-1f6a0c2d7e05',
    'I am a teapot. This message has run out of steam.',
    0, 0, 0,
    null,
    current_timestamp - interval '1 hour',
    current_timestamp - interval '8 days'
  )
on conflict (uuid) do update set
  user_uuid = excluded.user_uuid,
  message = excluded.message,
  replies_count = excluded.replies_count,
  reposts_count = excluded.reposts_count,
  likes_count = excluded.likes_count,
  reply_to_activity_uuid = excluded.reply_to_activity_uuid,
  expires_at = excluded.expires_at,
  created_at = excluded.created_at;
