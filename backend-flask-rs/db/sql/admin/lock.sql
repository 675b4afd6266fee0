-- Locks the creation and removal of databases for our commands until this session ends. Waits if another session has
-- the lock. A killed command's session may hold it a moment longer.
select pg_advisory_lock(hashtextextended('cruddur: create or drop a database', 0))
