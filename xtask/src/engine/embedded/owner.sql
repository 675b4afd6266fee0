-- Read by `postgres --single -j` in the app's database, if an earlier version of the tasks made it.
do $$ declare relation regclass; begin
  for relation in
    select oid from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'f', 'v', 'm', 'S')
    -- Sequences last: that of a serial column gets its owner with the table, and by itself it is an error.
    order by relkind = 'S'
  loop
    execute format('alter table %s owner to cruddur', relation);
  end loop;
end $$;

