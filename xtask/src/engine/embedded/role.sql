-- Read by `postgres --single -j`: an empty line after a semicolon ends a statement.
-- The tasks and the app sign in as this role, because no superuser can sign in.
do $$ begin
  if not exists (select from pg_roles where rolname = 'cruddur') then create role cruddur; end if;
end $$;

alter role cruddur login createdb nosuperuser password 'PASSWORD';

grant pg_monitor, pg_signal_backend to cruddur;

alter role current_user password null;

-- The database of a cluster that an earlier version of the tasks made was the superuser's.
do $$ begin
  if exists (select from pg_database where datname = 'cruddur') then alter database cruddur owner to cruddur; end if;
end $$;

