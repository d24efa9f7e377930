"""What can be observed from outside. Receivers run after the fact: they can see, not alter. Sent with send_robust."""

from __future__ import annotations

from django.dispatch import Signal

run_started = Signal()
"""sender: the task; run_id, attempt, queue. A body is about to begin in this process."""

run_settled = Signal()
"""sender: the task; run_id, attempt, queue, status, reason. The attempt's outcome is committed."""

worker_started = Signal()
"""sender: the worker; worker_id."""

worker_stopped = Signal()
"""sender: the worker; worker_id."""
