-- An operator's retry: final runs start a new cycle at attempt 1; the old outcome moves into the event.
--
-- parameter     holds
-- runs          uuid array, ordered
-- actor         who asked
-- head_start    seconds before the announcing sweep may take the row
-- now           the moment to use, or null for the database's clock
WITH clock AS (
    SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now
), locked AS (
    SELECT id, status, reason, attempt, cycle, error FROM openqueue_run
    WHERE id = ANY (%(runs)s::uuid[]) AND status IN ('completed', 'failed', 'cancelled', 'expired')
    ORDER BY id FOR UPDATE
), run AS (
    UPDATE openqueue_run AS r
    SET status = 'queued', reason = '', version = r.version + 1, cycle = r.cycle + 1, attempt = 0, crash_count = 0,
        result = NULL, error = NULL, outcome = NULL, finished_at = NULL, started_at = NULL, expires_at = NULL,
        scheduled_for = (SELECT now FROM clock)
    FROM locked AS l
    WHERE r.id = l.id
    RETURNING r.id, r.version, r.cycle, r.task_id, r.runtime, r.queue, r.priority, l.status, l.reason, l.attempt, l.error,
        r.concurrency_key, r.ordering_key
), event AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, data, at)
    SELECT id, version, attempt, 'requeued', %(actor)s,
        json_build_object('cycle', cycle, 'status', status, 'reason', reason, 'error', error::json)::text,
        (SELECT now FROM clock)
    FROM run
)
INSERT INTO openqueue_outbox (
    run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, announce_at, tries,
    concurrency_key, ordering_key, waits_for, turn
)
SELECT id, version, 1, task_id, runtime, queue, priority, (SELECT now FROM clock),
    COALESCE(ordering_key, concurrency_key) IS NULL,
    (SELECT now FROM clock) + %(head_start)s::float8 * interval '1 second', 0,
    concurrency_key, ordering_key, COALESCE('order:' || ordering_key, concurrency_key),
    CASE WHEN ordering_key IS NULL THEN -priority ELSE 0 END
FROM run
RETURNING run_id, seq, queue, runtime
