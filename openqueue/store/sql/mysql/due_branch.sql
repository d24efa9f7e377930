-- One queue's part of a claim of due rows: a limited walk of openqueue_outbox_due, past what others have locked.
-- CLOCK is the moment to use. Parameters, by place: the queue's place in the order, runtime, queue, whether to take
-- also what a broker carries, the tasks to take, the queue again, its room.
(
    SELECT run_id, seq, attempt, task_id, queue, concurrency_key, announced_at, broker_ref, priority, due_at,
        %s AS place
    FROM openqueue_outbox FORCE INDEX (openqueue_outbox_due)
    WHERE ready = 1 AND runtime = %s AND queue = %s
        AND (announce_at <= CLOCK OR %s)
        AND (expires_at IS NULL OR expires_at > CLOCK)
        AND task_id IN %s
        AND NOT EXISTS (SELECT 1 FROM openqueue_queuestate WHERE name = %s AND paused = 1)
    ORDER BY priority DESC, due_at
    LIMIT %s
    FOR UPDATE SKIP LOCKED
)
