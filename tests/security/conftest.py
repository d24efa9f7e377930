from __future__ import annotations

from tests.api.conftest import _no_counts_of_others, api  # noqa: F401  (fixtures)
from tests.control.conftest import manage, publisher  # noqa: F401  (fixtures)
from tests.processes.conftest import drain, quick, serving  # noqa: F401  (fixtures)
