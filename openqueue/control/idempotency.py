"""Requests that may be sent again: the first answer is kept in the transaction of what it did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.db import IntegrityError
from django.utils.crypto import constant_time_compare, salted_hmac

from openqueue.control.callers import Caller
from openqueue.errors import KeyReused
from openqueue.models import IdempotencyKey
from openqueue.store import store

KEPT: Final = timedelta(hours=24)
FORM: Final = re.compile(r"[\x21-\x7e]{1,200}")
"""Printable ASCII without spaces, as in a header."""
SWEPT: Final = 100
"""Keys past their time that go with each new one: more than come, so that none stay."""


class Answer(NamedTuple):
    """What a request is answered with."""

    said: Any
    repeated: bool
    """It is the answer of an earlier request."""


def once(key: str, request: Mapping[str, Any], *, caller: Caller, act: Callable[[], Any]) -> Answer:
    """Return what ``act`` returns, JSON, or what it returned to the same request with this key in the last 24 hours.

    Of two requests at the same time one acts, and the other gets its answer. A request that fails leaves no key.

    Raises:
        KeyReused: the key came with another request.
    """
    fingerprint = salted_hmac("openqueue.idempotency", _canonical(request), algorithm="sha256").hexdigest()
    if (earlier := _earlier(key, fingerprint, caller=caller)) is not None:
        return earlier
    try:
        with store().atomic():
            said = act()
            IdempotencyKey.objects.using(store().alias).create(
                owner=caller.owner,
                key=key,
                fingerprint=fingerprint,
                answer=said,
                created_at=store().clock(None),
            )
    except IntegrityError:
        if (earlier := _earlier(key, fingerprint, caller=caller)) is not None:
            return earlier
        raise
    return Answer(said, repeated=False)


def _earlier(key: str, fingerprint: str, *, caller: Caller) -> Answer | None:
    rows = IdempotencyKey.objects.using(store().alias)
    row = rows.filter(owner=caller.owner, key=key).first()
    if row is None:
        return None
    if row.created_at <= store().clock(None) - KEPT:
        old = rows.filter(created_at__lte=row.created_at).order_by("created_at")
        rows.filter(pk__in=[row.pk, *old.values_list("pk", flat=True)[:SWEPT]]).delete()
        return None
    if not constant_time_compare(row.fingerprint, fingerprint):
        raise KeyReused
    return Answer(row.answer, repeated=True)


def _canonical(request: Mapping[str, Any]) -> str:
    return json.dumps(request, sort_keys=True, separators=(",", ":"))
