-- Has the session hear what other servers tell.
listen cruddur_news
