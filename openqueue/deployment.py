"""What ``manage.py check --deploy`` finds: settings that work, and are not safe with real people's data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags
from django.core.checks import Warning as Caution
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.urls import URLResolver, get_resolver

from openqueue import conf, registry, runtimes, secrets
from openqueue.errors import OpenQueueError
from openqueue.models import ApiToken
from openqueue.runtimes.base import Reaches

API_URLS: Final = "openqueue.api.urls"
UNSHARED: Final = frozenset(
    f"django.core.cache.backends.{name}" for name in ("locmem.LocMemCache", "dummy.DummyCache")
)
INSECURE: Final = "django-insecure-"
"""How keys begin that startproject made up."""
SHORTEST_KEY, FEWEST_LETTERS = 50, 5
"""Of a SECRET_KEY, as Django's own check security.W009 has it."""
SHORTEST_SECRET_KEY: Final = 32
"""Of an entry of SECRET_KEYS."""
SERVED: Final = frozenset({"default", "staticfiles"})
"""Aliases of storages for what browsers fetch."""
DEFAULT_NAMESPACE: Final = "openqueue"
ENCRYPTED: Final = frozenset(
    {"require", "verify-ca", "verify-full", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"}
)
"""Values of PostgreSQL's sslmode and MySQL's ssl_mode that do not fall back to clear text."""


def api_is_safe_to_deploy(**_: Any) -> list[CheckMessage]:
    """W102 to W107: tokens in clear, counts a process, pages of errors, cookies in clear, no throttle."""
    if conf.problems() or not includes_api():
        return []
    found: list[CheckMessage] = []
    if not settings.SECURE_SSL_REDIRECT:
        found.append(
            Caution(
                "The API takes tokens, and SECURE_SSL_REDIRECT is off: one may travel in clear, unless what stands "
                "in front of Django lets only HTTPS in.",
                hint="Set SECURE_SSL_REDIRECT = True (behind a proxy with SECURE_PROXY_SSL_HEADER).",
                id="openqueue.W102",
            )
        )
    backend = settings.CACHES["default"].get("BACKEND", "")
    if backend in UNSHARED and any(conf.config.api_rates.values()):
        found.append(
            Caution(
                f"The API counts requests in CACHES['default'], a {backend.rpartition('.')[2]} that processes do not "
                f"share: each allows the whole of API_RATES.",
                hint="Use a shared cache: Redis, Memcached, or the database.",
                id="openqueue.W103",
            )
        )
    if settings.DEBUG:
        found.append(
            Error(
                "The API is included and DEBUG is on: an unforeseen error answers with local variables.",
                hint="Set DEBUG = False.",
                id="openqueue.E104",
            )
        )
    if not settings.SESSION_COOKIE_SECURE:
        found.append(
            Caution(
                "The API knows the staff by Django's session, and its cookie may travel in clear.",
                hint="Set SESSION_COOKIE_SECURE = True.",
                id="openqueue.W105",
            )
        )
    if not settings.CSRF_COOKIE_SECURE and not settings.CSRF_USE_SESSIONS:
        found.append(
            Caution(
                "The API asks the staff's browsers for Django's CSRF token, and its cookie may travel in clear.",
                hint="Set CSRF_COOKIE_SECURE = True.",
                id="openqueue.W106",
            )
        )
    rates = conf.config.api_rates
    # Workers are as fast as the work allows, and each has a token of its own: no limit is their default.
    if unlimited := [name for name, most in rates.items() if most is None and name != "worker"]:
        found.append(
            Caution(
                f"OPENQUEUE['API_RATES'] sets no limit for {', '.join(unlimited)}.",
                hint="Name a number of requests a minute, so that one caller or guesser cannot busy the server.",
                id="openqueue.W107",
            )
        )
    return found


def tokens_expire(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """W108: valid tokens that never expire. It asks the database, with ``--database``."""
    if conf.problems() or conf.config.database not in (databases or ()):
        return []
    rows = ApiToken.objects.using(conf.config.database).filter(revoked_at=None, expires_at=None)
    try:
        names = list(rows.order_by("name").values_list("name", flat=True))
    except DatabaseError:  # the table is not there yet: check runs before migrate
        return []
    if not names:
        return []
    return [
        Caution(
            f"Tokens that never expire: {', '.join(names[:10])}{f' and {len(names) - 10} more' if names[10:] else ''}.",
            hint="Make new ones with `openqueue_tokens create --expires-in 90d`, then revoke these.",
            id="openqueue.W108",
        )
    ]


def brokers_are_reached_safely(**_: Any) -> list[CheckMessage]:
    """W110 to W113: clear text to other hosts, passwords in it, certificates of anybody, a shared namespace."""
    if conf.problems():
        return []
    found: list[CheckMessage] = []
    for alias in conf.config.runtimes:
        try:
            runtime: Any = runtimes.get(alias)
        except ImproperlyConfigured:
            continue  # E020 says so
        for way in runtime.reach() if isinstance(runtime, Reaches) else ():
            others = ", ".join(host for host in way.hosts if not is_here(host))
            if not others:
                continue
            if not way.encrypted:
                found.append(told_in_clear(alias, others, password=way.tells_password))
            elif not way.knows_whom:
                found.append(
                    Caution(
                        f"RUNTIMES[{alias!r}] takes {others} for whoever any certificate of the authority names.",
                        hint="Drop 'check_hostname': False, and give the server a certificate with its name.",
                        id="openqueue.W112",
                    )
                )
    carried = any(runtimes.get(alias).carries_messages for alias in makeable())
    if carried and conf.config.namespace == DEFAULT_NAMESPACE:
        found.append(
            Caution(
                "OPENQUEUE has no NAMESPACE: another project with OpenQueue on the same broker would share its queues.",
                hint='Name the project: OPENQUEUE = {"NAMESPACE": "my-app", ...}. Waiting messages are sent anew.',
                id="openqueue.W113",
            )
        )
    return found


def told_in_clear(alias: str, others: str, *, password: bool) -> CheckMessage:
    hint = "Use TLS: rediss://, amqps:// (https:// for `management`), or 'security_protocol': 'SASL_SSL'."
    if password:
        message = f"RUNTIMES[{alias!r}] tells its password to {others} in clear."
        return Caution(message, hint=hint, id="openqueue.W111")
    message = (
        f"RUNTIMES[{alias!r}] talks to {others} in clear: who listens reads ids of runs and can add messages."
    )
    return Caution(message, hint=hint, id="openqueue.W110")


def makeable() -> Iterable[str]:
    for alias in conf.config.runtimes:
        try:
            runtimes.get(alias)
        except ImproperlyConfigured:
            continue
        yield alias


def database_is_safe_to_deploy(**_: Any) -> list[CheckMessage]:
    """W114, W115: one writer at a time; a database over the network that may be talked to in clear."""
    if conf.problems():
        return []
    alias = conf.config.database
    connection = connections[alias]
    if connection.vendor == "sqlite":
        return [
            Caution(
                f"OpenQueue lives on DATABASES[{alias!r}], SQLite: web processes and workers write one at a time, and "
                f"must run on one host.",
                hint="Use PostgreSQL or MariaDB; or silence this check where one host is what you want.",
                id="openqueue.W114",
            )
        ]
    told: dict[str, Any] = connection.settings_dict
    options = told.get("OPTIONS", {})
    host = str(told.get("HOST") or options.get("host") or "")
    mode = options.get("sslmode") or options.get("ssl_mode")
    if is_here(host) or mode in ENCRYPTED or options.get("ssl") or "service" in options:
        return []
    return [
        Caution(
            f"DATABASES[{alias!r}] holds payloads and results, and the way to {host} may be in clear.",
            hint='Set "OPTIONS": {"sslmode": "verify-full"} on PostgreSQL, {"ssl_mode": "VERIFY_IDENTITY"} on MariaDB '
            "and MySQL.",
            id="openqueue.W115",
        )
    ]


def secrets_are_kept(**_: Any) -> list[CheckMessage]:
    """E116, W117: keys that can be guessed; arguments whose names say secret, and whose tasks do not."""
    if conf.problems():
        return []
    found: list[CheckMessage] = []
    tasks = list(registry.every())
    keys = conf.config.secret_keys
    weak = any(len(key) < SHORTEST_SECRET_KEY for key in keys) if keys else is_weak(settings.SECRET_KEY)
    if weak and any(task.secret for task in tasks):
        found.append(
            Error(
                f"Secret arguments are encrypted with {'SECRET_KEYS' if keys else 'SECRET_KEY'}, which can be guessed.",
                hint='Put a key of `python -c "import secrets; print(secrets.token_urlsafe(48))"` in front of '
                "OPENQUEUE['SECRET_KEYS'], from the environment; keep the old one behind it until its runs ended.",
                id="openqueue.E116",
            )
        )
    for task in tasks:
        named = {name for name in arguments(task) if secrets.says_secret(name, names=conf.MASK_NAMES)}
        names = named - set(task.secret)
        if names:
            listed = ", ".join(sorted(names))
            found.append(
                Caution(
                    f"{task.id} takes {listed}, which is stored as it is.",
                    hint=f"Declare it: @task(secret=[{', '.join(repr(name) for name in sorted(names))}]). If it is no "
                    f"secret, give it another name.",
                    obj=task,
                    id="openqueue.W117",
                )
            )
    return found


def arguments(task: Any) -> Iterable[str]:
    try:
        return list(task.signature.json_schema().get("properties", ()))
    except OpenQueueError:
        return ()  # E030 says so


def history_ends(**_: Any) -> list[CheckMessage]:
    """W118: what is kept for ever."""
    if conf.problems():
        return []
    kept = [name for name, days in conf.config.retention.items() if days is None]
    if not kept:
        return []
    return [
        Caution(
            f"OPENQUEUE['RETENTION'] keeps {', '.join(kept)} for ever: the tables and what people's data they hold "
            f"grow without end.",
            hint="Give a number of days, or silence this check and prune with `openqueue_prune`.",
            id="openqueue.W118",
        )
    ]


def payloads_are_not_served(**_: Any) -> list[CheckMessage]:
    """W119: payloads where uploads or static files lie, which browsers fetch."""
    if conf.problems() or conf.config.large_payloads not in SERVED:
        return []
    return [
        Caution(
            f"OPENQUEUE['LARGE_PAYLOADS'] is {conf.config.large_payloads!r}, whose files browsers are usually served: "
            f"whoever guesses a name reads the arguments of a run.",
            hint="Add a storage of its own to STORAGES, or silence this check if nobody can fetch from this one.",
            id="openqueue.W119",
        )
    ]


def is_weak(key: Any) -> bool:
    text = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    return len(text) < SHORTEST_KEY or len(set(text)) < FEWEST_LETTERS or text.startswith(INSECURE)


def is_here(host: str) -> bool:
    """Tell whether a host is this one: no name, a socket, or a loopback address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in {"", "localhost"} or host.startswith(("/", "@"))


def includes_api() -> bool:
    """Tell whether the project's URLs include the API, anywhere."""
    if not getattr(settings, "ROOT_URLCONF", None):
        return False
    walk: list[Any] = [get_resolver()]
    while walk:
        resolver = walk.pop()
        if getattr(resolver.urlconf_name, "__name__", resolver.urlconf_name) == API_URLS:
            return True
        walk += [one for one in resolver.url_patterns if isinstance(one, URLResolver)]
    return False


CHECKS: tuple[tuple[Callable[..., list[CheckMessage]], str], ...] = (
    (api_is_safe_to_deploy, Tags.security),
    (brokers_are_reached_safely, Tags.security),
    (database_is_safe_to_deploy, Tags.security),
    (secrets_are_kept, Tags.security),
    (history_ends, Tags.security),
    (payloads_are_not_served, Tags.security),
    (tokens_expire, Tags.database),
)
