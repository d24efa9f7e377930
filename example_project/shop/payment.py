"""The shop's client of its payment provider: one request, and an error for every way it can end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings

from config.tracing import span

if TYPE_CHECKING:
    from shop.models import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Money that the provider took, once, however often it was asked."""

    reference: str
    amount: str
    replayed: bool = False


class PaymentError(Exception):
    """The provider did not say yes."""


class Declined(PaymentError):
    """The bank refuses this card. Asking again would change nothing."""


class Throttled(PaymentError):
    """The provider has too much to do and says when to come back."""

    def __init__(self, *, retry_after: float) -> None:
        super().__init__(f"The provider asks for {retry_after:g} seconds of peace")
        self.retry_after = retry_after


class Unavailable(PaymentError):
    """The provider failed or fell silent. Whether it charged is unknown: ask again with the same key."""


def charge(order: Order) -> Charge:
    """Charge an order; its key makes a second request return the first charge."""
    with span("charge", order=order.number):
        content = {"amount": str(order.total), "currency": "EUR", "card": order.card}
        answer = _ask("/charges", content=content, headers={"Idempotency-Key": order.payment_key})
    return Charge(reference=answer["id"], amount=answer["amount"], replayed=answer["replayed"])


def find_charge(key: str) -> Charge | None:
    """Return the charge made with this key, or None."""
    try:
        answer = _ask(f"/charges/{key}")
    except LookupError:
        return None
    return Charge(reference=answer["id"], amount=answer["amount"])


def _ask(path: str, *, content: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> Any:
    address = urlsplit(settings.SHOP_PROVIDER_URL).netloc
    connection = HTTPConnection(address, timeout=settings.SHOP_PROVIDER_PATIENCE)
    try:
        body = json.dumps(content) if content else None
        connection.request("POST" if content else "GET", path, body=body, headers=headers or {})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"The provider did not answer: {error}") from error
    finally:
        connection.close()

    match response.status:
        case 200 | 201:
            return answer
        case 402:
            raise Declined("The card was declined")
        case 404:
            raise LookupError(path)
        case 429:
            raise Throttled(retry_after=float(response.headers.get("Retry-After", 1)))
        case status:
            raise Unavailable(f"The provider failed with {status}")
