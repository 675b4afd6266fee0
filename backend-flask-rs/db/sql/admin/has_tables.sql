-- Which of Cruddur's tables exist.
select
  to_regclass('public.users') is not null as users,
  to_regclass('public.activities') is not null as activities
