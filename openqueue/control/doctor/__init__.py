"""The doctor: looks at everything that OpenQueue stands on, at a bounded cost, and says what to do."""

from __future__ import annotations

from openqueue.control.doctor.examination import Examination, examine

__all__ = ["Examination", "examine"]
