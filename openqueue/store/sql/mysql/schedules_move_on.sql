-- Write what ticks changed of schedules that this transaction holds. Parameter: a JSON array of their columns, moments
-- in UTC; what is absent is null.
UPDATE JSON_TABLE(%s, '$[*]' COLUMNS (
    id bigint PATH '$.id', next_tick datetime(6) PATH '$.next_tick', next_at datetime(6) PATH '$.next_at',
    last_tick datetime(6) PATH '$.last_tick', last_run_at datetime(6) PATH '$.last_run_at',
    waiting_tick datetime(6) PATH '$.waiting_tick', error_at datetime(6) PATH '$.error_at',
    last_run_id char(36) PATH '$.last_run_id', error varchar(500) PATH '$.error', failures int PATH '$.failures'
)) AS g
STRAIGHT_JOIN openqueue_schedule AS s FORCE INDEX (PRIMARY) ON s.id = g.id
SET s.next_tick = g.next_tick, s.next_at = g.next_at, s.last_tick = g.last_tick, s.last_run_at = g.last_run_at,
    s.waiting_tick = g.waiting_tick, s.error_at = g.error_at, s.last_run_id = g.last_run_id, s.error = g.error,
    s.failures = g.failures
