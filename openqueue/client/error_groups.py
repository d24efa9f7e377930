"""What clients do with groups of errors: the same for the one that waits and the one that awaits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TypeVar

from openqueue.client import insight
from openqueue.client.calls import Calls
from openqueue.client.insight import ErrorGroupAnswer
from openqueue.client.talk import Talk

T = TypeVar("T")


class ErrorGroups(ABC):
    """Of a client that waits for answers."""

    _calls: Calls

    @abstractmethod
    def _hold(self, talk: Talk[T]) -> T:
        """Hold a conversation: do what it wants until it returns."""

    def error_groups(
        self, *, state: str | None = None, task_id: str | None = None, limit: int = 50
    ) -> list[insight.ErrorGroup]:
        """Return failures by what makes them the same, seen last first; `state` is open, resolved or ignored."""
        wanted = {"state": state, "task_id": task_id, "limit": limit}
        return self._hold(self._calls.error_groups(wanted))

    def error_group(self, group: int) -> insight.ShownErrorGroup:
        """Return one group: its newest error, and the runs that failed so last."""
        return self._hold(self._calls.read(f"errors/{group}", insight.ShownErrorGroup))

    def resolve_error_group(self, group: int, *, release: str = "", reason: str = "") -> ErrorGroupAnswer:
        """Say that it is mended: what fails so after this moment opens the group; in `release` or a newer one."""
        return self._hold(self._calls.resolve(group, release=release, reason=reason))

    def ignore_error_group(
        self, group: int, *, until: datetime | None = None, above: int | None = None, reason: str = ""
    ) -> ErrorGroupAnswer:
        """Ignore it until a moment with its offset, or until it fails more than `above` times within one hour."""
        return self._hold(self._calls.ignore(group, until=until, above=above, reason=reason))

    def reopen_error_group(self, group: int, *, reason: str = "") -> ErrorGroupAnswer:
        """Open it again."""
        return self._hold(self._calls.triage(group, "reopening", {"reason": reason}))


class AsyncErrorGroups(ABC):
    """Of a client that awaits answers."""

    _calls: Calls

    @abstractmethod
    async def _hold(self, talk: Talk[T]) -> T:
        """Hold a conversation: do what it wants until it returns."""

    async def error_groups(
        self, *, state: str | None = None, task_id: str | None = None, limit: int = 50
    ) -> list[insight.ErrorGroup]:
        """Return failures by what makes them the same, seen last first; `state` is open, resolved or ignored."""
        wanted = {"state": state, "task_id": task_id, "limit": limit}
        return await self._hold(self._calls.error_groups(wanted))

    async def error_group(self, group: int) -> insight.ShownErrorGroup:
        """Return one group: its newest error, and the runs that failed so last."""
        return await self._hold(self._calls.read(f"errors/{group}", insight.ShownErrorGroup))

    async def resolve_error_group(
        self, group: int, *, release: str = "", reason: str = ""
    ) -> ErrorGroupAnswer:
        """Say that it is mended: what fails so after this moment opens the group; in `release` or a newer one."""
        return await self._hold(self._calls.resolve(group, release=release, reason=reason))

    async def ignore_error_group(
        self, group: int, *, until: datetime | None = None, above: int | None = None, reason: str = ""
    ) -> ErrorGroupAnswer:
        """Ignore it until a moment with its offset, or until it fails more than `above` times within one hour."""
        return await self._hold(self._calls.ignore(group, until=until, above=above, reason=reason))

    async def reopen_error_group(self, group: int, *, reason: str = "") -> ErrorGroupAnswer:
        """Open it again."""
        return await self._hold(self._calls.triage(group, "reopening", {"reason": reason}))
