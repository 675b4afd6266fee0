-- template0 and UTF8: the same database whatever the server's own encoding or template1 holds.
create database :"name" encoding 'UTF8' template template0
