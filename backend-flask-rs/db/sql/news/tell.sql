-- Notifies all subscribed sessions of $1, which has at most 8,000 bytes.
select pg_notify('cruddur_news', $1)
