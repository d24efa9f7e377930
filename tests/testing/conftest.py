from __future__ import annotations

# A project that has OpenQueue installed need not do this: the package's entry point does.
from openqueue.testing.plugin import queued_runs as queued_runs
