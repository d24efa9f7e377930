"""Settings and declarations: what ``manage.py check`` finds."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import ERROR, WARNING, CheckMessage

from openqueue import checks, deployment
from openqueue.conf import config
from openqueue.conf import problems as mistakes
from openqueue.control.findings import Finding, Level


def findings() -> Iterator[Finding]:
    """Run OpenQueue's own checks, also the one that looks at the database's settings."""
    databases = [] if mistakes() else [config.database]
    for check, _ in checks.CHECKS:
        for message in check(databases=databases):
            yield finding(message)


def finding(message: CheckMessage) -> Finding:
    level: Level = "error" if message.level >= ERROR else "warning" if message.level >= WARNING else "info"
    return Finding(
        id=str(message.id), level=level, subject="settings", message=message.msg, remedy=message.hint or ""
    )


def of_deployment() -> Iterator[Finding]:
    """Run those of OpenQueue's own checks that are for a deployment."""
    if mistakes():
        return
    for check, _ in deployment.CHECKS:
        for message in check(databases=[config.database]):
            yield finding(message)
