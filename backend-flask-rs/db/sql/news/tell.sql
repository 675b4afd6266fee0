-- Tells every session that listens $1, a text of our own and at most 8,000 bytes.
select pg_notify('cruddur_news', $1)
