-- Where the ready rows of a priority begin, as far as this statement sees; locked ones are seen like others.
--
-- parameter           holds
-- runtime             alias of the runtime
-- queues, priorities  what to look at (arrays)
-- margin              what a floor is older than, at least
SELECT q.name, q.priority, LEAST(o.due_at, statement_timestamp() - %(margin)s::interval)
FROM unnest(%(queues)s::text[], %(priorities)s::int2[]) AS q (name, priority)
LEFT JOIN LATERAL (
    SELECT due_at
    FROM openqueue_outbox
    WHERE ready AND runtime = %(runtime)s AND queue = q.name AND priority = q.priority
    ORDER BY due_at
    LIMIT 1
) AS o ON true
