-- How full of dead rows these tables are, and who cleans them up: for the doctor.
--
-- parameter     holds
-- tables        names (array)
SELECT c.relname AS name, COALESCE(c.reloptions, '{}') AS options, pg_relation_size(c.oid) AS bytes,
    COALESCE(s.n_live_tup, 0) AS live, COALESCE(s.n_dead_tup, 0) AS dead, COALESCE(s.n_tup_upd, 0) AS updated,
    COALESCE(s.n_tup_hot_upd, 0) AS updated_in_place,
    extract(epoch FROM statement_timestamp() - GREATEST(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed,
    (SELECT array_agg(i.indexrelid::regclass::text) FROM pg_index AS i WHERE i.indrelid = c.oid AND NOT i.indisvalid)
        AS broken
FROM unnest(%(tables)s::text[]) AS t (name)
JOIN pg_class AS c ON c.oid = to_regclass(t.name)
LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
ORDER BY c.relname
