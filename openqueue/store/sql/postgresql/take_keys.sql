-- Take keys that nobody has. Waits for others who are about to take the same, locks nothing of those who have one.
--
-- parameter     holds (arrays, one element a key, ordered by id)
-- ids           digests
-- scopes, keys, runs
-- windows       seconds
-- now           the moment to use, or null for the database's clock
INSERT INTO openqueue_dedupekey (id, scope, key, run_id, until)
SELECT g.id, g.scope, g.key, g.run_id, clock.now + g.win * interval '1 second'
FROM unnest(%(ids)s::uuid[], %(scopes)s::text[], %(keys)s::text[], %(runs)s::uuid[], %(windows)s::float8[])
    WITH ORDINALITY AS g (id, scope, key, run_id, win, place),
    (SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now) AS clock
ORDER BY g.place
ON CONFLICT (id) DO NOTHING
RETURNING id
