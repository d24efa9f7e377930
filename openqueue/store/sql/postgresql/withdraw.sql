-- End runs that wait in the outbox: cancelled, expired, failed. The delete by (run, seq) is the fence.
--
-- parameter     holds
-- runs, seqs    which rows; a null seq takes the row whatever its seq (arrays)
-- status, reason, kind, actor, error, data
-- lock_timeout  how long to wait for a locked row; null leaves it as it is
-- now           the moment to use, or null for the database's clock
WITH clock AS (
    SELECT COALESCE(%(now)s::timestamptz, statement_timestamp()) AS now
), patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', COALESCE(%(lock_timeout)s, current_setting('lock_timeout')), true)
), given AS (
    SELECT g.* FROM patience, unnest(%(runs)s::uuid[], %(seqs)s::int4[]) AS g (run_id, seq)
), locked AS (
    SELECT o.run_id FROM openqueue_outbox AS o JOIN given AS g ON o.run_id = ANY (ARRAY[g.run_id])
    WHERE g.seq IS NULL OR o.seq = g.seq
    ORDER BY o.run_id FOR UPDATE OF o
), taken AS (
    DELETE FROM openqueue_outbox WHERE run_id = ANY (ARRAY(SELECT run_id FROM locked)) RETURNING run_id
), run AS (
    UPDATE openqueue_run AS r
    SET status = %(status)s, reason = %(reason)s, version = r.version + 1, outcome = %(status)s,
        error = COALESCE(%(error)s, r.error), finished_at = (SELECT now FROM clock)
    WHERE r.id = ANY (ARRAY(SELECT run_id FROM taken)) AND r.status IN ('queued', 'scheduled', 'retrying')
    RETURNING r.id, r.version, r.attempt
), event AS (
    INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, data, at)
    SELECT id, version, attempt, %(kind)s, %(actor)s, %(data)s, (SELECT now FROM clock) FROM run
)
SELECT id FROM run
