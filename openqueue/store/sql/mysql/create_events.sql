-- The first event of each new run. Parameter: the runs.
INSERT INTO openqueue_runevent (run_id, version, attempt, kind, actor, at)
SELECT id, 1, 0, 'triggered', '', created_at
FROM openqueue_run FORCE INDEX (PRIMARY)
WHERE id IN %s
