-- The number of rows in a table. The name must be quoted, as in tables.sql.
select count(*) as rows from :name
