from __future__ import annotations

from tests.control.conftest import publisher  # noqa: F401  (a fixture)
