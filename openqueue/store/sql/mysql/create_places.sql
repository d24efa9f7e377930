-- The outbox row of each new run. Parameters: microseconds before the announcing sweep may take it, the runs.
INSERT INTO openqueue_outbox (
    run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at, announce_at, tries,
    concurrency_key, ordering_key, waits_for, turn
)
SELECT id, 1, 1, task_id, runtime, queue, priority, scheduled_for,
    scheduled_for <= created_at AND COALESCE(ordering_key, concurrency_key) IS NULL, expires_at,
    scheduled_for + INTERVAL %s MICROSECOND, 0, concurrency_key, ordering_key,
    COALESCE(CONCAT('order:', ordering_key), concurrency_key), IF(ordering_key IS NULL, -priority, 0)
FROM openqueue_run FORCE INDEX (PRIMARY)
WHERE id IN %s AND status <> 'waiting'
