-- Create runs. ROWS is one row of values a run, see new_row: the database works out when each is due.
INSERT INTO openqueue_run (
    id, task_id, queue, runtime, status, reason, priority, payload, meta, tags, options, attempt, max_attempts,
    crash_count, cycle, version, created_at, scheduled_for, expires_at, traceparent, replay_of,
    flow_id, dedupe_key, schedule_id, concurrency_key, ordering_key
) VALUES ROWS
