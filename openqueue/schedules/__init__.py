"""Schedules: runs that are created again and again, by a rule that code declares or a row holds."""
