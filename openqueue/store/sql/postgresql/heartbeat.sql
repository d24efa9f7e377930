-- Renew the lease of one incarnation and read back its claims. No row: it was declared lost.
--
-- parameter     holds
-- worker        the incarnation
-- lease         seconds
-- busy          bodies running now
-- state         running or stopping
-- memory        bytes that the worker takes; null: as it is
-- memories      the same of its last hour, as JSON; null: as it is
-- now           the moment to use, or null for the database's clock
WITH beat AS (
    UPDATE openqueue_worker
    SET lease_until = COALESCE(%(now)s::timestamptz, statement_timestamp()) + %(lease)s::float8 * interval '1 second',
        busy = %(busy)s, state = %(state)s, memory = COALESCE(%(memory)s::bigint, memory),
        memories = COALESCE(%(memories)s::text, memories)
    WHERE id = %(worker)s AND state IN ('running', 'stopping')
    RETURNING command
)
SELECT b.command, c.run_id, c.token, c.cancel_requested_at IS NOT NULL
FROM beat AS b
LEFT JOIN openqueue_claim AS c ON c.worker_id = %(worker)s
