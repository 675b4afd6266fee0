-- Cruddur's tables. Loading this file again replaces them, rows and all.

drop table if exists public.activities, public.users;

create table public.users (
  uuid uuid primary key default gen_random_uuid(),
  display_name text not null,
  handle text not null unique,
  email text not null,
  cognito_user_id text not null,
  created_at timestamptz not null default current_timestamp
);

create table public.activities (
  uuid uuid primary key default gen_random_uuid(),
  user_uuid uuid not null references public.users (uuid),
  message text not null,
  replies_count integer not null default 0,
  reposts_count integer not null default 0,
  likes_count integer not null default 0,
  reply_to_activity_uuid uuid references public.activities (uuid) on delete set null,
  expires_at timestamptz,
  created_at timestamptz not null default current_timestamp
);

-- Postgres indexes the referenced side of a foreign key only.
create index activities_user_uuid on public.activities (user_uuid);
create index activities_reply_to_activity_uuid on public.activities (reply_to_activity_uuid);
