-- Begin a new cycle at attempt 1. Parameters: the moment, the runs.
UPDATE openqueue_run FORCE INDEX (PRIMARY)
SET status = 'queued', reason = '', version = version + 1, cycle = cycle + 1, attempt = 0, crash_count = 0,
    result = NULL, error = NULL, outcome = NULL, finished_at = NULL, started_at = NULL, expires_at = NULL,
    scheduled_for = %s
WHERE id IN %s
