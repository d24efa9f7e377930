-- Lock claims and their runs, in order of the runs. CLOCK is the moment to use. Parameter: the runs.
SELECT c.run_id, c.token, c.attempt, c.task_id, c.concurrency_key, c.cancel_requested_at, c.cancel_requested_by,
    r.version, r.queue, r.runtime, r.priority, r.expires_at, r.ordering_key, CLOCK
FROM openqueue_claim AS c FORCE INDEX (PRIMARY)
LEFT JOIN openqueue_run AS r FORCE INDEX (PRIMARY) ON r.id = c.run_id
WHERE c.run_id IN %s
ORDER BY c.run_id
FOR UPDATE
