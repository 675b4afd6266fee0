-- Replaces the comment on a database; an empty one removes it.
comment on database :"name" is :'text'
