-- Take keys that nobody has. Parameter: a JSON array of [id, scope, key, run, microseconds of its window], ordered.
--
-- What somebody visibly has is left out before the insert, which would lock its row until the transaction ends.
INSERT IGNORE INTO openqueue_dedupekey (id, scope, `key`, run_id, until)
SELECT g.id, g.scope, g.name, g.run_id, CLOCK + INTERVAL g.win MICROSECOND
FROM JSON_TABLE(%s, '$[*]' COLUMNS (
    id char(36) PATH '$[0]', scope varchar(210) PATH '$[1]', name varchar(200) PATH '$[2]',
    run_id char(36) PATH '$[3]', win bigint PATH '$[4]'
)) AS g
WHERE NOT EXISTS (SELECT 1 FROM openqueue_dedupekey AS k WHERE k.id = g.id)
ORDER BY g.id
