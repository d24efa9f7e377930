"""OPTIONS of a Kafka runtime, checked by name and value; what is wrong is said without showing a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from openqueue.runtimes.base import Reach
from openqueue.runtimes.kafka.topics import Shape

CLIENTS: Final = ("kafka-python", "confluent")
MODES: Final = ("classic", "share")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER")
PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SECURITY: Final = ("security_protocol", "sasl_mechanism", "username", "password")
TLS: Final = ("ca", "cert", "key", "check_hostname")
KNOWN: Final = ("brokers", "group_id", "group_mode", "client", "partitions", "replication", "topics", "create_topics",
                "timeout", "session_timeout", "poll_interval", "metadata_age", "in_flight", *SECURITY, *TLS,
                "client_options")  # fmt: skip
PARTITIONS: Final = 6
IN_FLIGHT: Final = 10.0
ONE_COPY: Final = Shape(PARTITIONS, 1)


class OptionInvalid(ValueError):
    """An option of OPENQUEUE["RUNTIMES"][...]["OPTIONS"] cannot be used. The message names it, and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """How a connection proves itself and hides what it carries; files are paths."""

    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    check_hostname: bool = True

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("SSL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where Kafka is and how long to wait for it; durations in seconds."""

    brokers: tuple[str, ...]
    """host:port of some brokers, through which the others are found."""
    group_id: str | None = None
    """None: the namespace."""
    group_mode: str = "classic"
    """"share": any number of workers take single records of the same partitions."""
    client: str = "kafka-python"
    shape: Shape = ONE_COPY
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    """Of single queues."""
    create_topics: bool = True
    timeout: float = 5.0
    session_timeout: float = 15.0
    """After so long without a heartbeat a member's partitions go to others."""
    poll_interval: float = 300.0
    """After so long without a poll a member that hangs leaves its group."""
    metadata_age: float = 30.0
    """How long a change of partitions may go unseen."""
    in_flight: float = IN_FLIGHT
    """How long an announcement that was received and never settled stays away."""
    security: Security = Security()
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Handed to every client as they are, over all of the above."""

    @property
    def where(self) -> str:
        """For people: without user and password."""
        return ",".join(self.brokers)

    @property
    def reach(self) -> Reach:
        hosts = [urlsplit(f"//{broker}").hostname or "" for broker in self.brokers]
        safe = self.security
        return Reach(hosts, safe.tls, not safe.tls or safe.check_hostname, safe.mechanism == "PLAIN")

    def shape_of(self, queue: str) -> Shape:
        return self.shapes.get(queue, self.shape)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Options:
        """Read OPTIONS.

        Raises:
            OptionInvalid: an unknown name, or a value that cannot be.
        """
        for name in raw:
            if name not in KNOWN:
                raise OptionInvalid(f"no option is called {name!r}. Known: {', '.join(KNOWN)}.")
        shape = Shape(
            whole("partitions", raw.get("partitions", PARTITIONS)),
            whole("replication", raw.get("replication", 1)),
        )
        times = ("timeout", "session_timeout", "poll_interval", "metadata_age", "in_flight")
        group = raw.get("group_id")
        if group is not None and (not isinstance(group, str) or not group):
            raise OptionInvalid("'group_id' must be a text; without it the group has the namespace's name.")
        extra = raw.get("client_options", {})
        if not isinstance(extra, Mapping):
            raise OptionInvalid("'client_options' must be a dictionary of the client's own settings.")
        client = one_of("client", raw.get("client", CLIENTS[0]), CLIENTS)
        mode = one_of("group_mode", raw.get("group_mode", MODES[0]), MODES)
        if mode == "share" and client != "confluent":
            raise OptionInvalid(
                f"'group_mode' is 'share', and {client} has no share groups: write 'client': 'confluent' and install "
                f"OpenQueue with its `kafka-confluent` extra, or drop 'group_mode'."
            )
        return cls(
            brokers=addresses(raw.get("brokers")),
            group_id=group,
            group_mode=mode,
            client=client,
            shape=shape,
            shapes=shapes(raw.get("topics", {}), otherwise=shape),
            create_topics=boolean("create_topics", raw.get("create_topics", True)),
            security=security(raw),
            client_options=extra,
            **{name: seconds(name, raw[name]) for name in times if name in raw},
        )


def addresses(raw: Any) -> tuple[str, ...]:
    """Read "host:port" of each broker, from a list or a text with commas."""
    listed = raw.split(",") if isinstance(raw, str) else raw
    found = []
    for text in listed if isinstance(listed, list | tuple) and listed else [None]:
        parts = urlsplit(f"//{text.strip()}") if isinstance(text, str) else None
        try:
            if parts is None or not parts.hostname or parts.username is not None or parts.path:
                raise ValueError  # noqa: TRY301  # said below, with the remedy
            host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
            found.append(f"{host}:{parts.port or 9092}")
        except ValueError:
            raise OptionInvalid(
                "'brokers' must be a list such as [\"kafka-1:9092\", \"kafka-2:9092\"], without a scheme; user and "
                "password go into 'username' and 'password'."
            ) from None  # fmt: skip
    return tuple(found)


def shapes(raw: Any, *, otherwise: Shape) -> dict[str, Shape]:
    """Read the partitions and copies of single queues."""
    if not isinstance(raw, Mapping):
        raise OptionInvalid('\'topics\' must be a dictionary such as {"email": {"partitions": 24}}.')
    found = {}
    for queue, entry in raw.items():
        if not isinstance(entry, Mapping) or set(entry) - {"partitions", "replication"}:
            raise OptionInvalid(
                f"'topics' has {entry!r} for {queue!r}: its keys are partitions and replication."
            )
        found[queue] = Shape(
            whole("partitions", entry.get("partitions", otherwise.partitions)),
            whole("replication", entry.get("replication", otherwise.replication)),
        )
    return found


def security(raw: Mapping[str, Any]) -> Security:
    """Read how connections are made safe."""
    protocol = one_of("security_protocol", raw.get("security_protocol", "PLAINTEXT"), PROTOCOLS)
    sasl = [name for name in SECURITY[1:] if name in raw]
    tls = [name for name in TLS if name in raw]
    if sasl and not protocol.startswith("SASL"):
        raise OptionInvalid(f"{', '.join(sasl)}: write 'security_protocol': 'SASL_SSL' too, or drop it.")
    if tls and not protocol.endswith("SSL"):
        raise OptionInvalid(
            f"{', '.join(tls)} is for TLS: write 'security_protocol': 'SSL' or 'SASL_SSL', or drop it."
        )
    mechanism = None
    if protocol.startswith("SASL"):
        mechanism = one_of("sasl_mechanism", raw.get("sasl_mechanism"), MECHANISMS)
        if mechanism[:5] in {"PLAIN", "SCRAM"} and not all(
            isinstance(raw.get(name), str) for name in ("username", "password")
        ):
            raise OptionInvalid(f"{mechanism} needs 'username' and 'password'.")
    for name in ("ca", "cert", "key"):
        if name in raw and not (isinstance(raw[name], str | Path) and Path(raw[name]).is_file()):
            raise OptionInvalid(f"{name!r} names no file that can be read here.")
    files = {name: str(raw[name]) for name in ("ca", "cert", "key") if name in raw}
    return Security(
        protocol=protocol,
        mechanism=mechanism,
        username=raw.get("username"),
        password=raw.get("password"),
        check_hostname=boolean("check_hostname", raw.get("check_hostname", True)),
        **files,
    )


def one_of(name: str, value: Any, known: tuple[str, ...]) -> str:
    if value in known:
        return str(value)
    raise OptionInvalid(f"{name!r} is {value!r}: use one of {', '.join(known)}.")


def boolean(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise OptionInvalid(f"{name!r} is {value!r}: write True or False.")


def seconds(name: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise OptionInvalid(f"{name!r} is {value!r}: use seconds above 0.")


def whole(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise OptionInvalid(f"{name!r} is {value!r}: use a whole number, 1 or more.")
