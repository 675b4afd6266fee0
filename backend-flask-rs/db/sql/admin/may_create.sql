-- Whether the session's role may create databases.
select rolname::text as role, rolcreatedb or rolsuper as may_create from pg_roles where rolname = current_user
