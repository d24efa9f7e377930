"""What OpenQueue stands on, as far as settings and its own connection tell: no broker is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from openqueue import runtimes, secrets
from openqueue.conf import config
from openqueue.control.doctor import settings
from openqueue.control.findings import Finding
from openqueue.runtimes.base import Reaches
from openqueue.store import store

IN_A_URL: Final = re.compile(r"://.*@", re.DOTALL)
ASKED: Final = re.compile(r"([?&;])([^=&;]+)=([^&;]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseReport:
    """The database that holds the runs."""

    alias: str
    vendor: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to a broker."""

    hosts: Sequence[str]
    is_encrypted: bool
    checks_host: bool
    """The certificate must name the host that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePremises:
    """What the settings say of one runtime, without secrets."""

    alias: str
    options: Mapping[str, Any]
    ways: Sequence[Way]
    """Empty where there is no broker, or its runtime does not tell."""


def database() -> DatabaseReport:
    """Return what the database is, in one statement at most."""
    connection = store().connection
    version = ".".join(str(part) for part in connection.get_database_version())
    return DatabaseReport(alias=store().alias, vendor=connection.display_name, version=version)


def of(alias: str) -> RuntimePremises:
    """Return what the settings say of a runtime; of one that cannot be made its options alone."""
    options = {name: shown(value, name=name) for name, value in config.runtimes[alias].options.items()}
    try:
        runtime = runtimes.get(alias)
        reached = runtime.reach() if isinstance(runtime, Reaches) else ()
    except Exception:  # its report says why
        reached = ()
    ways = [
        Way(hosts=list(one.hosts), is_encrypted=one.encrypted, checks_host=one.knows_whom)
        for one in reached
        if one.hosts
    ]
    return RuntimePremises(alias=alias, options=options, ways=ways)


def findings() -> Iterator[Finding]:
    """Return what ``manage.py check --deploy`` says of OpenQueue."""
    yield from settings.findings()
    yield from settings.of_deployment()


def shown(value: Any, *, name: str = "") -> Any:
    """Return a value of the settings as people may see it: what its name or its form says is secret is masked."""
    if value not in (None, "") and name and secrets.says_secret(name, names=config.mask_names):
        return secrets.MASK
    if isinstance(value, Mapping):
        return {str(key): shown(item, name=str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [shown(item) for item in value]
    if isinstance(value, str):
        return _without_credentials(value)
    return value if value is None or isinstance(value, bool | int | float) else f"<{type(value).__name__}>"


def _without_credentials(text: str) -> str:
    """Mask what stands before the last @ of a URL, and parameters whose names say secret."""

    def asked(found: re.Match[str]) -> str:
        is_secret = secrets.says_secret(found[2], names=config.mask_names)
        return f"{found[1]}{found[2]}={secrets.MASK}" if is_secret else found[0]

    return ASKED.sub(asked, IN_A_URL.sub(f"://{secrets.MASK}@", text))
