-- Create one run: the same as create.sql without its arrays, which cost the client more than the rows cost the server.
--
-- parameter     holds
-- id, task_id, queue, runtime, priority, payload, max_attempts, meta, tags, options, traceparent
-- delay         seconds from now
-- moment        timestamptz or null; wins over the delay
-- ttl           seconds from the due time, or null
-- head_start    seconds before the announcing sweep may take the row
-- now           the moment to use, or null for the database's clock
-- forced        write although the queue is closed
--
-- Answers the queue when it is closed, as create.sql.
WITH closed AS MATERIALIZED (
    SELECT name, behaviour FROM openqueue_queuestate WHERE name = %(queue)s AND behaviour IN ('reject', 'skip')
), clock AS MATERIALIZED (
    SELECT c.now, GREATEST(c.now, COALESCE(%(moment)s::timestamptz, c.now + %(delay)s::float8 * interval '1 second')) AS due_at
    FROM (SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now) AS c
    WHERE %(forced)s OR NOT EXISTS (SELECT FROM closed)
), run AS (
    INSERT INTO openqueue_run (
        id, task_id, queue, runtime, status, reason, priority, payload, meta, tags, options, attempt, max_attempts,
        crash_count, cycle, version, created_at, scheduled_for, expires_at, traceparent
    )
    SELECT %(id)s, %(task_id)s, %(queue)s, %(runtime)s, CASE WHEN due_at > now THEN 'scheduled' ELSE 'queued' END,
        '', %(priority)s, %(payload)s, %(meta)s, %(tags)s, %(options)s, 0, %(max_attempts)s, 0, 1, 1, now, due_at,
        due_at + %(ttl)s::float8 * interval '1 second', %(traceparent)s
    FROM clock
), event AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, at)
    SELECT %(id)s, 1, 0, 'triggered', '', now FROM clock
), place AS (
    INSERT INTO openqueue_outbox (
        run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at, announce_at, tries
    )
    SELECT %(id)s, 1, 1, %(task_id)s, %(runtime)s, %(queue)s, %(priority)s, due_at, due_at <= now,
        due_at + %(ttl)s::float8 * interval '1 second', due_at + %(head_start)s::float8 * interval '1 second', 0
    FROM clock
)
SELECT name, behaviour FROM closed
