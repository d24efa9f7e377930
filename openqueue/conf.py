"""The OPENQUEUE setting, read once, checked, with its defaults."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from openqueue.outward import Outward
from openqueue.outward import read as read_outward
from openqueue.sizes import is_count, size

DATABASE_RUNTIME: Final = "openqueue.runtimes.database.DatabaseRuntime"
SHORTCUTS: Final = {
    "REDIS": ("openqueue.runtimes.redis.RedisRuntime", "url"),
    "RABBITMQ": ("openqueue.runtimes.rabbitmq.RabbitMQRuntime", "url"),
    "KAFKA": ("openqueue.runtimes.kafka.KafkaRuntime", "brokers"),
}
"""Keys that select a broker for every queue: its runtime, and the option that the value is."""
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
DEFAULT_ALIAS: Final = "default"
DEFAULT_QUEUE: Final = "default"
RETENTION_DAYS: Final = {
    "completed": 30,
    "failed": 90,
    "cancelled": 30,
    "expired": 30,
    "logs": 30,
    "ticks": 30,
    "audit": 365,
    "alerts": 90,
    "minutes": 3,
    "hours": 90,
    "days": 730,
}
"""The last three are of roll-ups."""
API_RATES: Final[dict[str, int | None]] = {"read": 1200, "write": 600, "worker": None, "refused": 30}
DURATIONS: Final = ("LEASE", "HEARTBEAT", "REAP_EVERY", "SHUTDOWN_GRACE", "REPUBLISH_AFTER", "LONG_POLL")
COUNTS: Final = (
    "MAX_CRASHES", "PAYLOAD_LIMIT", "RESULT_LIMIT", "CHILD_MAX_RUNS", "CHILD_MAX_RSS", "LONG_POLLS",
)  # fmt: skip
MASK_NAMES: Final = (
    "pass", "passwd", "password", "passphrase", "pwd", "secret", "token", "api_key", "apikey", "private_key",
    "credential", "credentials", "authorization",
)  # fmt: skip
WORDS: Final = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
RELEASE: Final = re.compile(r"[!-~]{1,60}")
"""What a project may call a release of its own: as commits, tags and versions are called."""


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
    release: str = ""
    """The project's own, which workers tell; empty: none is told."""
    runtimes: Mapping[str, RuntimeConfig]
    queues: Mapping[str, QueueConfig]
    lease: timedelta = timedelta(seconds=30)
    heartbeat: timedelta = timedelta(seconds=10)
    reap_every: timedelta = timedelta(seconds=5)
    shutdown_grace: timedelta = timedelta(seconds=25)
    republish_after: timedelta = timedelta(seconds=60)
    max_crashes: int = 3
    payload_limit: int = 262_144
    large_payloads: str | None = None
    """The alias in STORAGES of where payloads above the limit lie; None: they are refused."""
    result_limit: int = 262_144
    child_max_runs: int = 10_000
    child_max_rss: int = 512 * 1024**2
    retention: Mapping[str, timedelta | None]
    secret_keys: tuple[str, ...] = ()
    mask_names: tuple[str, ...] = MASK_NAMES
    """What stands under names with these words is shown to nobody."""
    api_rates: Mapping[str, int | None] = field(default_factory=lambda: dict(API_RATES))
    """Requests a minute: of one caller that read, that write, and tokens from one address that were refused; of one
    worker's token."""
    long_poll: timedelta = timedelta(seconds=20)
    """The longest that a claim over HTTP waits."""
    alerts: Outward = field(default_factory=Outward)
    """Whom alerts may be sent to, and from whom."""
    long_polls: int = 16
    """How many of them wait at a time in one process: each has a thread of its server."""

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
        known = {*(f.name.upper() for f in fields(Config)), *SHORTCUTS}
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
            "mask_names": self.mask_names(),
            "api_rates": self.api_rates(),
            "alerts": self.alerts(),
        }
        values |= self.texts()
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

    def texts(self) -> dict[str, str]:
        """Read what is one text; an alias must be one of the settings'."""
        rules: dict[str, tuple[str, Callable[[str], Any], str, str]] = {
            "NAMESPACE": ("E004", NAME.fullmatch, "", f"Use a name that matches {NAME.pattern}."),
            "DATABASE": (
                "E005", settings.DATABASES.__contains__, ", not in DATABASES",
                f"Use one of: {', '.join(sorted(settings.DATABASES))}.",
            ),
            "RELEASE": (
                "E016", lambda value: not value or RELEASE.fullmatch(value), "",
                "Use a text of at most 60 letters, digits and signs without spaces: a version, a tag or a commit.",
            ),
            "LARGE_PAYLOADS": (
                "E017", settings.STORAGES.__contains__, ", not in STORAGES",
                f"Add a storage that no browser is served from, or use one of: {', '.join(sorted(settings.STORAGES))}.",
            ),
        }  # fmt: skip
        found = {}
        for key, (number, fits, but, hint) in rules.items():
            value = self.raw.get(key)
            if isinstance(value, str) and fits(value):
                found[key.lower()] = value
            elif key in self.raw and not (value is None and key == "LARGE_PAYLOADS"):
                self.problem(number, f"OPENQUEUE[{key!r}] is {value!r}{but}.", hint)
        return found

    def runtimes(self) -> dict[str, RuntimeConfig]:
        raw, chosen = self.raw.get("RUNTIMES"), "RUNTIMES"
        for key, (backend, option) in SHORTCUTS.items():
            if key not in self.raw:
                continue
            if raw is not None:
                self.problem("E006", f"OPENQUEUE has both {key} and {chosen}.", f"Keep {chosen}, drop {key}.")
            else:
                raw, chosen = {DEFAULT_ALIAS: {"BACKEND": backend, "OPTIONS": {option: self.raw[key]}}}, key
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

    def mask_names(self) -> tuple[str, ...]:
        raw = self.raw.get("MASK_NAMES", MASK_NAMES)
        if isinstance(raw, list | tuple) and all(
            isinstance(one, str) and WORDS.fullmatch(one) for one in raw
        ):
            return tuple(raw)
        self.problem(
            "E014",
            f"OPENQUEUE['MASK_NAMES'] is {raw!r}.",
            "List words in lower case, several with _ between them: password, api_key. An empty list masks none.",
        )
        return MASK_NAMES

    def api_rates(self) -> dict[str, int | None]:
        raw = self.raw.get("API_RATES", {})
        if isinstance(raw, Mapping) and not set(raw) - set(API_RATES):
            wrong = [key for key, most in raw.items() if most is not None and not is_count(most)]
            if not wrong:
                return {**API_RATES, **raw}
        self.problem(
            "E100",
            f"OPENQUEUE['API_RATES'] is {raw!r}.",
            f"Its keys are {', '.join(API_RATES)}; values are requests a minute, or None for any number.",
        )
        return {**API_RATES}

    def alerts(self) -> Outward:
        read, faults = read_outward(self.raw.get("ALERTS", {}))
        for fault, hint in faults:
            self.problem("E015", f"OPENQUEUE['ALERTS']{'' if fault[0] == '[' else ' '}{fault}.", hint)
        return read

    def duration(self, name: str, value: Any) -> timedelta | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        duration = timedelta(seconds=value) if is_number else value
        if isinstance(duration, timedelta) and duration > timedelta(0):
            return duration
        self.problem("E013", f"{name} is {value!r}.", "Use seconds above 0, or a timedelta.")
        return None

    def count(self, key: str, value: Any) -> int | None:
        if is_count(value):
            return int(value)
        if key == "CHILD_MAX_RSS" and isinstance(value, str):
            with suppress(ValueError):
                return size(value)
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
    if setting in {"OPENQUEUE", "DATABASES", "STORAGES"}:
        load.cache_clear()


setting_changed.connect(forget)
