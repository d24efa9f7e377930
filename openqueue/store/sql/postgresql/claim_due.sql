-- Claim due rows of the database runtime: the outbox is the queue.
--
-- parameter     holds
-- runtime       alias of the runtime
-- gap_queues, gap_rooms, gap_places  queues, how many rows each may give, and which is the first (arrays)
-- lows, highs   priorities between which to look from the beginning, themselves not included (arrays)
-- point_...     the same for single priorities, to be looked at from a due time on: priorities, sinces (arrays)
-- room          how many rows at most, over all queues
-- announced     true: also rows that a broker carries, or whose time to be announced has not come
-- in_order      true: queues give in this order; false: they are merged by priority and due time
-- tasks         task ids that this process serves and has a slot for; other rows stay
-- limited, task_rooms  those of them that have a limit here, and how many each may take (arrays)
-- worker, token the incarnation, and the fence of this batch
-- avoid         runs that somebody else has locked (array)
-- lock_timeout  how long to wait for the row of a run; null leaves it as it is
-- now           the moment to use, or null for the database's clock
--
-- One limited index walk (openqueue_outbox_due) a queue, or more with floors (store/floors.py); then merged: never
-- ANY + sort.
-- A last row without a run tells all that was taken, when some of it had no claimable run.
-- No joins: what the planner believes of these tables, which are empty one moment and full the next, must not matter.
WITH clock AS (
    SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now
), patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', COALESCE(%(lock_timeout)s, current_setting('lock_timeout')), true)
), seen_between AS (
    SELECT o.*, q.place, q.room
    FROM patience, unnest(
        %(gap_queues)s::text[], %(gap_rooms)s::int4[], %(gap_places)s::int4[], %(lows)s::int4[], %(highs)s::int4[]
    ) AS q (name, room, place, low, high)
    CROSS JOIN LATERAL (
        SELECT run_id, priority, due_at, task_id
        FROM openqueue_outbox
        WHERE ready AND runtime = %(runtime)s AND queue = q.name AND priority > q.low AND priority < q.high
            AND (announce_at <= (SELECT now FROM clock) OR %(announced)s)
            AND (expires_at IS NULL OR expires_at > (SELECT now FROM clock))
            AND task_id = ANY (%(tasks)s::text[]) AND run_id <> ALL (%(avoid)s::uuid[])
        ORDER BY priority DESC, due_at
        LIMIT q.room
        FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE NOT EXISTS (SELECT FROM openqueue_queuestate AS s WHERE s.name = q.name AND s.paused)
), seen_since AS (
    SELECT o.*, q.place, q.room
    FROM patience, unnest(
        %(point_queues)s::text[], %(point_rooms)s::int4[], %(point_places)s::int4[], %(priorities)s::int2[],
        %(sinces)s::timestamptz[]
    ) AS q (name, room, place, priority, since)
    CROSS JOIN LATERAL (
        SELECT run_id, priority, due_at, task_id
        FROM openqueue_outbox
        WHERE ready AND runtime = %(runtime)s AND queue = q.name AND priority = q.priority AND due_at >= q.since
            AND (announce_at <= (SELECT now FROM clock) OR %(announced)s)
            AND (expires_at IS NULL OR expires_at > (SELECT now FROM clock))
            AND task_id = ANY (%(tasks)s::text[]) AND run_id <> ALL (%(avoid)s::uuid[])
        ORDER BY priority DESC, due_at
        LIMIT q.room
        FOR UPDATE SKIP LOCKED
    ) AS o
    WHERE NOT EXISTS (SELECT FROM openqueue_queuestate AS s WHERE s.name = q.name AND s.paused)
), seen AS (
    SELECT *, CASE WHEN %(in_order)s THEN place ELSE 0 END AS turn
    FROM (
        SELECT *, row_number() OVER (PARTITION BY place ORDER BY priority DESC, due_at) AS nth_of_queue
        FROM (SELECT * FROM seen_between UNION ALL SELECT * FROM seen_since) AS both_kinds
    ) AS ranked
    WHERE nth_of_queue <= room
), picked AS (
    SELECT run_id
    FROM (
        SELECT *, row_number() OVER (PARTITION BY task_id ORDER BY turn, priority DESC, due_at) AS nth
        FROM seen
    ) AS numbered
    WHERE nth <= COALESCE((%(task_rooms)s::int4[])[array_position(%(limited)s::text[], task_id)], nth)
    ORDER BY turn, priority DESC, due_at
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
        traceparent, flow_id, dedupe_key, priority
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
    SELECT id, seq, attempt, task_id, queue, payload, max_attempts, crash_count, meta, options, traceparent,
        flow_id, dedupe_key, priority
    FROM labelled ORDER BY array_position(ARRAY(SELECT run_id FROM picked), id)
)
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, array_to_json(ids)::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM (SELECT array_agg(run_id) AS ids FROM taken) AS all_taken
WHERE cardinality(ids) > (SELECT count(*) FROM labelled)
