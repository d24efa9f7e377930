"""For tests: of projects that use OpenQueue, and of runtimes that carry it."""
