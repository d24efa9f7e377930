"""The pages of the Workbench, by place: each a route below the place's own, a name, and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from openqueue_workbench.frame.page import Page
from openqueue_workbench.pages import alerts
from openqueue_workbench.pages.activity import ActivityPage
from openqueue_workbench.pages.bulk import BulkListPage, BulkPage
from openqueue_workbench.pages.dead_letters import DeadLettersPage, DeadMessagePage
from openqueue_workbench.pages.enqueue import EnqueuePage
from openqueue_workbench.pages.errors import ErrorPage, ErrorsPage
from openqueue_workbench.pages.flows import FlowPage, FlowsPage
from openqueue_workbench.pages.health import HealthPage
from openqueue_workbench.pages.logs import LogsPage
from openqueue_workbench.pages.metrics import MetricsPage, TaskMetricsPage
from openqueue_workbench.pages.outbox import OutboxPage
from openqueue_workbench.pages.overview import OverviewPage
from openqueue_workbench.pages.queues import QueuePage, QueuesPage
from openqueue_workbench.pages.run import RunPage
from openqueue_workbench.pages.runs import RunsPage
from openqueue_workbench.pages.schedule_forms import ScheduleAdd, ScheduleEdit
from openqueue_workbench.pages.schedules import SchedulePage, SchedulesPage
from openqueue_workbench.pages.workers import WorkerPage, WorkersPage

LIST, ONE = "changelist", "change"
ROUTES: Final[Mapping[str, Sequence[tuple[str, str, type[Page]]]]] = {
    "overview": [("", LIST, OverviewPage)],
    "run": [("", LIST, RunsPage), ("<uuid:run>/", ONE, RunPage)],
    "queue": [("", LIST, QueuesPage), ("<path:name>/", ONE, QueuePage)],
    "enqueue": [("", LIST, EnqueuePage)],
    "bulk": [("", LIST, BulkListPage), ("<uuid:operation>/", ONE, BulkPage)],
    "error": [("", LIST, ErrorsPage), ("<int:number>/", ONE, ErrorPage)],
    "deadletter": [("", LIST, DeadLettersPage), ("<int:number>/", ONE, DeadMessagePage)],
    "outbox": [("", LIST, OutboxPage)],
    "log": [("", LIST, LogsPage)],
    "metrics": [("", LIST, MetricsPage), ("<path:task>/", ONE, TaskMetricsPage)],
    "activity": [("", LIST, ActivityPage)],
    "flow": [("", LIST, FlowsPage), ("<uuid:flow>/", ONE, FlowPage)],
    "health": [("", LIST, HealthPage)],
    "schedule": [
        ("", LIST, SchedulesPage),
        ("add/", "add", ScheduleAdd),
        ("<int:schedule>/", ONE, SchedulePage),
        ("<int:schedule>/edit/", "edit", ScheduleEdit),
    ],
    "worker": [("", LIST, WorkersPage), ("<uuid:worker>/", ONE, WorkerPage)],
    "alert": alerts.ROUTES,
}
