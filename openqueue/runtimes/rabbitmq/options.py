"""OPTIONS of a RabbitMQ runtime, checked by name and value; what is wrong is said without showing a password."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

SCHEMES: Final = {"amqp": 5672, "amqps": 5671}
TLS: Final = ("ca", "cert", "key", "check_hostname")
KNOWN: Final = ("url", "nodes", "exchange_type", "queue_type", "priorities", "delivery_limit", "delay_lanes", "window",
                "timeout", "connect_timeout", "in_flight", "heartbeat", "auth", "management", *TLS)  # fmt: skip
DELIVERY_LIMIT: Final = 1_000_000
"""Deliveries of one announcement that nobody claimed. The default means never: see `Options.delivery_limit`."""
MOST_LANES: Final = 8
LONGEST_LANE: Final = 600


class OptionInvalid(ValueError):
    """An option of OPENQUEUE["RUNTIMES"][...]["OPTIONS"] cannot be used. The message names it, and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where RabbitMQ is, what its queues are like, how long to wait for it; durations in seconds."""

    nodes: tuple[tuple[str, int], ...]
    """Tried in turn, beginning with the one that answered last."""
    virtual_host: str = "/"
    user: str = field(default="guest", repr=False)
    password: str = field(default="guest", repr=False)
    external: bool = False
    """SASL EXTERNAL: the certificate says who we are."""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str = ""
    """Whom the certificate of the server must name."""
    exchange_type: Literal["direct", "topic"] = "direct"
    queue_type: Literal["quorum", "classic"] = "quorum"
    priorities: Literal["lanes", "native", False] = "lanes"
    delivery_limit: int = DELIVERY_LIMIT
    """Of quorum queues. A run has a crash budget of its own, charged at the claim, where its message ends. What the
    broker would count are messages that came and were given back unclaimed, which is no fault of theirs."""
    delay_lanes: tuple[int, ...] = ()
    """Of how many seconds there are queues that hold messages until they are due, the shortest first."""
    window: int = 500
    """Messages sent and not yet confirmed."""
    timeout: float = 5.0
    """Without any answer."""
    connect_timeout: float = 3.0
    in_flight: float = 10.0
    """How long a worker may have an announcement in hand before it settles it; then others may have it."""
    heartbeat: int = 10
    management: str | None = None
    """URL of the management API, without credentials."""

    @property
    def where(self) -> str:
        """Return the place for people: without user and password."""
        return ", ".join(f"{host}:{port}" for host, port in self.nodes)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Options:
        """Read OPTIONS.

        Raises:
            OptionInvalid: an unknown name, or a value that cannot be.
        """
        for name in raw:
            if name not in KNOWN:
                raise OptionInvalid(f"no option is called {name!r}. Known: {', '.join(KNOWN)}.")
        scheme, told = address(raw.get("url"))
        if "nodes" in raw:
            told["nodes"] = addresses(raw["nodes"], port=SCHEMES[scheme])
        told["tls"] = context(raw, scheme=scheme)
        for name, values in CHOICES.items():
            if name in raw:
                told[name] = one_of(name, raw[name], values)
        for name in ("timeout", "connect_timeout", "in_flight"):
            if name in raw:
                told[name] = seconds(name, raw[name])
        for name, least in (("delivery_limit", 20), ("window", 1), ("heartbeat", 2)):
            if name in raw:
                told[name] = whole(name, raw[name], least=least)
        if "delay_lanes" in raw:
            told["delay_lanes"] = steps(raw["delay_lanes"])
        if raw.get("management") is not None:
            told["management"] = management(raw["management"])
        told["external"] = one_of("auth", raw.get("auth", "plain"), ("plain", "external")) == "external"
        options = cls(**told)
        options.fit_together(raw)
        return options

    def fit_together(self, raw: Mapping[str, Any]) -> None:
        if self.priorities == "native" and self.queue_type == "quorum":
            raise OptionInvalid("'priorities' cannot be 'native' on quorum queues, which have none. Keep 'lanes', or "
                                "add 'queue_type': 'classic'.")  # fmt: skip
        if self.external and (self.tls is None or "cert" not in raw):
            raise OptionInvalid("'auth': 'external' needs an amqps:// URL and 'cert', the certificate that says who we "
                                "are.")  # fmt: skip


CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "exchange_type": ("direct", "topic"),
    "queue_type": ("quorum", "classic"),
    "priorities": ("lanes", "native", False),
}


def address(url: Any) -> tuple[str, dict[str, Any]]:
    """Return the scheme of the URL, and what it says."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in SCHEMES:
        raise OptionInvalid(
            "'url' must be a text such as amqp://user:password@host:5672/vhost, or amqps:// for TLS."
        )
    if parts.query or parts.fragment:
        raise OptionInvalid(
            f"'url' carries a query or fragment; write options beside it: {', '.join(KNOWN)}."
        )
    try:
        host, port = parts.hostname or "localhost", parts.port or SCHEMES[parts.scheme]
    except ValueError as error:
        raise OptionInvalid("'url' has a port that is no number below 65536.") from error
    path = parts.path.removeprefix("/")
    if "/" in path:
        raise OptionInvalid("'url' names no one virtual host: write a slash in its name as %2F.")
    told: dict[str, Any] = {
        "nodes": ((host, port),),
        "virtual_host": unquote(path) or "/",
        "server_name": host,
    }
    if parts.username is not None:
        told |= {"user": unquote(parts.username), "password": unquote(parts.password or "")}
    return parts.scheme, told


def addresses(raw: Any, *, port: int) -> tuple[tuple[str, int], ...]:
    """Read "host:port" of each node."""
    found = []
    for text in raw if isinstance(raw, list | tuple) and raw else [None]:
        parts = urlsplit(f"//{text}") if isinstance(text, str) else None
        try:
            if parts is None or parts.hostname is None or parts.username is not None:
                raise ValueError  # noqa: TRY301  # said below, with the remedy
            found.append((parts.hostname, parts.port or port))
        except ValueError:
            raise OptionInvalid(
                "'nodes' must be a list such as [\"rabbit-1:5672\"], without credentials: those stand in the URL."
            ) from None
    return tuple(found)


def context(raw: Mapping[str, Any], *, scheme: str) -> ssl.SSLContext | None:
    """Read what only amqps:// takes."""
    given = [name for name in TLS if name in raw]
    if scheme != "amqps":
        if given:
            raise OptionInvalid(
                f"{', '.join(given)} is for TLS, and the URL is not. Write amqps://, or drop it."
            )
        return None
    for name in ("ca", "cert", "key"):
        if name in raw and not (isinstance(raw[name], str | Path) and Path(raw[name]).is_file()):
            raise OptionInvalid(f"{name!r} names no file that can be read here.")
    try:
        made = ssl.create_default_context(cafile=raw.get("ca"))
        if "cert" in raw:
            made.load_cert_chain(raw["cert"], raw.get("key"))
    except (ssl.SSLError, OSError) as error:
        raise OptionInvalid(f"'ca', 'cert' or 'key' holds nothing that TLS could use: {error}") from error
    made.check_hostname = one_of("check_hostname", raw.get("check_hostname", True), (True, False))
    return made


def steps(raw: Any) -> tuple[int, ...]:
    """Read the seconds of the delay lanes."""
    given = raw if isinstance(raw, list | tuple) else [None]
    if all(type(step) is int and 0 < step <= LONGEST_LANE for step in given) and len(given) <= MOST_LANES:
        return tuple(sorted(set(given)))
    raise OptionInvalid(
        f"'delay_lanes' is {raw!r}: use a list of at most {MOST_LANES} whole numbers of seconds such as [1, 5, 30], "
        f"none above {LONGEST_LANE}. Longer delays wait in the database alone."
    )


def management(raw: Any) -> str:
    parts = urlsplit(raw) if isinstance(raw, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise OptionInvalid("'management' must be a text such as http://host:15672.")
    if parts.username is not None:
        raise OptionInvalid(
            "'management' carries a user: it is asked as the user of 'url'. Drop it from the URL."
        )
    return str(raw).rstrip("/")


def one_of(name: str, value: Any, values: tuple[Any, ...]) -> Any:
    if any(value is one or (isinstance(one, str) and value == one) for one in values):
        return value
    raise OptionInvalid(f"{name!r} is {value!r}: use one of {', '.join(map(repr, values))}.")


def seconds(name: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise OptionInvalid(f"{name!r} is {value!r}: use seconds above 0.")


def whole(name: str, value: Any, *, least: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise OptionInvalid(f"{name!r} is {value!r}: use a whole number, {least} or more.")
