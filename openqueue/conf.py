"""The OPENQUEUE setting, read once, checked, with its defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

DATABASE_RUNTIME: Final = "openqueue.runtimes.database.DatabaseRuntime"
REDIS_RUNTIME: Final = "openqueue.runtimes.redis.RedisRuntime"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
DEFAULT_ALIAS: Final = "default"
DEFAULT_QUEUE: Final = "default"
RETENTION_DAYS: Final = {"completed": 30, "failed": 90, "cancelled": 30, "expired": 30, "logs": 30}
DURATIONS: Final = ("LEASE", "HEARTBEAT", "REAP_EVERY", "SHUTDOWN_GRACE", "REPUBLISH_AFTER")
COUNTS: Final = ("MAX_CRASHES", "PAYLOAD_LIMIT", "RESULT_LIMIT")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """One entry of RUNTIMES."""

    alias: str
    backend: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """One entry of QUEUES."""

    name: str
    runtime: str = DEFAULT_ALIAS
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in the setting: its check id, what is wrong, what to write instead."""

    id: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole setting as values; durations are timedelta, sizes are bytes."""

    namespace: str = "openqueue"
    database: str = "default"
    runtimes: Mapping[str, RuntimeConfig]
    queues: Mapping[str, QueueConfig]
    lease: timedelta = timedelta(seconds=30)
    heartbeat: timedelta = timedelta(seconds=10)
    reap_every: timedelta = timedelta(seconds=5)
    shutdown_grace: timedelta = timedelta(seconds=25)
    republish_after: timedelta = timedelta(seconds=60)
    max_crashes: int = 3
    payload_limit: int = 262_144
    result_limit: int = 262_144
    retention: Mapping[str, timedelta | None]
    secret_keys: tuple[str, ...] = ()

    def queue(self, name: str) -> QueueConfig:
        """Return the settings of a queue; a queue that is not named lives on the default runtime."""
        return self.queues.get(name) or QueueConfig(name=name)

    def runtime_of(self, queue: str) -> RuntimeConfig:
        """Return the runtime that carries ``queue``."""
        return self.runtimes[self.queue(queue).runtime]


class Reader:
    """Reads the dictionary of the setting into a Config and collects every problem on the way."""

    def __init__(self, raw: Any) -> None:
        self.problems: list[Problem] = []
        if not isinstance(raw, Mapping):
            self.problem(
                "E001", "OPENQUEUE must be a dictionary.", 'Write OPENQUEUE = {"NAMESPACE": "my-app"}.'
            )
            raw = {}
        self.raw: Mapping[str, Any] = raw

    def problem(self, number: str, message: str, hint: str) -> None:
        self.problems.append(Problem(id=f"openqueue.{number}", message=message, hint=hint))

    def read(self) -> Config:
        known = {*(f.name.upper() for f in fields(Config)), "REDIS"}
        for key in self.raw:
            if key not in known:
                self.problem(
                    "E002", f"OPENQUEUE has no key {key!r}.", f"Known keys: {', '.join(sorted(known))}."
                )
        runtimes = self.runtimes()
        values: dict[str, Any] = {
            "runtimes": runtimes,
            "queues": self.queues(runtimes),
            "retention": self.retention(),
            "secret_keys": self.secret_keys(),
        }
        if "NAMESPACE" in self.raw:
            values["namespace"] = self.namespace(self.raw["NAMESPACE"])
        if "DATABASE" in self.raw:
            values["database"] = self.database(self.raw["DATABASE"])
        for key in DURATIONS:
            if key in self.raw and (duration := self.duration(f"OPENQUEUE[{key!r}]", self.raw[key])):
                values[key.lower()] = duration
        for key in COUNTS:
            if key in self.raw and (count := self.count(key, self.raw[key])):
                values[key.lower()] = count
        config = Config(**values)
        if config.heartbeat * 2 > config.lease:
            self.problem(
                "E003",
                "OPENQUEUE['HEARTBEAT'] must be at most half of LEASE, or a late heartbeat loses the lease.",
                "Keep LEASE at three times HEARTBEAT.",
            )
        return config

    def namespace(self, value: Any) -> str:
        if isinstance(value, str) and NAME.fullmatch(value):
            return value
        self.problem(
            "E004", f"OPENQUEUE['NAMESPACE'] is {value!r}.", f"Use a name that matches {NAME.pattern}."
        )
        return "openqueue"

    def database(self, value: Any) -> str:
        if value in settings.DATABASES:
            return str(value)
        aliases = ", ".join(sorted(settings.DATABASES))
        self.problem(
            "E005", f"OPENQUEUE['DATABASE'] is {value!r}, not in DATABASES.", f"Use one of: {aliases}."
        )
        return "default"

    def runtimes(self) -> dict[str, RuntimeConfig]:
        raw = self.raw.get("RUNTIMES")
        if "REDIS" in self.raw:
            if raw is not None:
                self.problem("E006", "OPENQUEUE has both REDIS and RUNTIMES.", "Keep RUNTIMES, drop REDIS.")
            else:
                raw = {DEFAULT_ALIAS: {"BACKEND": REDIS_RUNTIME, "OPTIONS": {"url": self.raw["REDIS"]}}}
        found: dict[str, RuntimeConfig] = {}
        if raw is not None and not isinstance(raw, Mapping):
            self.problem(
                "E007", "OPENQUEUE['RUNTIMES'] must be a dictionary.", "Write it as DATABASES is written."
            )
            raw = None
        for alias, entry in (raw or {}).items():
            if not isinstance(entry, Mapping) or not isinstance(entry.get("BACKEND"), str):
                self.problem(
                    "E007",
                    f"OPENQUEUE['RUNTIMES'][{alias!r}] names no BACKEND.",
                    f'Write {{"BACKEND": "{DATABASE_RUNTIME}"}}.',
                )
                continue
            for key in set(entry) - {"BACKEND", "OPTIONS"}:
                self.problem(
                    "E002",
                    f"OPENQUEUE['RUNTIMES'][{alias!r}] has no key {key!r}.",
                    "Use BACKEND and OPTIONS.",
                )
            found[alias] = RuntimeConfig(
                alias=alias, backend=entry["BACKEND"], options=entry.get("OPTIONS", {})
            )
        if DEFAULT_ALIAS not in found:
            found[DEFAULT_ALIAS] = RuntimeConfig(alias=DEFAULT_ALIAS, backend=DATABASE_RUNTIME)
        return found

    def queues(self, runtimes: Mapping[str, RuntimeConfig]) -> dict[str, QueueConfig]:
        raw = self.raw.get("QUEUES", {})
        if not isinstance(raw, Mapping):
            self.problem(
                "E008", "OPENQUEUE['QUEUES'] must be a dictionary.", 'Write {"email": {"runtime": "db"}}.'
            )
            return {}
        found: dict[str, QueueConfig] = {}
        for name, entry in raw.items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                self.problem("E009", f"Queue name {name!r} is not allowed.", f"Names match {NAME.pattern}.")
            elif not isinstance(entry, Mapping) or set(entry) - {"runtime", "concurrency"}:
                self.problem(
                    "E008",
                    f"OPENQUEUE['QUEUES'][{name!r}] is {entry!r}.",
                    "Its keys are runtime and concurrency.",
                )
            elif entry.get("runtime", DEFAULT_ALIAS) not in runtimes:
                self.problem(
                    "E010",
                    f"Queue {name!r} names the runtime {entry['runtime']!r}, which is not in RUNTIMES.",
                    f"Use one of: {', '.join(sorted(runtimes))}.",
                )
            else:
                concurrency = entry.get("concurrency")
                if concurrency is not None:
                    concurrency = self.count(f"QUEUES'][{name!r}]['concurrency", concurrency)
                found[name] = QueueConfig(
                    name=name, runtime=entry.get("runtime", DEFAULT_ALIAS), concurrency=concurrency
                )
        return found

    def retention(self) -> dict[str, timedelta | None]:
        raw = self.raw.get("RETENTION", {})
        kept: dict[str, timedelta | None] = {k: timedelta(days=d) for k, d in RETENTION_DAYS.items()}
        if not isinstance(raw, Mapping):
            self.problem("E011", "OPENQUEUE['RETENTION'] must be a dictionary.", 'Write {"completed": 30}.')
            return kept
        for key, value in raw.items():
            if key not in kept:
                self.problem(
                    "E011", f"OPENQUEUE['RETENTION'] has no key {key!r}.", f"Keys: {', '.join(kept)}."
                )
            elif value is None or isinstance(value, timedelta):
                kept[key] = value
            elif isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
                kept[key] = timedelta(days=value)
            else:
                self.problem(
                    "E011",
                    f"OPENQUEUE['RETENTION'][{key!r}] is {value!r}.",
                    "Use days, a timedelta, or None to keep for ever.",
                )
        return kept

    def secret_keys(self) -> tuple[str, ...]:
        raw = self.raw.get("SECRET_KEYS", ())
        if isinstance(raw, list | tuple) and all(isinstance(key, str) and key for key in raw):
            return tuple(raw)
        self.problem(
            "E012", "OPENQUEUE['SECRET_KEYS'] must be a list of strings.", "The first encrypts, all decrypt."
        )
        return ()

    def duration(self, name: str, value: Any) -> timedelta | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        duration = timedelta(seconds=value) if is_number else value
        if isinstance(duration, timedelta) and duration > timedelta(0):
            return duration
        self.problem("E013", f"{name} is {value!r}.", "Use seconds above 0, or a timedelta.")
        return None

    def count(self, key: str, value: Any) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.problem("E013", f"OPENQUEUE[{key!r}] is {value!r}.", "Use a whole number above 0.")
        return None


def problems() -> list[Problem]:
    """Return every mistake of the setting as it is now (``manage.py check`` prints them)."""
    reader = Reader(getattr(settings, "OPENQUEUE", {}))
    reader.read()
    return reader.problems


@lru_cache(maxsize=1)
def load() -> Config:
    """Return the setting as values.

    Raises:
        ImproperlyConfigured: the setting has a mistake; its text names the key and the remedy.
    """
    reader = Reader(getattr(settings, "OPENQUEUE", {}))
    read = reader.read()
    if reader.problems:
        first = reader.problems[0]
        raise ImproperlyConfigured(f"{first.message} {first.hint} ({first.id})")
    return read


class LazyConfig:
    """Stands for the Config of the moment, so that ``override_settings`` just works."""

    def __getattr__(self, name: str) -> Any:
        return getattr(load(), name)


config: Config = LazyConfig()  # type: ignore[assignment]  # a stand-in with the same attributes


def forget(*, setting: str, **_: object) -> None:
    """Drop what was read when a test changes the setting."""
    if setting in {"OPENQUEUE", "DATABASES"}:
        load.cache_clear()


setting_changed.connect(forget)
