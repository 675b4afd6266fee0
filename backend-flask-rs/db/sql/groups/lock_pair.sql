-- Waits for its turn to begin the conversation $1, a name of our own; the transaction then has it until it
-- ends. No row of DynamoDB says that two users have no conversation, so that this is what keeps two of
-- them, or two servers, from beginning it twice.
select pg_advisory_xact_lock(hashtextextended($1, 0))
