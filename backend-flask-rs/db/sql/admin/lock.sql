-- Waits until no other session creates or drops a database for us, and keeps others waiting until this
-- session ends. A command that was killed leaves a session behind that is still at work for a moment.
select pg_advisory_lock(hashtextextended('cruddur: create or drop a database', 0))
