-- Write what ticks changed of schedules that this transaction holds. Parameter: a JSON array of their columns, moments
-- in UTC without a zone; what is absent is null.
UPDATE openqueue_schedule AS s
SET next_tick = g.next_tick AT TIME ZONE 'UTC', next_at = g.next_at AT TIME ZONE 'UTC',
    last_tick = g.last_tick AT TIME ZONE 'UTC', last_run_at = g.last_run_at AT TIME ZONE 'UTC',
    waiting_tick = g.waiting_tick AT TIME ZONE 'UTC', error_at = g.error_at AT TIME ZONE 'UTC',
    last_run_id = g.last_run_id, error = g.error, failures = g.failures
FROM json_to_recordset(%s::json) AS g (
    id int8, next_tick timestamp, next_at timestamp, last_tick timestamp, last_run_at timestamp, waiting_tick timestamp,
    error_at timestamp, last_run_id uuid, error text, failures int4
)
WHERE s.id = ANY (ARRAY[g.id])
