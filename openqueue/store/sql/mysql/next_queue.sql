-- The next queue of a runtime that has ready rows: one look into openqueue_outbox_due. Parameters: the runtime, the
-- queue before. A recursive walk in one statement would read all rows of the runtime: the server looks up no range
-- that it does not know beforehand.
SELECT queue
FROM openqueue_outbox FORCE INDEX (openqueue_outbox_due)
WHERE ready = 1 AND runtime = %s AND queue > %s
ORDER BY queue
LIMIT 1
