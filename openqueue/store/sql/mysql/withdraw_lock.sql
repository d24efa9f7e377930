-- Lock outbox rows and their runs, in order of the runs. CLOCK is the moment to use. Parameter: the runs.
SELECT o.run_id, o.seq, r.status, r.version, r.attempt, CLOCK
FROM openqueue_outbox AS o FORCE INDEX (PRIMARY)
LEFT JOIN openqueue_run AS r FORCE INDEX (PRIMARY) ON r.id = o.run_id
WHERE o.run_id IN %s
ORDER BY o.run_id
FOR UPDATE
