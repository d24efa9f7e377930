-- Which of these runs nobody else has locked. Parameter: the runs.
SELECT id FROM openqueue_run FORCE INDEX (PRIMARY) WHERE id IN %s FOR UPDATE SKIP LOCKED
