"""Whom OpenQueue may talk to on somebody else's word: the URLs of webhooks, and OPENQUEUE["ALERTS"], which decides."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from openqueue.wording import say as _

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LONGEST_URL: Final = 1_000
LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER: Final = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
HOST: Final = re.compile(r"\.?[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?")
KEYS: Final = ("ALLOWED_HOSTS", "ONLY_HOSTS", "ALLOW_HTTP", "URL", "FROM")
TRANSLATED: Final = tuple(
    (ipaddress.IPv6Network(prefix), shift)
    for prefix, shift in (
        ("::ffff:0:0/96", 0),
        ("::/96", 0),
        ("64:ff9b::/96", 0),
        ("2002::/16", 80),
        ("64:ff9b:1::/48", 0),
    )
)
"""IPv6 addresses that stand for an IPv4 one (mapped, compatible, NAT64, 6to4), and how many bits follow it."""
REFUSED_V6: Final = tuple(map(ipaddress.IPv6Network, ("2001::/32", "fec0::/10")))
"""Teredo, whose IPv4 address is hidden in it, and what was once site-local."""


class Refused(ValueError):
    """A URL, host or address that nothing is sent to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that may be asked, taken apart."""

    url: str
    scheme: str
    host: str
    """In lower case and ASCII; an IPv6 address without its brackets."""
    port: int
    path: str
    """With its query."""

    @property
    def netloc(self) -> str:
        """Return what the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"https": 443, "http": 80}[self.scheme] else f"{host}:{self.port}"

    @property
    def masked(self) -> str:
        """Return what may be shown of it: the host, and the end of what may be a secret."""
        return f"{self.scheme}://{self.netloc}/…{self.path[-4:] if len(self.path) > 12 else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outward:
    """OPENQUEUE["ALERTS"] as values."""

    allowed_hosts: Sequence[str] = ()
    """Names and networks that may be private, and be talked to without TLS."""
    only_hosts: Sequence[str] | None = None
    """The only names and networks that are talked to; None: all that are public."""
    allow_http: bool = False
    url: str = ""
    """Where people look at alerts; messages link to it."""
    sender: str = ""
    """Of mails; empty: DEFAULT_FROM_EMAIL."""

    def target(self, url: str) -> Target:
        """Take a URL apart, and judge what can be judged without asking for its host's addresses.

        Raises:
            Refused: nothing is sent there.
        """
        target = parsed(url)
        allowed = named(target.host, self.allowed_hosts)
        if target.scheme == "http" and not (self.allow_http or allowed):
            raise Refused(_("is not https; OPENQUEUE['ALERTS']['ALLOW_HTTP'] allows http"))
        if self.only_hosts is not None and not named(target.host, self.only_hosts):
            raise Refused(
                _("goes to {host}, which OPENQUEUE['ALERTS']['ONLY_HOSTS'] does not name", host=target.host)
            )
        literal = address(target.host)
        if literal is not None:
            self.check(literal, host=target.host)
        elif not allowed and (
            "." not in target.host or target.host.endswith((".localhost", ".local", ".internal"))
        ):
            raise Refused(
                _("goes to {host}, a name of this network; ALLOWED_HOSTS may name it", host=target.host)
            )
        return target

    def check(self, found: Address, *, host: str) -> None:
        """Judge an address that a host has.

        Raises:
            Refused: it is no public one, and nothing allows it.
        """
        if named(host, self.allowed_hosts) or inside(found, self.allowed_hosts):
            return
        if not is_public(found):
            raise Refused(
                _("goes to {found}, which is no public address; ALLOWED_HOSTS may name it", found=found)
            )


def read(raw: Any) -> tuple[Outward, list[tuple[str, str]]]:
    """Read the setting; return it, and what is wrong with it: each with what to write instead."""
    if not isinstance(raw, Mapping):
        return Outward(), [("must be a dictionary", 'Write {"ALLOWED_HOSTS": ["hooks.example.com"]}.')]
    faults = [(f"has no key {key!r}", f"Keys: {', '.join(KEYS)}.") for key in raw if key not in KEYS]
    lists: dict[str, Sequence[str] | None] = {"ALLOWED_HOSTS": (), "ONLY_HOSTS": None}
    for key in lists:
        value = raw.get(key, lists[key])
        if isinstance(value, list | tuple) and all(isinstance(one, str) and is_entry(one) for one in value):
            lists[key] = tuple(value)
        elif value is not lists[key]:
            hint = (
                "List names, .suffixes, addresses or networks: hooks.example.com, .example.com, 10.1.0.0/16."
            )
            faults.append((f"[{key!r}] is {value!r}", hint))
    allow_http = raw.get("ALLOW_HTTP", False)
    if not isinstance(allow_http, bool):
        faults.append((f"['ALLOW_HTTP'] is {allow_http!r}", "Use True or False."))
    texts = {"URL": "", "FROM": ""}
    for key in texts:
        value = raw.get(key, "")
        if isinstance(value, str) and value.isprintable() and (key != "URL" or is_link(value)):
            texts[key] = value
        else:
            faults.append(
                (f"[{key!r}] is {value!r}", {"URL": "Write https://...", "FROM": "Write an address."}[key])
            )
    return (
        Outward(
            allowed_hosts=lists["ALLOWED_HOSTS"] or (),
            only_hosts=lists["ONLY_HOSTS"],
            allow_http=allow_http is True,
            url=texts["URL"],
            sender=texts["FROM"],
        ),
        faults,
    )


def is_link(value: str) -> bool:
    return not value or value.startswith(("https://", "http://"))


def is_entry(value: str) -> bool:
    return network(value) is not None or HOST.fullmatch(value) is not None


def parsed(url: str) -> Target:
    """Take a URL apart that means one thing only, to this parser and to every other.

    Raises:
        Refused: it is none.
    """
    if len(url) > LONGEST_URL:
        raise Refused(_("has more than {longest_url} characters", longest_url=LONGEST_URL))
    if not url.isascii() or not url.isprintable() or any(c in url for c in ' \\"<>^`{|}'):
        raise Refused(
            _("has characters that belong in no URL; write them percent-encoded, and a host as punycode")
        )
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise Refused(_("is not a URL: {error}", error=error)) from error
    if parts.scheme not in {"https", "http"}:
        raise Refused(_("must begin with https://"))
    if "@" in parts.netloc:
        raise Refused(_("must not have a user or password in it"))
    if parts.fragment or url.endswith("#"):
        raise Refused(_("must not have a #fragment"))
    if "%" in parts.netloc or not _is_host(host):
        raise Refused(_("has no host that OpenQueue knows: {host!r}", host=host))
    if port == 0:
        raise Refused(_("has no port that exists"))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        url=url,
        scheme=parts.scheme,
        host=host,
        port=port or {"https": 443, "http": 80}[parts.scheme],
        path=path,
    )


def _is_host(host: str) -> bool:
    """Tell names and plain addresses from other ways to write one: 2130706433, 0x7f.1, 0177.0.0.1, 127.1."""
    if ":" in host:
        return address(host) is not None
    labels = host.removesuffix(".").split(".")
    if NUMBER.fullmatch(labels[-1]):
        return address(host) is not None
    return len(host) <= 253 and not host.endswith(".") and all(LABEL.fullmatch(label) for label in labels)


def address(host: str) -> Address | None:
    """Return the address that a host is, in its one usual form; None: it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None


def named(host: str, entries: Sequence[str]) -> bool:
    """Tell whether one of these names a host, or the network of an address."""
    literal = address(host)
    if literal is not None:
        return inside(literal, entries)
    return any(host == entry or (entry.startswith(".") and host.endswith(entry)) for entry in entries)


def inside(found: Address, entries: Sequence[str]) -> bool:
    return any(
        known.version == found.version and found in known
        for known in map(network, entries)
        if known is not None
    )


def is_public(found: Address) -> bool:
    """Tell whether an address is reached from everywhere, and one host's; of an IPv6 one also what is inside."""
    if isinstance(found, ipaddress.IPv6Address):
        if any(found in refused for refused in REFUSED_V6):
            return False
        for prefix, shift in TRANSLATED:
            if found in prefix:
                return is_public(ipaddress.IPv4Address(int(found) >> shift & 0xFFFF_FFFF))
    return found.is_global and not found.is_multicast and not found.is_reserved and not found.is_unspecified
