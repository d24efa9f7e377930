-- Settle a batch of attempts: the delete of the claim by (run, token) is the fence; what it misses is not ours.
--
-- parameter     holds (arrays, one element an outcome, ordered by run)
-- runs, tokens  which claim
-- statuses, reasons, kinds, results, errors, datas
-- delays        seconds until the next attempt, for retrying and queued
-- ages          seconds since the body began, or null when it never began
-- owns          settled by the worker itself: the event stores the token
-- lock_timeout  how long to wait for a locked row; null leaves it as it is
-- now           the moment to use, or null for the database's clock
--
-- ``= ANY (ARRAY[x])`` is ``= x`` that the planner cannot merge or hash, so that only an index lookup a row is left.
-- With plain ``=`` it now and then walked a whole index for each row, since it believed the table empty.
--
-- released refunds the attempt; worker_lost charges a crash; a cancel request beats putting the run back. What is put
-- back after it has begun does not expire any more, and waits for a permit of its concurrency key again; its turn in an
-- order it keeps.
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', COALESCE(%(lock_timeout)s, current_setting('lock_timeout')), true)
), given AS (
    SELECT g.*
    FROM patience, unnest(
        %(runs)s::uuid[], %(tokens)s::uuid[], %(statuses)s::text[], %(reasons)s::text[], %(kinds)s::text[],
        %(results)s::text[], %(errors)s::text[], %(datas)s::text[], %(delays)s::float8[], %(ages)s::float8[],
        %(owns)s::bool[]
    ) AS g (run_id, token, status, reason, kind, result, error, data, delay, age, own)
), fenced AS (
    DELETE FROM openqueue_claim AS c
    USING given AS g
    WHERE c.run_id = ANY (ARRAY[g.run_id]) AND c.token = g.token
    RETURNING g.*, c.attempt, c.task_id, c.concurrency_key, c.cancel_requested_by,
        c.cancel_requested_at IS NOT NULL AND g.status IN ('retrying', 'queued') AS cancelled
), ended AS (
    SELECT f.run_id, f.token, f.result, f.error, f.own, f.age, f.attempt, f.task_id, f.concurrency_key,
        f.reason = 'worker_lost' AS lost,
        f.kind = 'released' AS released,
        CASE WHEN f.cancelled THEN 'cancelled' ELSE f.status END AS status,
        CASE WHEN f.cancelled THEN 'by_user' ELSE f.reason END AS reason,
        CASE WHEN f.cancelled THEN 'cancelled' ELSE f.kind END AS kind,
        CASE WHEN f.cancelled OR f.status = 'cancelled' THEN COALESCE(f.cancel_requested_by, '') ELSE '' END AS actor,
        CASE WHEN f.status = 'retrying' AND NOT f.cancelled
            THEN left(f.data, -1) || ',"next_run_at":' || to_json(clock.now + f.delay * interval '1 second')::text || '}'
            ELSE f.data END AS data,
        clock.now + f.delay * interval '1 second' AS due_at,
        clock.now
    FROM fenced AS f, (SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now) AS clock
), run AS (
    UPDATE openqueue_run AS r
    SET status = e.status, reason = e.reason, version = r.version + 1, result = e.result,
        error = COALESCE(e.error, CASE WHEN e.status <> 'completed' THEN r.error END),
        attempt = CASE WHEN e.released AND e.status = 'queued' THEN e.attempt - 1 ELSE e.attempt END,
        crash_count = CASE WHEN e.lost THEN r.crash_count + 1 ELSE r.crash_count END,
        started_at = CASE WHEN e.age IS NULL THEN r.started_at ELSE e.now - e.age * interval '1 second' END,
        expires_at = CASE WHEN e.status NOT IN ('retrying', 'queued') OR e.released AND e.age IS NULL THEN r.expires_at END,
        outcome = CASE WHEN e.status NOT IN ('retrying', 'queued') THEN e.status END,
        finished_at = CASE WHEN e.status NOT IN ('retrying', 'queued') THEN e.now END
    FROM ended AS e
    WHERE r.id = ANY (ARRAY[e.run_id])
    RETURNING r.id, r.version, r.status, r.queue, r.runtime, r.priority, r.expires_at, r.ordering_key, e.token, e.own, e.released,
        e.attempt, e.task_id, e.concurrency_key, e.kind, e.actor, e.data, e.due_at, e.now
), event AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, token, actor, data, at)
    SELECT id, version, attempt, kind, CASE WHEN own THEN token END, actor, data, now FROM run
), again AS (
    INSERT INTO openqueue_outbox (
        run_id, seq, attempt, task_id, runtime, queue, priority, due_at, ready, expires_at, concurrency_key,
        announce_at, tries, ordering_key, waits_for, turn
    )
    SELECT id, version, CASE WHEN released THEN attempt ELSE attempt + 1 END, task_id, runtime, queue, priority,
        due_at, due_at <= now AND concurrency_key IS NULL, expires_at,
        concurrency_key, due_at, 0, ordering_key, concurrency_key, -priority
    FROM run
    WHERE status IN ('retrying', 'queued')
)
SELECT id, token, status, concurrency_key, ordering_key FROM run
