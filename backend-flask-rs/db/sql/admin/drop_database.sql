-- `force` (Postgres 13) ends the database's sessions.
drop database if exists :"name" with (force)
