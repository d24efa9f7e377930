-- Lock final runs, in order. CLOCK is the moment to use. Parameters: the runs, the final statuses.
SELECT id, version, cycle, task_id, runtime, queue, priority, status, reason, error, concurrency_key,
    ordering_key, CLOCK
FROM openqueue_run FORCE INDEX (PRIMARY)
WHERE id IN %s AND status IN %s
ORDER BY id
FOR UPDATE
