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
-- A last row without a run tells all that was taken, when some of it had no claimable run.
-- No joins: what the planner believes of these tables, which are empty one moment and full the next, must not matter.
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
    UPDATE openqueue_run
    SET status = 'running', reason = '', attempt = attempt + 1, version = version + 1, worker_id = %(worker)s,
        started_at = (SELECT now FROM clock)
    WHERE id = ANY (ARRAY(SELECT run_id FROM taken)) AND status IN ('queued', 'scheduled', 'retrying')
    RETURNING id, version - 1 AS seq, attempt, task_id, queue, payload, max_attempts, crash_count, meta, options,
        traceparent
), mine AS (
    SELECT * FROM taken WHERE run_id = ANY (ARRAY(SELECT id FROM labelled))
), held AS (
    INSERT INTO openqueue_claim (
        run_id, seq, attempt, task_id, worker_id, token, queue, concurrency_key, claimed_at
    )
    SELECT run_id, seq, attempt, task_id, %(worker)s, %(token)s, queue, concurrency_key, (SELECT now FROM clock)
    FROM mine
), told AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, data, at)
    SELECT run_id, seq + 1, attempt, 'started', '',
        json_build_object('worker', %(worker)s::uuid, 'announced_at', announced_at, 'broker_ref', broker_ref)::text,
        (SELECT now FROM clock)
    FROM mine
)
(
    SELECT id, seq, attempt, task_id, queue, payload, max_attempts, crash_count, meta, options, traceparent
    FROM labelled ORDER BY array_position(ARRAY(SELECT run_id FROM picked), id)
)
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, array_to_json(ids)::text, NULL, NULL, NULL, NULL, NULL
FROM (SELECT array_agg(run_id) AS ids FROM taken) AS all_taken
WHERE cardinality(ids) > (SELECT count(*) FROM labelled)
