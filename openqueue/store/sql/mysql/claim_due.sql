-- Lock due rows of the database runtime and their runs, and read what a body needs.
-- PICKED is the branches of the queues (due_branch.sql), merged and limited; CLOCK the moment to use.
--
-- A run that somebody else has locked is skipped, never waited for: its row comes without it, or not at all.
SELECT p.run_id, p.seq, p.attempt, p.task_id, p.queue, p.concurrency_key, p.announced_at, p.broker_ref,
    r.id, r.status, r.version, r.payload, r.max_attempts, r.crash_count, r.meta, r.options, r.traceparent,
    r.flow_id, r.dedupe_key, CLOCK
FROM (PICKED) AS p
LEFT JOIN openqueue_run AS r FORCE INDEX (PRIMARY) ON r.id = p.run_id
ORDER BY p.place, p.priority DESC, p.due_at
FOR UPDATE SKIP LOCKED
