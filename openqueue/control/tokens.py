"""Tokens of programs: made, listed, revoked, and recognised."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import IntegrityError, connections
from django.db.models import Q

from openqueue.conf import NAME
from openqueue.control import audit
from openqueue.control.actor import Actor
from openqueue.control.audit import Act
from openqueue.control.callers import NARROWED, SCOPES, Caller
from openqueue.errors import TokenInvalid
from openqueue.models import ApiToken
from openqueue.store import store

MARK: Final = "oq"
"""What tokens begin with, so that scanners of secrets find one that leaked."""
TOKEN: Final = re.compile(rf"{MARK}_([0-9a-f]{{12}})_([A-Za-z0-9_-]{{43}})")
NOBODY: Final = "0" * 64
"""A digest that no secret has: an unknown prefix costs what a known one does."""
USED_EVERY: Final = timedelta(minutes=1)
LONGEST_NAME: Final = 100
REVOKED, ALREADY, MISSING = "revoked", "already revoked", "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFacts:
    """One token as lists show it."""

    name: str
    prefix: str
    scopes: Sequence[str]
    queues: Sequence[str] | None
    """The only queues that it sees; None: all."""
    state: str
    """valid, expired or revoked."""
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None


def create(
    name: str,
    *,
    scopes: Sequence[str],
    queues: Sequence[str] | None = None,
    lifetime: timedelta | None = None,
    actor: Actor,
) -> str:
    """Make a token and return it. It is never shown again: only its hash is kept.

    Raises:
        TokenInvalid: the name is taken or cannot be shown, or there is no such scope or queue.
    """
    _check(name, scopes=scopes, queues=queues, lifetime=lifetime)
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    at = store().clock(None)
    row = ApiToken(
        name=name,
        prefix=prefix,
        digest=_digest(secret),
        scopes=sorted(set(scopes)),
        queues=None if queues is None else sorted(set(queues)),
        created_at=at,
        created_by=actor.name,
        expires_at=None if lifetime is None else at + lifetime,
    )
    try:
        with store().atomic():
            row.save(using=store().alias, force_insert=True)
            after = {"scopes": row.scopes, "queues": row.queues, "prefix": prefix}
            audit.record([Act("token.create", f"token {name}", after=after)], actor=actor)
    except IntegrityError as error:
        raise TokenInvalid(
            f"There is a token {name!r}, perhaps a revoked one. Choose another name."
        ) from error
    return f"{MARK}_{prefix}_{secret}"


def _check(
    name: str, *, scopes: Sequence[str], queues: Sequence[str] | None, lifetime: timedelta | None
) -> None:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise TokenInvalid(f"The name {name!r} must be 1 to {LONGEST_NAME} printable characters.")
    if not scopes:
        raise TokenInvalid(f"Give at least one scope: {', '.join(SCOPES)}.")
    for scope in scopes:
        if not is_scope(scope):
            narrow = ", ".join(f"{verb}:{kind}:NAME" for verb, kinds in NARROWED.items() for kind in kinds)
            raise TokenInvalid(f"There is no scope {scope!r}. Scopes: {', '.join(SCOPES)}, {narrow}.")
    if queues is not None and (not queues or not all(NAME.fullmatch(queue) for queue in queues)):
        raise TokenInvalid(f"The queues {list(queues)} must be names that match {NAME.pattern}.")
    if lifetime is not None and lifetime <= timedelta(0):
        raise TokenInvalid("The token would have expired before it was made.")


def is_scope(scope: str) -> bool:
    verb, narrowed, rest = scope.partition(":")
    if not narrowed:
        return verb in SCOPES
    kind, _, what = rest.partition(":")
    if kind not in NARROWED.get(verb, ()):
        return False
    return bool(NAME.fullmatch(what)) if kind == "queue" else bool(what) and what.isprintable()


def listing() -> list[TokenFacts]:
    """Return every token, newest first, in one statement."""
    clock = store().clock(None)
    return [
        TokenFacts(
            name=row.name,
            prefix=row.prefix,
            scopes=row.scopes,
            queues=row.queues,
            state="revoked" if row.revoked_at else "valid" if _lives(row, clock) else "expired",
            created_at=row.created_at,
            created_by=row.created_by,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
        )
        for row in ApiToken.objects.using(store().alias).order_by("-pk")
    ]


def revoke(names: Sequence[str], *, actor: Actor, reason: str = "") -> dict[str, str]:
    """End tokens at once, for good; answer `revoked`, `already revoked` or `missing` per name."""
    answers = dict.fromkeys(names, MISSING)
    rows = ApiToken.objects.using(store().alias)
    with store().atomic():
        at = store().clock(None)
        for name in answers:
            if rows.filter(name=name, revoked_at=None).update(revoked_at=at):
                answers[name] = REVOKED
                audit.record([Act("token.revoke", f"token {name}")], actor=actor, reason=reason)
            elif rows.filter(name=name).exists():
                answers[name] = ALREADY
    return answers


def recognise(text: str) -> Caller | None:
    """Return who holds this token, or None for one that is unknown, expired or revoked; nobody is told which.

    One statement to look, none of whose conditions is the secret: that is compared in constant time. The database's
    clock is asked only where it decides: for a token that expires, and once a minute to write down that it is in use.
    """
    found = TOKEN.fullmatch(text)
    row = found and _row(found[1])
    fits = hmac.compare_digest(_digest(found[2] if found else text), row.digest if row else NOBODY)
    if not row or not fits:
        return None
    if row.revoked_at:
        return None
    # This host's clock may be wrong; what it can do here is to ask too often, or to write too seldom.
    is_time = row.last_used_at is None or row.last_used_at <= datetime.now(UTC) - USED_EVERY
    clock = store().clock(None) if row.expires_at or is_time else None
    if clock is not None and not _lives(row, clock):
        return None
    if clock is not None and is_time:
        seen = Q(last_used_at=None) | Q(last_used_at__lte=clock - USED_EVERY)
        ApiToken.objects.using(store().alias).filter(seen, pk=row.pk).update(last_used_at=clock)
    return Caller.program(row.name, owner=f"token {row.pk}", scopes=row.scopes, queues=row.queues)


def _row(prefix: str) -> ApiToken | None:
    """Read a token by its prefix; the ORM would take twice as long to put the words together, in every request."""
    table = connections[store().alias].ops.quote_name(ApiToken._meta.db_table)
    rows = ApiToken.objects.using(store().alias).raw(f"SELECT * FROM {table} WHERE prefix = %s", [prefix])  # noqa: S608
    return next(iter(rows), None)


def _lives(row: ApiToken, clock: datetime) -> bool:
    return row.expires_at is None or clock < row.expires_at


def _digest(secret: str) -> str:
    """A secret of 256 random bits needs no slow hash: nobody guesses it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
