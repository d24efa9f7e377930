from __future__ import annotations

from tests.control.conftest import statements

__all__ = ["statements"]
