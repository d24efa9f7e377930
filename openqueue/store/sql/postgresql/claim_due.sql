-- Claim due rows of the database runtime: the outbox is the queue.
--
-- parameter     holds
-- runtime       alias of the runtime
-- queues, rooms names of the queues, and how many rows each may give (arrays)
-- room          how many rows at most, over all queues
-- tasks         task ids that this process serves and has a slot for; other rows stay
-- worker, token the incarnation, and the fence of this batch
-- now           the moment to use, or null for the database's clock
--
-- One limited index walk a queue (openqueue_outbox_due), then merged: never ANY + sort.
WITH clock AS (
    SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now
), picked AS (
    SELECT o.run_id
    FROM unnest(%(queues)s::text[], %(rooms)s::int4[]) AS q (name, room)
    CROSS JOIN LATERAL (
        SELECT run_id, priority, due_at
        FROM openqueue_outbox
        WHERE ready AND runtime = %(runtime)s AND queue = q.name
            AND announce_at <= (SELECT now FROM clock)
            AND (expires_at IS NULL OR expires_at > (SELECT now FROM clock))
            AND task_id = ANY (%(tasks)s::text[])
        ORDER BY priority DESC, due_at
        LIMIT q.room
        FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE NOT EXISTS (SELECT FROM openqueue_queuestate AS s WHERE s.name = q.name AND s.paused)
    ORDER BY o.priority DESC, o.due_at
    LIMIT %(room)s
), taken AS (
    DELETE FROM openqueue_outbox
    WHERE run_id = ANY (ARRAY(SELECT run_id FROM picked))
    RETURNING run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref
), labelled AS (
    UPDATE openqueue_run AS r
    SET status = 'running', reason = '', attempt = t.attempt, version = r.version + 1, worker_id = %(worker)s,
        started_at = (SELECT now FROM clock)
    FROM taken AS t
    WHERE r.id = t.run_id AND r.status IN ('queued', 'scheduled', 'retrying')
    RETURNING r.id, r.version, r.payload, r.max_attempts, r.crash_count, r.meta, r.options, r.traceparent,
        t.seq, t.attempt, t.task_id, t.queue, t.concurrency_key, t.announced_at, t.broker_ref
), held AS (
    INSERT INTO openqueue_claim (
        run_id, seq, attempt, task_id, worker_id, token, queue, concurrency_key, claimed_at
    )
    SELECT id, seq, attempt, task_id, %(worker)s, %(token)s, queue, concurrency_key, (SELECT now FROM clock)
    FROM labelled
), told AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, data, at)
    SELECT id, version, attempt, 'started', '',
        json_build_object('worker', %(worker)s::uuid, 'announced_at', announced_at, 'broker_ref', broker_ref)::text,
        (SELECT now FROM clock)
    FROM labelled
)
SELECT t.run_id, t.seq, t.attempt, t.task_id, t.queue,
    l.payload, l.max_attempts, l.crash_count, l.meta, l.options, l.traceparent
FROM taken AS t
LEFT JOIN labelled AS l ON l.id = t.run_id
