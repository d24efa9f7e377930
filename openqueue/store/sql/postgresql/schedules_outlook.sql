-- The clock, when the next schedule is due (ISO 8601, or null), and whether any tick waits for a run to end.
--
-- parameter  holds
-- now        the moment to use, or null for the database's clock
SELECT to_json(COALESCE(%(now)s::timestamptz, statement_timestamp()))#>>'{}',
    (SELECT to_json(next_at)#>>'{}' FROM openqueue_schedule WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1),
    EXISTS (SELECT 1 FROM openqueue_schedule WHERE waiting_tick IS NOT NULL)
