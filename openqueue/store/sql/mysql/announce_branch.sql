-- One queue's part of a lease of announcements: a limited walk of openqueue_outbox_due, past what others have locked.
-- CLOCK is the moment to use. Parameters, by place: runtime, queue, the queue again, its room.
(
    SELECT run_id, seq, tries + 1, attempt, task_id, runtime, queue, priority, ordering_key, tries + 1 - heard,
        announced_at IS NOT NULL, broker_ref, due_at
    FROM openqueue_outbox FORCE INDEX (openqueue_outbox_due)
    WHERE ready = 1 AND runtime = %s AND queue = %s
        AND announce_at <= CLOCK
        AND (expires_at IS NULL OR expires_at > CLOCK)
        AND NOT EXISTS (SELECT 1 FROM openqueue_queuestate WHERE name = %s AND paused = 1)
    ORDER BY priority DESC, due_at
    LIMIT %s
    FOR UPDATE SKIP LOCKED
)
