"""Who calls from outside, and what they may do and see: one answer for every face."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from openqueue.control.actor import LONGEST, Actor
from openqueue.errors import NotAllowed
from openqueue.wording import say as _

ALL: Final = None
"""In place of queues: every one."""


class Right(StrEnum):
    """What can be allowed or refused."""

    READ = "read"
    """Runs and tasks, without what they carry."""
    DATA = "data"
    """Payloads, results, errors, meta and logs of runs that may be read."""
    QUEUES = "queues"
    FLEET = "fleet"
    """Workers, and the health of everything."""
    OPERATE = "operate"
    """Tell workers to be quiet, to go on, to stop."""
    OUTBOX = "outbox"
    FLUSH = "flush"
    """Have what waits in the outbox announced at once."""
    AUDIT = "audit"
    """What operators did."""
    TRIGGER = "trigger"
    CANCEL = "cancel"
    RETRY = "retry"
    PROMOTE = "promote"
    """Have waiting runs come sooner, or later: made due, or given another priority."""
    DISCARD = "discard"
    """Delete ended runs and dead letters before their time."""
    PAUSE = "pause"
    CLEAR = "clear"
    SCHEDULES = "schedules"
    SCHEDULE_ADD = "add schedules"
    SCHEDULE_CHANGE = "change schedules"
    SCHEDULE_PAUSE = "pause schedules"
    SCHEDULE_TRIGGER = "trigger schedules"
    SCHEDULE_DELETE = "delete schedules"
    FLOWS = "flows"
    FLOW_CANCEL = "cancel flows"
    FLOW_RETRY = "retry flows"
    ERRORS = "errors"
    """Groups of errors; what their messages say needs DATA."""
    TRIAGE = "triage"
    """Resolve, ignore and open groups of errors."""
    ALERTS = "alerts"
    """What fired, and who was told."""
    ALERT_ACKNOWLEDGE = "acknowledge alerts"
    ALERT_RULES = "alert rules"
    ALERT_RULE_ADD = "add alert rules"
    ALERT_RULE_CHANGE = "change alert rules"
    ALERT_RULE_DELETE = "delete alert rules"
    ALERT_CHANNELS = "alert channels"
    """Where alerts are sent; nobody may see URLs and secrets."""
    ALERT_CHANNEL_ADD = "add alert channels"
    ALERT_CHANNEL_CHANGE = "change alert channels"
    ALERT_CHANNEL_DELETE = "delete alert channels"
    WORK = "work"
    """Claim and settle runs."""


PERMISSIONS: Final = {
    Right.READ: "openqueue.view_run",
    Right.DATA: "openqueue.view_payload",
    Right.QUEUES: "openqueue.view_queuestate",
    Right.FLEET: "openqueue.view_worker",
    Right.OPERATE: "openqueue.control_worker",
    Right.OUTBOX: "openqueue.view_outbox",
    Right.FLUSH: "openqueue.flush_outbox",
    Right.AUDIT: "openqueue.view_auditlog",
    Right.TRIGGER: "openqueue.trigger_run",
    Right.CANCEL: "openqueue.cancel_run",
    Right.RETRY: "openqueue.retry_run",
    Right.PROMOTE: "openqueue.promote_run",
    Right.DISCARD: "openqueue.discard_run",
    Right.PAUSE: "openqueue.pause_queue",
    Right.CLEAR: "openqueue.clear_queue",
    Right.SCHEDULES: "openqueue.view_schedule",
    Right.SCHEDULE_ADD: "openqueue.add_schedule",
    Right.SCHEDULE_CHANGE: "openqueue.change_schedule",
    Right.SCHEDULE_PAUSE: "openqueue.pause_schedule",
    Right.SCHEDULE_TRIGGER: "openqueue.trigger_schedule",
    Right.SCHEDULE_DELETE: "openqueue.delete_schedule",
    Right.FLOWS: "openqueue.view_flow",
    Right.FLOW_CANCEL: "openqueue.cancel_flow",
    Right.FLOW_RETRY: "openqueue.retry_flow",
    Right.ERRORS: "openqueue.view_errorgroup",
    Right.TRIAGE: "openqueue.triage_errorgroup",
    Right.ALERTS: "openqueue.view_alert",
    Right.ALERT_ACKNOWLEDGE: "openqueue.change_alert",
    Right.ALERT_RULES: "openqueue.view_alertrule",
    Right.ALERT_RULE_ADD: "openqueue.add_alertrule",
    Right.ALERT_RULE_CHANGE: "openqueue.change_alertrule",
    Right.ALERT_RULE_DELETE: "openqueue.delete_alertrule",
    Right.ALERT_CHANNELS: "openqueue.view_alertchannel",
    Right.ALERT_CHANNEL_ADD: "openqueue.add_alertchannel",
    Right.ALERT_CHANNEL_CHANGE: "openqueue.change_alertchannel",
    Right.ALERT_CHANNEL_DELETE: "openqueue.delete_alertchannel",
}
"""Django's permissions that give these rights to people."""
SCOPES: Final = {
    "read": frozenset(
        {
            Right.READ,
            Right.DATA,
            Right.QUEUES,
            Right.FLEET,
            Right.OUTBOX,
            Right.SCHEDULES,
            Right.FLOWS,
            Right.ERRORS,
            Right.ALERTS,
            Right.ALERT_RULES,
            Right.ALERT_CHANNELS,
        }
    ),
    "trigger": frozenset({Right.TRIGGER}),
    "control": frozenset(
        {
            Right.CANCEL,
            Right.RETRY,
            Right.PROMOTE,
            Right.DISCARD,
            Right.PAUSE,
            Right.CLEAR,
            Right.OPERATE,
            Right.FLUSH,
            Right.SCHEDULE_ADD,
            Right.SCHEDULE_CHANGE,
            Right.SCHEDULE_PAUSE,
            Right.SCHEDULE_TRIGGER,
            Right.SCHEDULE_DELETE,
            Right.FLOW_CANCEL,
            Right.FLOW_RETRY,
            Right.TRIAGE,
            Right.ALERT_ACKNOWLEDGE,
            Right.ALERT_RULE_ADD,
            Right.ALERT_RULE_CHANGE,
            Right.ALERT_RULE_DELETE,
        }
    ),
    "worker": frozenset({Right.WORK}),
    "admin": frozenset(Right),
}
"""What a token's scope gives. Where alerts are sent is for ``admin`` alone to say: a URL makes this network ask it."""
NARROWED: Final = {"trigger": ("task", "queue"), "worker": ("queue",)}
"""Scopes that can be for one thing only: trigger:task:shop.send_invoice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A person or program that calls from outside."""

    actor: Actor
    owner: str
    """What idempotency keys and throttles belong to; one caller keeps it, whatever its name becomes."""
    rights: frozenset[Right] = frozenset()
    queues: frozenset[str] | None = ALL
    """The only queues that exist for it."""
    tasks: frozenset[str] | None = ALL
    """The only tasks that it may trigger, beside those into ``into``."""
    into: frozenset[str] | None = ALL
    """The only queues that it may trigger into, beside ``tasks``."""
    is_operator: bool = False
    """It works at a shell of this project, and may trigger also what is for code alone."""
    works_on: frozenset[str] | None = ALL
    """The only queues that it may claim from."""

    @classmethod
    def person(cls, user: Any) -> Self:
        """Return a user of Django: a member of the staff has the rights of the permissions, anybody else none."""
        may = user.is_active and user.is_staff
        return cls(
            actor=Actor(name=_printable(user.get_username()) or f"user {user.pk}"),
            owner=f"user {user.pk}",
            rights=frozenset(right for right, name in PERMISSIONS.items() if may and user.has_perm(name)),
        )

    @classmethod
    def program(cls, name: str, *, owner: str, scopes: Collection[str], queues: Iterable[str] | None) -> Self:
        """Return the holder of a token."""
        rights: set[Right] = set()
        narrow: dict[str, set[str]] = {"task": set(), "queue": set()}
        works_on: set[str] = set()
        for scope in scopes:
            verb, _, rest = scope.partition(":")
            rights |= SCOPES.get(verb, frozenset())
            kind, _, what = rest.partition(":")
            if verb == "trigger" and kind:
                narrow[kind].add(what)
            if verb == "worker" and kind:
                works_on.add(what)
        anything = not narrow["task"] | narrow["queue"] or bool({"trigger", "admin"} & set(scopes))
        return cls(
            actor=Actor(name=f"token:{name}"),
            owner=owner,
            rights=frozenset(rights),
            queues=ALL if queues is None else frozenset(queues),
            tasks=ALL if anything else frozenset(narrow["task"]),
            into=ALL if anything else frozenset(narrow["queue"]),
            works_on=ALL if not works_on or {"worker", "admin"} & set(scopes) else frozenset(works_on),
        )

    @classmethod
    def operator(cls, actor: Actor) -> Self:
        """Return who works at a shell of this project, and may do everything."""
        return cls(actor=actor, owner=f"operator {actor.name}", rights=frozenset(Right), is_operator=True)

    def coming_from(self, origin: str) -> Self:
        """Return the same caller, with where its request came from."""
        return replace(self, actor=replace(self.actor, origin=_printable(origin)))

    def may(self, right: Right) -> bool:
        """Tell whether it has a right."""
        return right in self.rights

    def needs(self, *rights: Right) -> None:
        """Go on only with these rights.

        Raises:
            NotAllowed: it lacks one of them; the text names it.
        """
        for right in rights:
            if right not in self.rights:
                raise NotAllowed(_("{name} has no right to {right}.", name=self.actor.name, right=right))

    def sees(self, queue: str) -> bool:
        """Tell whether a queue exists for it."""
        return self.queues is ALL or queue in self.queues

    def may_work(self, queue: str) -> bool:
        """Tell whether it may claim runs of a queue."""
        allowed = self.works_on is ALL or queue in self.works_on
        return Right.WORK in self.rights and self.sees(queue) and allowed

    def may_trigger(self, task_id: str, *, queue: str) -> bool:
        """Tell whether it may create a run of this task in this queue."""
        if Right.TRIGGER not in self.rights or not self.sees(queue):
            return False
        return self.tasks is ALL or task_id in self.tasks or queue in (self.into or ())


def _printable(name: str) -> str:
    return "".join(c for c in name if c.isprintable()).strip()[:LONGEST]
