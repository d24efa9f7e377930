-- Create runs: run, first event and outbox row of each, in one round trip, whatever their number.
--
-- parameter     holds (arrays, one element a run)
-- ids           uuid, ascending
-- task_ids, queues, runtimes, priorities, payloads, max_attempts, metas, tags, options, traceparents
-- replays       uuid of the past run that each repeats, or null
-- flows, keys, schedules  the flow that it is a node of, its dedupe key, the schedule that made it; or null
-- concurrency_keys, ordering_keys  what its limits count by, or null
-- waiting       true: it waits for other nodes of its flow, and is in no outbox
-- delays        seconds from now
-- moments       timestamptz or null; wins over the delay; of a schedule's run its tick, which is past
-- ttls          seconds from the due time, or null
-- head_starts   seconds before the announcing sweep may take the row
-- now           the moment to use, or null for the database's clock
-- doors         the queues, each once
-- forced        write although some of them are closed
--
-- Answers the queues that are closed: unless forced, nothing was written then.
WITH closed AS MATERIALIZED (
    SELECT name, behaviour FROM openqueue_queuestate
    WHERE name = ANY (%(doors)s::text[]) AND behaviour IN ('reject', 'skip')
), given AS (
    SELECT g.*, clock.now, CASE
        WHEN g.schedule_id IS NULL THEN GREATEST(clock.now, COALESCE(g.moment, clock.now + g.delay * interval '1 second'))
        ELSE COALESCE(g.moment, clock.now)
    END AS due_at
    FROM unnest(
        %(ids)s::uuid[], %(task_ids)s::text[], %(queues)s::text[], %(runtimes)s::text[], %(priorities)s::int2[],
        %(payloads)s::text[], %(max_attempts)s::int4[], %(metas)s::text[], %(tags)s::text[], %(options)s::text[],
        %(traceparents)s::text[], %(delays)s::float8[], %(moments)s::timestamptz[], %(ttls)s::float8[],
        %(head_starts)s::float8[], %(replays)s::uuid[], %(flows)s::uuid[], %(keys)s::text[], %(schedules)s::int8[],
        %(waiting)s::bool[], %(concurrency_keys)s::text[], %(ordering_keys)s::text[]
    ) AS g (
        id, task_id, queue, runtime, priority, payload, max_attempts, meta, tags, options,
        traceparent, delay, moment, ttl, head_start, replay_of, flow_id,
        dedupe_key, schedule_id, waiting, concurrency_key, ordering_key
    ),
    (SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now) AS clock
    WHERE %(forced)s OR NOT EXISTS (SELECT FROM closed)
), run AS (
    INSERT INTO openqueue_run (
        id, task_id, queue, runtime, status, reason, priority, payload, meta, tags, options, attempt, max_attempts,
        crash_count, cycle, version, created_at, scheduled_for, expires_at, traceparent,
        replay_of, flow_id, dedupe_key, schedule_id, concurrency_key, ordering_key
    )
    SELECT id, task_id, queue, runtime,
        CASE WHEN waiting THEN 'waiting' WHEN due_at > now THEN 'scheduled' ELSE 'queued' END, '', priority,
        payload, meta, tags, options, 0, max_attempts, 0, 1, 1, now, due_at, due_at + ttl * interval '1 second',
        traceparent, replay_of, flow_id, dedupe_key, schedule_id, concurrency_key, ordering_key
    FROM given
), event AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, at)
    SELECT id, 1, 0, 'triggered', '', now FROM given
), place AS (
    INSERT INTO openqueue_outbox (
        run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at, announce_at, tries,
        concurrency_key, ordering_key, waits_for, turn
    )
    SELECT id, 1, 1, task_id, runtime, queue, priority, due_at,
        due_at <= now AND COALESCE(ordering_key, concurrency_key) IS NULL, due_at + ttl * interval '1 second',
        due_at + head_start * interval '1 second', 0,
        concurrency_key, ordering_key, COALESCE('order:' || ordering_key, concurrency_key),
        CASE WHEN ordering_key IS NULL THEN -priority ELSE 0 END
    FROM given
    WHERE NOT waiting
)
SELECT name, behaviour FROM closed
