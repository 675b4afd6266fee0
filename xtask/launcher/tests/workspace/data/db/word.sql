select 'one';
