-- Move what waits in a queue to another runtime: a new seq each, so that messages of the old one are gone.
--
-- parameter     holds
-- queue         name of the queue
-- runtime       alias that its rows are to be on
-- actor         who asked
-- now           the moment to use, or null for the database's clock
--
-- Running ones keep their claim; their runs are relabelled, so that a retry is announced where the queue now is.
WITH clock AS (
    SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now
), locked AS (
    SELECT run_id, runtime FROM openqueue_outbox
    WHERE queue = %(queue)s AND runtime <> %(runtime)s
    ORDER BY run_id FOR UPDATE
), held AS (
    SELECT run_id FROM openqueue_claim WHERE queue = %(queue)s ORDER BY run_id FOR UPDATE
), run AS (
    UPDATE openqueue_run
    SET runtime = %(runtime)s, version = version + 1
    WHERE id = ANY (ARRAY(SELECT run_id FROM locked)) AND status IN ('queued', 'scheduled', 'retrying')
    RETURNING id, version, attempt
), relabelled AS (
    UPDATE openqueue_run
    SET runtime = %(runtime)s
    WHERE id = ANY (ARRAY(SELECT run_id FROM held)) AND runtime <> %(runtime)s
    RETURNING id
), event AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, data, at)
    SELECT r.id, r.version, r.attempt, 'moved', %(actor)s,
        json_build_object('from', l.runtime, 'to', %(runtime)s::text)::text, (SELECT now FROM clock)
    FROM run AS r JOIN locked AS l ON l.run_id = r.id
), moved AS (
    UPDATE openqueue_outbox AS o
    SET runtime = %(runtime)s, seq = r.version, ready = o.due_at <= clock.now AND o.waits_for IS NULL,
        announce_at = GREATEST(o.due_at, clock.now), announced_at = NULL, broker_ref = NULL, tries = 0,
        heard = 0,        last_error = NULL
    FROM run AS r, clock
    WHERE o.run_id = r.id
    RETURNING o.run_id
)
SELECT (SELECT count(*) FROM moved), (SELECT count(*) FROM relabelled)
