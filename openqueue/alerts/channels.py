"""The kinds of channels: what their target is, how it is kept, and how something is sent there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import openqueue
from openqueue import secrets
from openqueue.alerts import messages, signing
from openqueue.conf import config

EMAIL, WEBHOOK, SLACK = "email", "webhook", "slack"
CHANNELS: Final = (EMAIL, WEBHOOK, SLACK)
SECRET_FIELDS: Final = ("url", "secret")
MOST_RECIPIENTS: Final = 20


class Sent(NamedTuple):
    """How one try ended."""

    ok: bool
    status: int | None = None
    """Of an HTTP answer."""
    error: str = ""
    retry_after: float | None = None


def sealed(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target as it is kept: URL and secret encrypted.

    Raises:
        SecretsUnavailable: `cryptography` is not installed.
    """
    return secrets.seal(target, fields=SECRET_FIELDS) if "url" in target else dict(target)


def send(kind: str, kept: Mapping[str, Any], told: Mapping[str, Any], *, id: str) -> Sent:
    """Send what is told to a target as it is kept; whatever happens is the answer."""
    target: Mapping[str, Any] = {}
    try:
        target = secrets.unseal(kept, fields=SECRET_FIELDS) if "url" in kept else kept
        if kind == EMAIL:
            return _mail(target["recipients"], told, id=id)
        return _post(kind, target, told, id=id)
    except (
        Exception
    ) as error:  # a target that cannot be read, a host that is not there, a server that hangs up
        return Sent(False, error=_said(error, target))


def _mail(recipients: Sequence[str], told: Mapping[str, Any], *, id: str) -> Sent:
    from openqueue.alerts import mailing  # noqa: PLC0415 - smtplib and email, for workers that send mail

    subject, body = messages.mail(told, namespace=config.namespace, link=link(told))
    mailing.send(recipients, subject=subject, body=body, sender=config.alerts.sender, id=id)
    return Sent(True)


def _post(kind: str, target: Mapping[str, Any], told: Mapping[str, Any], *, id: str) -> Sent:
    from openqueue.alerts import posting  # noqa: PLC0415 - http and ssl, for workers that send to webhooks

    make = messages.webhook if kind == WEBHOOK else messages.slack
    body = json.dumps(make(told, namespace=config.namespace, link=link(told))).encode()
    headers = {"Content-Type": "application/json", "User-Agent": f"OpenQueue/{openqueue.__version__}"}
    if kind == WEBHOOK:
        headers |= signing.headers(body, id=id, timestamp=int(time.time()), secret=target["secret"])
    answer = posting.post(target["url"], body, headers=headers, outward=config.alerts)
    if 200 <= answer.status < 300:
        return Sent(True, answer.status)
    said = messages.one_line(answer.body)[:200]
    if 300 <= answer.status < 400:
        said = "It redirects, which is not followed. Give the channel the URL that it redirects to."
    return Sent(
        False, answer.status, secrets.hide(said, payload=target, fields=SECRET_FIELDS), answer.retry_after
    )


def link(told: Mapping[str, Any]) -> str:
    """Return where to look at an alert, if the settings say where people do."""
    return config.alerts.url


def _said(error: Exception, target: Mapping[str, Any]) -> str:
    """Say what went wrong, without what the target keeps secret, should an error quote it."""
    said = messages.one_line(f"{type(error).__name__}: {error}")
    return str(secrets.hide(said, payload=target, fields=SECRET_FIELDS))[:300]
