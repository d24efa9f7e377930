"""Find out what is wrong, and what to do about it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from openqueue.control import doctor
from openqueue.control.doctor.examination import exit_code
from openqueue.control.findings import Finding
from openqueue.management.tables import as_json, plain


class Command(BaseCommand):
    """``manage.py openqueue_doctor``."""

    help = (
        "Looks at settings, database, brokers, clocks and the work. Exit code 2: an error; 1: a warning, with "
        "--fail-on warning; 0: neither."
    )
    requires_system_checks = []  # it runs them itself, and goes on

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--fail-on",
            choices=["error", "warning", "info"],
            default="error",
            help="Exit with 1 for findings of this level too. Errors are always 2. Default: error.",
        )
        parser.add_argument("--json", action="store_true", help="Everything, for scripts.")

    def handle(self, *args: Any, **options: Any) -> None:
        seen = doctor.examine()
        code = exit_code(seen.findings, fail_on=options["fail_on"])
        if options["json"]:
            facts = {"at": seen.at, "examined": seen.examined, "counts": seen.counts, "exit_code": code}
            self.stdout.write(as_json({**facts, "findings": seen.findings, "facts": seen.facts}))
        else:
            self.stdout.write("\n".join([*map(self.told, seen.findings), *self.verdict(seen)]))
        if code:
            sys.exit(code)

    def told(self, finding: Finding) -> str:
        style = {"error": self.style.ERROR, "warning": self.style.WARNING}.get(
            finding.level, self.style.NOTICE
        )
        said = style(f"{finding.level.upper()}  {finding.id}")
        remedy = "\n  ".join(plain(line) for line in finding.remedy.splitlines())
        return f"{said}  {plain(finding.subject)}: {plain(finding.message)}\n  {remedy}\n"

    def verdict(self, seen: doctor.Examination) -> list[str]:
        counts = ", ".join(
            f"{count} {level}{'s' if count != 1 else ''}" for level, count in seen.counts.items() if count
        )
        looked = f"Looked at {', '.join(seen.examined)}."
        return [looked, counts + "." if counts else self.style.SUCCESS("Nothing found.")]
