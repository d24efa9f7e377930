"""What is said of an alert: as JSON, as a chat message, as a mail. Pure; nothing in it is a secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from openqueue.alerts.kinds import KINDS
from openqueue.models import Alert, AlertRule

OPENED, ENDED, TEST = "opened", "ended", "test"
WORDS: Final = {OPENED: "Alert", ENDED: "Over", TEST: "Test"}
MARKS: Final = {
    "critical": "\N{LARGE RED CIRCLE}",
    "warning": "\N{LARGE ORANGE CIRCLE}",
    "info": "\N{LARGE BLUE CIRCLE}",
}
OVER: Final = "\N{LARGE GREEN CIRCLE}"
LONGEST_HEADER: Final = 150
"""Of Slack's header blocks."""
LONGEST_SUBJECT: Final = 200


def facts(alert: Alert, *, event: str, rule: AlertRule) -> dict[str, Any]:
    """Return what there is to say, as it is kept with the delivery."""
    return {
        "event": event,
        "alert_id": str(alert.pk),
        "rule": alert.rule_name,
        "rule_id": rule.pk,
        "kind": alert.kind,
        "severity": alert.severity,
        "subject": alert.subject,
        "text": alert.text,
        "value": alert.value,
        "unit": KINDS[alert.kind].unit,
        "threshold": rule.threshold,
        "began_at": _written(alert.began_at),
        "opened_at": _written(alert.opened_at),
        "ended_at": _written(alert.ended_at),
    }


def of_test(channel: str, *, at: datetime, asked_by: str) -> dict[str, Any]:
    """Return what a test says."""
    return {
        "event": TEST,
        "alert_id": None,
        "rule": "test",
        "rule_id": None,
        "kind": "test",
        "severity": "info",
        "subject": f"channel {channel}",
        "text": f"{asked_by} tests the channel {channel}. Nothing is wrong.",
        "value": 0.0,
        "unit": "",
        "threshold": 0.0,
        "began_at": _written(at),
        "opened_at": _written(at),
        "ended_at": None,
    }


def webhook(told: Mapping[str, Any], *, namespace: str, link: str) -> dict[str, Any]:
    """Return the body of a webhook, in the shape of Standard Webhooks: type, timestamp, data."""
    at = told["ended_at"] if told["event"] == ENDED else told["opened_at"]
    return {
        "type": f"openqueue.alert.{told['event']}",
        "timestamp": at,
        "data": {**told, "namespace": namespace, "link": link or None},
    }


def slack(told: Mapping[str, Any], *, namespace: str, link: str) -> dict[str, Any]:
    """Return the body of a message that Slack shows, and chats that take its messages."""
    title, line = headline(told), text(told)
    fields = [
        ("Rule", told["rule"]),
        ("About", told["subject"]),
        ("Severity", told["severity"]),
        ("Namespace", namespace),
    ]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(f"{_mark(told)} {title}"[:LONGEST_HEADER])},
        {"type": "section", "text": _plain(line)},
        {"type": "section", "fields": [_plain(f"{name}: {value}") for name, value in fields]},
    ]
    if link.startswith("https://"):
        button = {"type": "button", "text": _plain("Look at it"), "url": link}
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": _escaped(f"{_mark(told)} {title}: {line}"), "blocks": blocks}


def mail(told: Mapping[str, Any], *, namespace: str, link: str) -> tuple[str, str]:
    """Return the subject and the body of a mail: plain text."""
    subject = f"[{namespace}] {headline(told)}"
    lines = [text(told), "", *(f"{name}: {told[key]}" for name, key in NAMED if told[key])]
    return one_line(subject)[:LONGEST_SUBJECT], "\n".join([*lines, *(["", link] if link else [])]) + "\n"


NAMED: Final = (
    ("Rule", "rule"),
    ("About", "subject"),
    ("Severity", "severity"),
    ("Since", "began_at"),
    ("Opened", "opened_at"),
    ("Over", "ended_at"),
    ("Alert", "alert_id"),
)


def headline(told: Mapping[str, Any]) -> str:
    return one_line(f"{WORDS[told['event']]}: {told['rule']}, {told['subject']}")


def text(told: Mapping[str, Any]) -> str:
    said = one_line(told["text"])
    return f"It is over. It was: {said}" if told["event"] == ENDED else said


def one_line(said: str) -> str:
    """Return text without line breaks and other characters that could begin something."""
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())


def _mark(told: Mapping[str, Any]) -> str:
    return OVER if told["event"] == ENDED else MARKS[told["severity"]]


def _plain(said: str) -> dict[str, Any]:
    """Return text in which nothing is markup, nor an emoji, nor the name of somebody to be called."""
    return {"type": "plain_text", "text": said[:2_000], "emoji": False}


def _escaped(said: str) -> str:
    """Escape what Slack reads as markup in `text`, which is shown where blocks are not."""
    return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
