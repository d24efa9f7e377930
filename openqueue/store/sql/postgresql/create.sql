-- Create runs: run, first event and outbox row of each, in one round trip, whatever their number.
--
-- parameter     holds (arrays, one element a run)
-- ids           uuid, ascending
-- task_ids, queues, runtimes, priorities, payloads, max_attempts, metas, tags, options, traceparents
-- delays        seconds from now
-- moments       timestamptz or null; wins over the delay
-- ttls          seconds from the due time, or null
-- head_starts   seconds before the announcing sweep may take the row
-- now           the moment to use, or null for the database's clock
WITH given AS (
    SELECT g.*, GREATEST(clock.now, COALESCE(g.moment, clock.now + g.delay * interval '1 second')) AS due_at, clock.now
    FROM unnest(
        %(ids)s::uuid[], %(task_ids)s::text[], %(queues)s::text[], %(runtimes)s::text[], %(priorities)s::int2[],
        %(payloads)s::text[], %(max_attempts)s::int4[], %(metas)s::text[], %(tags)s::text[], %(options)s::text[],
        %(traceparents)s::text[], %(delays)s::float8[], %(moments)s::timestamptz[], %(ttls)s::float8[],
        %(head_starts)s::float8[]
    ) AS g (
        id, task_id, queue, runtime, priority, payload, max_attempts, meta, tags, options,
        traceparent, delay, moment, ttl, head_start
    ),
    (SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now) AS clock
), run AS (
    INSERT INTO openqueue_run (
        id, task_id, queue, runtime, status, reason, priority, payload, meta, tags, options, attempt, max_attempts,
        crash_count, cycle, version, created_at, scheduled_for, expires_at, traceparent
    )
    SELECT id, task_id, queue, runtime, CASE WHEN due_at > now THEN 'scheduled' ELSE 'queued' END, '', priority,
        payload, meta, tags, options, 0, max_attempts, 0, 1, 1, now, due_at, due_at + ttl * interval '1 second',
        traceparent
    FROM given
), event AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, at)
    SELECT id, 1, 0, 'triggered', '', now FROM given
)
INSERT INTO openqueue_outbox (
    run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at, announce_at, tries
)
SELECT id, 1, 1, task_id, runtime, queue, priority, due_at, due_at <= now, due_at + ttl * interval '1 second',
    due_at + head_start * interval '1 second', 0
FROM given
