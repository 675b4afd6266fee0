-- Subscribes this session to the notifications of other servers.
listen cruddur_news
