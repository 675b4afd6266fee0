-- Read by `postgres --single -j` in the app's database, if an earlier version of the tasks made it.
do $$ declare relation regclass; begin
  for relation in
    select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'm', 'S')
  loop
    execute format('alter table %s owner to cruddur', relation);
  end loop;
end $$;

