-- Lock announced rows and their runs, in order of the runs, and read what decides and what a body needs.
-- CLOCK is the moment to use, PATIENCE how long to wait for a locked row. Parameter: the runs.
SELECT o.run_id, o.seq, o.attempt, o.task_id, o.queue, o.concurrency_key, o.announced_at, o.broker_ref,
    r.id, r.status, r.version, r.payload, r.max_attempts, r.crash_count, r.meta, r.options, r.traceparent,
    r.flow_id, r.dedupe_key, CLOCK,
    o.ready OR o.due_at <= CLOCK, o.waits_for, o.tries - o.heard,
    EXISTS (SELECT 1 FROM openqueue_queuestate AS s WHERE s.name = o.queue AND s.paused = 1)
FROM openqueue_outbox AS o FORCE INDEX (PRIMARY)
LEFT JOIN openqueue_run AS r FORCE INDEX (PRIMARY) ON r.id = o.run_id
WHERE o.run_id IN %s AND (o.expires_at IS NULL OR o.expires_at > CLOCK)
ORDER BY o.run_id
FOR UPDATE PATIENCE
