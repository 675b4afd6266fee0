-- Force (Postgres 13) ends the sessions that are still in it.
drop database if exists :"name" with (force)
