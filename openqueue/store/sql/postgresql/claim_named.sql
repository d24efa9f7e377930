-- Claim announced runs by name, (run, seq), and answer each message.
--
-- parameter     holds
-- runs, seqs    the announcements (arrays, ordered by run)
-- known         task ids that this process has registered; rows of others are deferred
-- limited_tasks, task_rooms, limited_queues, queue_rooms
--               what is limited in this process, and how many more of each (arrays); messages beyond are deferred
-- worker, token the incarnation, and the fence of this batch
-- lock_timeout  how long to wait for a locked row
-- now           the moment to use, or null for the database's clock
--
-- A row whose time has come is claimed though no sweep has made it ready yet: a broker may keep the time as well.
-- What is answered `later` or put back is unannounced, and its reference with it: the message that named it is settled,
-- and a broker that is asked by it would take the row's message for one of those that still wait. It was heard of: only
-- an unknown task counts as one more try that came to nothing.
-- ``= ANY (ARRAY[x])`` is ``= x`` that only an index lookup can serve: see settle.sql.
WITH clock AS (
    SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now
), patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', %(lock_timeout)s, true)
), found AS MATERIALIZED (
    SELECT o.run_id, o.seq, o.ready OR o.due_at <= (SELECT now FROM clock) AS ready, o.waits_for, o.expires_at,
        o.task_id, o.queue,
        EXISTS (SELECT FROM openqueue_queuestate AS s WHERE s.name = o.queue AND s.paused) AS paused
    FROM patience, unnest(%(runs)s::uuid[], %(seqs)s::int4[]) AS a (run_id, seq)
    JOIN openqueue_outbox AS o ON o.run_id = ANY (ARRAY[a.run_id]) AND o.seq = a.seq
    ORDER BY o.run_id
    FOR UPDATE OF o
), judged AS (
    SELECT run_id, seq, CASE
        WHEN waits_for IS NOT NULL THEN 'later'
        WHEN NOT ready THEN 'later'
        WHEN expires_at <= (SELECT now FROM clock) THEN 'gone'
        WHEN paused THEN 'paused'
        WHEN task_id <> ALL (%(known)s::text[]) THEN 'unknown_task'
        WHEN row_number() OVER (PARTITION BY ready, paused, task_id ORDER BY run_id)
            > (%(task_rooms)s::int8[])[array_position(%(limited_tasks)s::text[], task_id::text)] THEN 'no_slot'
        WHEN row_number() OVER (PARTITION BY ready, paused, queue ORDER BY run_id)
            > (%(queue_rooms)s::int8[])[array_position(%(limited_queues)s::text[], queue::text)] THEN 'no_slot'
        ELSE 'claimed' END AS answer
    FROM found
), deferred AS (
    UPDATE openqueue_outbox AS o
    SET announce_at = CASE j.answer WHEN 'later' THEN o.announce_at
            ELSE (SELECT now FROM clock) + interval '1 second' * CASE j.answer
                WHEN 'unknown_task' THEN LEAST(900, 2 ^ LEAST(o.tries - o.heard, 10)) ELSE 1 END END,
        announced_at = NULL, broker_ref = NULL, tries = o.tries + 1,
        heard = CASE j.answer WHEN 'unknown_task' THEN o.heard ELSE o.tries + 1 END,
        last_error = CASE j.answer WHEN 'later' THEN o.last_error ELSE j.answer END
    FROM judged AS j
    WHERE o.run_id = ANY (ARRAY[j.run_id]) AND j.answer IN ('later', 'paused', 'unknown_task', 'no_slot')
    RETURNING o.run_id, o.seq, o.task_id, o.tries - o.heard AS unheard, j.answer
), taken AS (
    DELETE FROM openqueue_outbox
    WHERE run_id = ANY (ARRAY(SELECT run_id FROM judged WHERE answer = 'claimed'))
    RETURNING run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref
), labelled AS (
    UPDATE openqueue_run
    SET status = 'running', reason = '', attempt = attempt + 1, version = version + 1, worker_id = %(worker)s,
        started_at = (SELECT now FROM clock)
    WHERE id = ANY (ARRAY(SELECT run_id FROM taken)) AND status IN ('queued', 'scheduled', 'retrying')
    RETURNING id, version - 1 AS seq, attempt, task_id, queue, payload, max_attempts, crash_count, meta, options,
        traceparent, flow_id, dedupe_key
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
SELECT 'claimed' AS answer, id, seq, attempt, task_id, queue, payload, max_attempts, crash_count, meta, options,
    traceparent, flow_id, dedupe_key
FROM labelled
UNION ALL
SELECT 'inconsistent', NULL, NULL, NULL, NULL, NULL, array_to_json(ids)::text, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM (SELECT array_agg(run_id) AS ids FROM taken) AS all_taken
WHERE cardinality(ids) > (SELECT count(*) FROM labelled)
UNION ALL
SELECT answer, run_id, seq, unheard, task_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM deferred
