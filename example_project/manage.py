#!/usr/bin/env python
"""Django's command line for the example shop."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if os.environ.get("OPENQUEUE_DEMO_TRACING") == "1":
        from config import tracing  # noqa: PLC0415  (OpenTelemetry is imported only when asked for)

        tracing.start(service=" ".join(sys.argv[1:2]))

    from django.core.management import execute_from_command_line  # noqa: PLC0415  (settings must be named first)

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
