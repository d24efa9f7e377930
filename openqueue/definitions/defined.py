"""A task whose body runs elsewhere: everything that a Python task is, except a function."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn, cast

from openqueue import limits, retry
from openqueue.conf import NAME
from openqueue.declaration import Task
from openqueue.definitions.payload import ANYTHING, SchemaPayload
from openqueue.errors import (
    DefinitionInvalid,
    FieldError,
    TaskDeclarationError,
    UnsupportedCapability,
)
from openqueue.options import Options

ID: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,199}")
OPTIONS: Final = ("priority", "max_attempts", "timeout", "ttl", "tags", "ordering_key", "concurrency_key")
"""What is taken as ``@task`` takes it."""
FIELDS: Final = frozenset(
    {*OPTIONS, "backoff", "concurrency", "description", "enqueueable", "max_concurrency", "needs", "on_worker_lost",
     "rate_limit", "schedule", "schema", "secret"}
)  # fmt: skip
PATHS: Final = re.compile(r"([a-z_]+)=")


class DefinedTask(Task[..., Any]):
    """Made of a definition; registered nowhere, since it is in a table."""

    def __init__(
        self, task_id: str, *, queue: str, declaration: Mapping[str, Any]
    ) -> None:  # the row is the whole
        """Raise DefinitionInvalid with all that is wrong."""
        given = dict(declaration)
        self.function = functools.partial(elsewhere, task_id)
        self.function.__doc__ = given.get("description", "")
        self.given_id = task_id
        self.declaration = given
        self.declared_rule: dict[str, Any] = {}
        self.usual_facts = None
        self.secret = tuple(given.get("secret") or ())
        self.signature = cast(Any, SchemaPayload(given.get("schema") or ANYTHING, secret=self.secret))
        self.options = self.read_options(queue, given)
        self.backoff = retry.Backoff.of(cast(Any, self.options.backoff))
        self.max_concurrency = given.get("max_concurrency")
        self.rate = limits.Rate.of(given["rate_limit"]) if given.get("rate_limit") else None
        self.on_worker_lost = given.get("on_worker_lost", "retry")
        self.api_enqueueable = given.get("enqueueable", True)
        self.needs = frozenset(given.get("needs") or ())
        """Labels that a worker must have to be given it."""
        # What only Python bodies have:
        self.is_async, self.concurrency, self.isolation, self.memory_limit = False, None, "thread", None
        self.retry_on, self.no_retry_on = None, ()
        self.hooks = dict.fromkeys(("start", "success", "retry", "failure", "cancel"))

    @classmethod
    def checked(cls, task_id: str, *, queue: str, declaration: Mapping[str, Any]) -> DefinedTask:
        """Return the task, or raise DefinitionInvalid with what is wrong; the shape was looked at before."""
        if not ID.fullmatch(task_id):
            raise DefinitionInvalid([("task_id", f"must match {ID.pattern}")])
        if not NAME.fullmatch(queue):
            raise DefinitionInvalid([("queue", f"must match {NAME.pattern}")])
        try:
            made = cls(task_id, queue=queue, declaration=declaration)
            made.check_names()
        except TaskDeclarationError as error:
            raise DefinitionInvalid(_faults(str(error))) from error
        made.signature.check()
        return made

    @staticmethod
    def read_options(queue: str, given: Mapping[str, Any]) -> Options:
        chosen = {name: given[name] for name in OPTIONS if given.get(name) is not None}
        backoff = given.get("backoff")
        if isinstance(backoff, Mapping):
            try:
                backoff = retry.Backoff.from_json(dict(backoff))
            except ValueError as error:
                raise DefinitionInvalid([("backoff", str(error))]) from error
        if backoff is not None:
            chosen["backoff"] = backoff
        return Options(queue=queue, **chosen).checked()


def _faults(text: str) -> list[FieldError]:
    found = PATHS.match(text)
    return [FieldError(found[1] if found else "declaration", text.removeprefix(found[0]) if found else text)]


def elsewhere(task_id: str, *_: Any, **__: Any) -> NoReturn:
    raise UnsupportedCapability(
        f"{task_id} is defined for workers in other languages: its body is not in this process. Trigger it instead."
    )
