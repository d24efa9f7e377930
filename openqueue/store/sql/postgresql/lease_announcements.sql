-- Take due rows on a short lease, to be published outside any transaction.
--
-- parameter     holds
-- queues, rooms names of the queues of broker runtimes, and how many rows each may announce (arrays)
-- now           the moment to use, or null for the database's clock
WITH clock AS (
    SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now
), picked AS (
    SELECT o.run_id
    FROM unnest(%(queues)s::text[], %(rooms)s::int4[]) AS q (name, room)
    CROSS JOIN LATERAL (
        SELECT run_id
        FROM openqueue_outbox
        WHERE ready AND announce_at <= (SELECT now FROM clock) AND runtime = %(runtime)s AND queue = q.name
            AND (expires_at IS NULL OR expires_at > (SELECT now FROM clock))
        ORDER BY priority DESC, due_at
        LIMIT q.room
        FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE NOT EXISTS (SELECT FROM openqueue_queuestate AS s WHERE s.name = q.name AND s.paused)
), leased AS (
    UPDATE openqueue_outbox
    SET tries = tries + 1,
        announce_at = (SELECT now FROM clock) + LEAST(900, 2 ^ LEAST(tries - heard, 10)) * interval '1 second'
    WHERE run_id = ANY (ARRAY(SELECT run_id FROM picked))
    RETURNING run_id, seq, tries, attempt, task_id, runtime, queue, priority, announced_at IS NOT NULL AS announced,
        broker_ref, due_at, ordering_key, tries - heard AS unheard
)
SELECT run_id, seq, tries, attempt, task_id, runtime, queue, priority, ordering_key, unheard, announced, broker_ref
FROM leased ORDER BY priority DESC, due_at
