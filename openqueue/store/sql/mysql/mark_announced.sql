-- Mark rows as announced. A row that was deferred, changed or announced again since is not hit.
-- CLOCK is the moment to use. Parameter: a JSON array of [run, seq, tries, reference, error, microseconds to wait],
-- ordered by run.
UPDATE JSON_TABLE(%s, '$[*]' COLUMNS (
        run_id char(36) PATH '$[0]',
        seq int PATH '$[1]',
        tries int PATH '$[2]',
        ref varchar(200) PATH '$[3]',
        error varchar(500) PATH '$[4]',
        wait bigint PATH '$[5]'
    )) AS g
STRAIGHT_JOIN openqueue_outbox AS o FORCE INDEX (PRIMARY)
    ON o.run_id = g.run_id AND o.seq = g.seq AND o.tries = g.tries
SET o.announced_at = IF(g.error IS NULL, CLOCK, NULL), o.broker_ref = g.ref, o.last_error = g.error,
    o.announce_at = IF(g.wait IS NULL, o.announce_at, CLOCK + INTERVAL g.wait MICROSECOND)
