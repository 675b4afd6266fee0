-- How many rows a table holds. Its name is put in as tables.sql gave it, quoted.
select count(*) as rows from :name
