"""What stands beside a month of runs: flows, logs, schedules, workers, dead letters, alerts, and what operators did."""

from __future__ import annotations

from typing import Any, Final

from openqueue.alerts.kinds import KINDS
from openqueue.control.sweeps import USUAL
from tests.scale.month import TASKS, WORKERS, queue, task, uuid, worker

FLOWS, BIG_FLOW, RUNNING_FLOWS, STEPS = 20_000, 1_000, 1_000, 5
LOGGED, DEAD, ACTS, BULKS, SCHEDULES, ALERTS = 100_000, 30_000, 50_000, 3_000, 1_000, 20_000
OLD_WORKERS, RULES, CHANNELS = 2_000, 200, 20


def fill(connection: Any) -> None:
    """Fill the tables beside those of a month of runs."""
    for statement in (*_flows(), LOGS, *_schedules(), *_fleet(), *_people(), *_alerts()):
        connection.execute(statement)


def _flows() -> list[str]:
    """Flows of five steps in a line, one with a thousand nodes in layers of forty, and some that are at their first."""
    ended = FLOWS * STEPS
    return [
        f"""
        CREATE TABLE month_node AS
        SELECT run_id, flow, number, false AS waiting, outcome, at, {STEPS} AS total FROM (
            SELECT id AS run_id, (row_number() OVER (ORDER BY id DESC) - 1) / {STEPS} AS flow,
                {STEPS} - 1 - (row_number() OVER (ORDER BY id DESC) - 1) % {STEPS} AS number, outcome, created_at AS at
            FROM openqueue_run WHERE outcome IS NOT NULL ORDER BY id DESC LIMIT {ended}
        ) AS small
        UNION ALL
        SELECT id, {FLOWS}, row_number() OVER (ORDER BY id) - 1, false, outcome, created_at, {BIG_FLOW}
        FROM (SELECT * FROM openqueue_run WHERE outcome IS NOT NULL ORDER BY id DESC LIMIT {BIG_FLOW} OFFSET {ended})
            AS layers
        UNION ALL
        SELECT id, {FLOWS} + 1 + (row_number() OVER (ORDER BY id) - 1) / ({STEPS} - 1),
            1 + (row_number() OVER (ORDER BY id) - 1) % ({STEPS} - 1), true, NULL, created_at, {STEPS}
        FROM openqueue_run WHERE status = 'waiting'
        UNION ALL
        (SELECT id, {FLOWS} + row_number() OVER (ORDER BY id), 0, false, NULL, created_at, {STEPS}
        FROM openqueue_run WHERE status = 'running' ORDER BY id LIMIT {RUNNING_FLOWS})
        """,
        f"""
        CREATE TABLE month_flow AS
        SELECT flow, {uuid(2, "min(at)", "flow")} AS id, min(at) AS at, max(total) AS total, count(outcome) AS ended,
            count(*) FILTER (WHERE outcome = 'completed') AS completed, count(*) FILTER (WHERE waiting) AS waiting
        FROM month_node GROUP BY flow
        """,
        """
        INSERT INTO openqueue_flow (id, name, policy, status, total, waiting, active, completed, failed, created_at,
            checked_at, finished_at)
        SELECT id, 'order-' || flow % 40, 'fail', CASE WHEN ended < total THEN 'running' WHEN completed < total
            THEN 'failed' ELSE 'completed' END, total, waiting, total - ended - waiting, completed, ended - completed,
            at, at, CASE WHEN ended = total THEN at + interval '1 minute' END
        FROM month_flow
        """,
        """
        INSERT INTO openqueue_flownode (run_id, flow_id, name, number, waiting, remaining, blocked, outcome, delay,
            released_at)
        SELECT run_id, id, 'step-' || number, number, n.waiting, n.waiting::int, 0, outcome, 0,
            CASE WHEN NOT n.waiting THEN n.at END
        FROM month_node AS n JOIN month_flow USING (flow)
        """,
        f"""
        INSERT INTO openqueue_flowedge (parent_id, child_id, policy)
        SELECT above.run_id, below.run_id, 'fail' FROM month_node AS below JOIN month_node AS above
            ON above.flow = below.flow AND above.number = below.number
                - CASE WHEN below.total = {BIG_FLOW} THEN 40 ELSE 1 END
        """,
        """
        UPDATE openqueue_run SET flow_id = flow.id
        FROM month_node JOIN month_flow AS flow USING (flow) WHERE openqueue_run.id = run_id
        """,
    ]


LOGS: Final = f"""
    INSERT INTO openqueue_runlog (run_id, attempt, level, text, at)
    SELECT id, 1, (ARRAY[20, 30, 40])[n], 'Line ' || n || ' of ' || task_id || ' ' || repeat('y', 80), finished_at
    FROM (SELECT * FROM openqueue_run WHERE outcome IS NOT NULL ORDER BY finished_at DESC LIMIT {LOGGED}) AS r,
        generate_series(1, 3) AS g (n)
    ORDER BY finished_at
"""


def _schedules() -> list[str]:
    return [
        f"""
        INSERT INTO openqueue_schedule (id, task_id, key, cron, timezone, payload, misfire, overlap, jitter, anchor,
            paused_at, paused_by, next_tick, next_at, last_tick, last_run_at, error, failures, created_at, updated_at)
        SELECT n, {task("n")}, 'customer-' || n, '*/' || 1 + n % 30 || ' * * * *', 'Europe/Berlin', '{{}}', 'run_once',
            'allow', interval '0', now, CASE WHEN n % 10 = 0 THEN now END, CASE WHEN n % 10 = 0 THEN 'ada' ELSE '' END,
            at, at, now, now, '', 0, now, now
        FROM month, generate_series(1, {SCHEDULES}) AS g (n),
            LATERAL (SELECT CASE WHEN n % 10 > 0 THEN now + interval '6 hours' END) AS w (at)
        """,
        f"""
        INSERT INTO openqueue_scheduletick (schedule_id, tick, outcome, run_id, reason, at)
        SELECT CASE WHEN n <= 50000 THEN 1 ELSE 1 + n % {SCHEDULES} END, created_at, 'run', id, '', created_at
        FROM (SELECT id, created_at, row_number() OVER (ORDER BY id) AS n FROM (
            SELECT id, created_at FROM openqueue_run WHERE outcome IS NOT NULL ORDER BY id DESC LIMIT 150000
        ) AS newest) AS r
        """,
        """
        UPDATE openqueue_schedule SET last_run_id = run_id FROM (
            SELECT DISTINCT ON (schedule_id) schedule_id, run_id FROM openqueue_scheduletick
            ORDER BY schedule_id, tick DESC
        ) AS t WHERE openqueue_schedule.id = schedule_id
        """,
        "SELECT setval(pg_get_serial_sequence('openqueue_schedule', 'id'), 100000)",
    ]


def _fleet() -> list[str]:
    tasks = f"(SELECT json_agg({task('t')})::text FROM generate_series(1, {TASKS}) AS u (t))"
    queues = f"(SELECT json_agg(DISTINCT {queue('q')})::text FROM generate_series(n, n + 19) AS u (q))"
    return [
        f"""
        INSERT INTO openqueue_worker (id, host, pid, version, runtimes, queues, tasks, slots, busy, state, command,
            started_at, lease_until)
        SELECT CASE WHEN n < {WORKERS} THEN {worker("n")} ELSE md5('old' || n)::uuid END, 'web-' || n % 50, 1000 + n,
            '1.0', '["default"]', {queues}, {tasks}, 10, 10, CASE WHEN n < {WORKERS} THEN 'running' ELSE 'stopped' END,
            '', now - interval '1 hour', now + interval '1 hour' * CASE WHEN n < {WORKERS} THEN 6 ELSE -1 END
        FROM month, generate_series(0, {WORKERS + OLD_WORKERS} - 1) AS g (n)
        """,
        f"""
        INSERT INTO openqueue_queuestate (name, paused, paused_at, paused_by, pause_reason)
        SELECT {queue("n")}, n % 3 = 0, CASE WHEN n % 3 = 0 THEN now END, 'ada', 'Too many' FROM month,
            generate_series(1, 30) AS g (n)
        """,
        f"""
        INSERT INTO openqueue_sweep (name, last_at, last_count)
        SELECT name, now, 0 FROM month, unnest(ARRAY{["reap", *USUAL]}) AS s (name)
        """,
        """
        INSERT INTO openqueue_dedupekey (id, scope, key, run_id, until)
        SELECT md5(run_id::text)::uuid, 'task:' || task_id, run_id::text, run_id, due_at FROM openqueue_outbox
        LIMIT 20000
        """,
        """
        INSERT INTO openqueue_permit (key, run_id, attempt, given_at)
        SELECT 'customer:' || pid % 100, c.run_id, 1, claimed_at FROM openqueue_claim AS c JOIN openqueue_worker AS w
            ON w.id = worker_id
        """,
        """
        INSERT INTO openqueue_limit (key, used_at)
        SELECT DISTINCT key, now FROM month, openqueue_permit
        """,
    ]


def _people() -> list[str]:
    return [
        f"""
        INSERT INTO openqueue_deadletter (runtime, queue, origin, reason, sha256, size, head, at)
        SELECT 'default', {queue("n")}, '{{"topic": "orders", "partition": 3, "offset": ' || n || '}}',
            'no JSON: line ' || n % 50, repeat('ab', 32), 1000 + n, repeat('7b', 64), now - interval '1 minute' * n
        FROM month, generate_series({DEAD}, 1, -1) AS g (n)
        """,
        f"""
        INSERT INTO openqueue_auditlog (actor, act, object, before, after, reason, at)
        SELECT 'person-' || n % 20, CASE WHEN n % 3 = 0 THEN 'queue.pause' ELSE 'run.retry' END,
            CASE WHEN n % 3 = 0 THEN 'queue ' || {queue("n / 3")} ELSE 'run ' || md5(n::text)::uuid END,
            '{{"status": "failed"}}', '{{"status": "queued"}}', 'A reason', now - interval '1 minute' * n
        FROM month, generate_series({ACTS}, 1, -1) AS g (n)
        """,
        f"""
        INSERT INTO openqueue_bulkoperation (id, act, arguments, search, sees_payloads, actor, reason, asked_at,
            expected, or_more, looked_at, acted, skipped, stopped_by, moved_at, finished_at)
        SELECT {uuid(3, "at", "n")}, 'retry', '{{}}', 'status:failed queue:' || {queue("n")}, true, 'ada', '', at,
            10000, true, 5000, 4000, '{{"running": 1000}}', '', at, CASE WHEN n > 3 THEN at END
        FROM month, generate_series({BULKS}, 1, -1) AS g (n), LATERAL (SELECT now - interval '1 hour' * n) AS w (at)
        """,
    ]


def _alerts() -> list[str]:
    kinds = sorted(KINDS)
    return [
        f"""
        INSERT INTO openqueue_alertchannel (name, kind, shown, target, paused_by, created_at, created_by)
        SELECT 'channel ' || n, 'email', 'ops@example.org', '["ops@example.org"]', '', now, 'ada'
        FROM month, generate_series(1, {CHANNELS}) AS g (n)
        """,
        f"""
        INSERT INTO openqueue_alertrule (name, kind, severity, threshold, least, factor, "window", hold, cooldown,
            queues, tasks, tells_end, paused_by, evaluated_at, created_at, created_by)
        SELECT 'rule ' || n, (ARRAY{kinds})[1 + n % {len(kinds)}], 'warning', 10, 1, 3, 300, 0, 300, '[]', '[]', true,
            '', now, now, 'ada'
        FROM month, generate_series(1, {RULES}) AS g (n)
        """,
        f"""
        INSERT INTO openqueue_alertrule_channels (alertrule_id, alertchannel_id)
        SELECT r.id, c.id FROM openqueue_alertrule AS r, openqueue_alertchannel AS c
        WHERE r.id % {CHANNELS} = c.id % {CHANNELS}
        """,
        f"""
        INSERT INTO openqueue_alert (id, rule_id, subject, standing, rule_name, kind, severity, value, text, began_at,
            opened_at, ended_at, ended_by, acknowledged_by, acknowledged_reason)
        SELECT {uuid(4, "at", "n")}, r.id, 'queue ' || {queue("n")}, CASE WHEN n <= 40 THEN 1 END, r.name, r.kind,
            r.severity, 12, 'The oldest due run has waited for 12 s.', at, at,
            CASE WHEN n > 40 THEN at + interval '3 minutes' END, '', '', ''
        FROM month, generate_series({ALERTS}, 1, -1) AS g (n)
            JOIN openqueue_alertrule AS r ON r.name = 'rule ' || 1 + n % {RULES},
            LATERAL (SELECT now - interval '2 minutes' * n) AS w (at)
        """,
        f"""
        INSERT INTO openqueue_alertdelivery (id, alert_id, channel_id, channel_name, event, facts, state, tries,
            created_at, sent_at, log)
        SELECT {uuid(5, "opened_at", "row_number() OVER (ORDER BY a.id)")}, a.id, c.id, c.name, 'opened',
            '{{"subject": "queue mail", "text": "It waits."}}',
            'sent', 1, opened_at, opened_at, '[]'
        FROM openqueue_alert AS a JOIN openqueue_alertrule_channels AS t ON t.alertrule_id = a.rule_id
            JOIN openqueue_alertchannel AS c ON c.id = t.alertchannel_id
        """,
    ]
