-- Locks the beginning of the conversation $1 until the transaction ends. Waits if another session has the lock. Without
-- it, two users or two servers could begin a conversation twice: no DynamoDB item says that two users have none.
select pg_advisory_xact_lock(hashtextextended($1, 0))
