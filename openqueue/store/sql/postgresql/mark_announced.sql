-- Mark rows as announced. A row that was deferred, changed or announced again since is not hit.
--
-- parameter          holds (arrays, one element a row)
-- runs, seqs, tries  which announcement
-- refs, errors       what the broker told: its reference, or why the message stayed
-- waits              seconds until it is announced again if nobody claimed it
-- now                the moment to use, or null for the database's clock
UPDATE openqueue_outbox AS o
SET announced_at = CASE WHEN g.error IS NULL THEN clock.now END,
    broker_ref = g.ref, last_error = g.error,
    announce_at = CASE WHEN g.wait IS NULL THEN o.announce_at ELSE clock.now + g.wait * interval '1 second' END
FROM unnest(
        %(runs)s::uuid[], %(seqs)s::int4[], %(tries)s::int4[], %(refs)s::text[], %(errors)s::text[],
        %(waits)s::float8[]
    ) AS g (run_id, seq, tries, ref, error, wait),
    (SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now) AS clock
WHERE o.run_id = ANY (ARRAY[g.run_id]) AND o.seq = g.seq AND o.tries = g.tries
