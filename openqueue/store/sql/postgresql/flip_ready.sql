-- Rows whose time has come become ready; nothing is written to the run.
--
-- parameter     holds
-- room          how many rows at most
-- now           the moment to use, or null for the database's clock
UPDATE openqueue_outbox
SET ready = true
WHERE run_id = ANY (ARRAY(
    SELECT run_id FROM openqueue_outbox
    WHERE NOT ready AND waits_for IS NULL AND due_at <= COALESCE(%(now)s::timestamptz, statement_timestamp())
    ORDER BY due_at LIMIT %(room)s FOR UPDATE SKIP LOCKED
))
RETURNING queue, runtime
