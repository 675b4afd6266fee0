-- How many rows each table holds, in one row of bigint.
select
  (select count(*) from public.users) as users,
  (select count(*) from public.activities) as activities
