"""OPTIONS of a Redis runtime, checked by name and value; what is wrong is said without showing a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SCHEMES: Final = ("redis", "rediss", "unix")
TLS: Final = {
    "ca": "ssl_ca_certs",
    "cert": "ssl_certfile",
    "key": "ssl_keyfile",
    "check_hostname": "ssl_check_hostname",
}
"""Our names for what a TLS connection takes, and redis-py's."""
KNOWN: Final = ("url", "db", "timeout", "connect_timeout", "max_connections", "in_flight", "cluster", "sentinels",
                "service", "sentinel_username", "sentinel_password", *TLS)  # fmt: skip
IN_FLIGHT: Final = 10.0


class OptionInvalid(ValueError):
    """An option of OPENQUEUE["RUNTIMES"][...]["OPTIONS"] cannot be used. The message names it, and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where Redis is and how long to wait for it; durations in seconds."""

    where: str
    """For people: without user and password."""
    connection: Mapping[str, Any]
    """What a connection is made with."""
    tls: bool = False
    path: str | None = None
    """Of the socket, with unix://."""
    sentinels: tuple[tuple[str, int], ...] = ()
    service: str = ""
    sentinel: Mapping[str, Any] = field(default_factory=dict)
    """What a connection to a Sentinel is made with."""
    cluster: bool = False
    max_connections: int = 50
    in_flight: float = IN_FLIGHT
    """How long an announcement that was received and never settled stays away."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Options:
        """Read OPTIONS.

        Raises:
            OptionInvalid: an unknown name, or a value that cannot be.
        """
        for name in raw:
            if name not in KNOWN:
                raise OptionInvalid(f"no option is called {name!r}. Known: {', '.join(KNOWN)}.")
        sentinels = addresses(raw.get("sentinels", ()))
        url = raw.get("url", "redis://" if sentinels else None)
        scheme, connection, where = address(url)
        if "db" in raw:
            connection["db"] = whole("db", raw["db"], least=0)
        timeout = seconds("timeout", raw.get("timeout", 5.0))
        patience = {
            "socket_timeout": timeout,
            "socket_connect_timeout": seconds(
                "connect_timeout", raw.get("connect_timeout", min(timeout, 2.0))
            ),
        }
        connection |= patience | PINNED
        encryption = tls(raw, scheme=scheme)
        connection |= encryption
        sentinel = patience | PINNED | encryption
        for name in ("sentinel_username", "sentinel_password"):
            if name in raw:
                sentinel[name.removeprefix("sentinel_")] = raw[name]
        options = cls(
            where=f"{raw.get('service')} by Sentinel" if sentinels else where,
            connection=connection,
            tls=scheme == "rediss",
            path=connection.pop("path", None),
            sentinels=sentinels,
            service=raw.get("service", ""),
            sentinel=sentinel,
            cluster=raw.get("cluster", False),
            max_connections=whole("max_connections", raw.get("max_connections", 50), least=4),
            in_flight=seconds("in_flight", raw.get("in_flight", IN_FLIGHT)),
        )
        options.fit_together()
        return options

    def fit_together(self) -> None:
        if self.sentinels and not self.service:
            raise OptionInvalid("'sentinels' needs 'service', the name under which they watch the primary.")
        if self.service and not self.sentinels:
            raise OptionInvalid("'service' needs 'sentinels', such as [\"sentinel-1:26379\"].")
        if not isinstance(self.cluster, bool):
            raise OptionInvalid(f"'cluster' is {self.cluster!r}: write True or False.")
        if self.cluster and (self.sentinels or self.path):
            raise OptionInvalid(
                "'cluster' takes a redis:// or rediss:// URL of one of its nodes, and no Sentinel."
            )
        if self.cluster and self.connection.get("db", 0):
            raise OptionInvalid("'db' must be 0 on a Cluster, which has no others.")


PINNED: Final[dict[str, Any]] = {
    # Since redis-py 8 the defaults send a write again whose answer was lost, and break into blocking reads.
    "retry": Retry(NoBackoff(), 0),
    "protocol": 2,
    "health_check_interval": 0,
    **({"legacy_responses": False} if int(redis.__version__.split(".")[0]) >= 8 else {}),
}


def address(url: Any) -> tuple[str, dict[str, Any], str]:
    """Return scheme, what a connection is made with, and the place without credentials."""
    if not isinstance(url, str) or urlsplit(url).scheme not in SCHEMES:
        raise OptionInvalid("'url' must be a text such as redis://user:password@host:6379/0, rediss:// for TLS, or "
                            "unix:///path/to/redis.sock.")  # fmt: skip
    parts = urlsplit(url)
    if parts.query or parts.fragment:
        raise OptionInvalid(
            f"'url' carries a query or fragment; write options beside it: {', '.join(KNOWN)}."
        )
    try:
        host, port = parts.hostname or "localhost", parts.port or 6379
    except ValueError as error:
        raise OptionInvalid("'url' has a port that is no number below 65536.") from error
    connection: dict[str, Any] = {}
    if parts.username:
        connection["username"] = unquote(parts.username)
    if parts.password:
        connection["password"] = unquote(parts.password)
    if parts.scheme == "unix":
        if not parts.path:
            raise OptionInvalid("'url' names no socket: write unix:///path/to/redis.sock.")
        return "unix", connection | {"path": unquote(parts.path)}, unquote(parts.path)
    if (number := parts.path.strip("/")) and not number.isdecimal():
        raise OptionInvalid("'url' ends in no database number: write redis://host:6379/0.")
    return parts.scheme, connection | {"host": host, "port": port, "db": int(number or 0)}, f"{host}:{port}"


def addresses(raw: Any) -> tuple[tuple[str, int], ...]:
    """Read "host:port" of each Sentinel."""
    found = []
    for text in raw if isinstance(raw, list | tuple) else [None]:
        parts = urlsplit(f"//{text}") if isinstance(text, str) else None
        try:
            if parts is None or parts.hostname is None or parts.username is not None:
                raise ValueError  # noqa: TRY301  # said below, with the remedy
            found.append((parts.hostname, parts.port or 26379))
        except ValueError:
            raise OptionInvalid("'sentinels' must be a list such as [\"sentinel-1:26379\"].") from None
    return tuple(found)


def tls(raw: Mapping[str, Any], *, scheme: str) -> dict[str, Any]:
    """Read what only rediss:// takes."""
    given = {TLS[name]: value for name, value in raw.items() if name in TLS}
    if given and scheme != "rediss":
        names = ", ".join(sorted(set(raw) & set(TLS)))
        raise OptionInvalid(f"{names} is for TLS, and the URL is not. Write rediss://, or drop it.")
    for name in ("ca", "cert", "key"):
        if name in raw and not (isinstance(raw[name], str | Path) and Path(raw[name]).is_file()):
            raise OptionInvalid(f"{name!r} names no file that can be read here.")
    return {name: value if isinstance(value, bool) else str(value) for name, value in given.items()}


def seconds(name: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise OptionInvalid(f"{name!r} is {value!r}: use seconds above 0.")


def whole(name: str, value: Any, *, least: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise OptionInvalid(f"{name!r} is {value!r}: use a whole number, {least} or more.")
