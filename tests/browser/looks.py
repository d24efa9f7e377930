"""Where pictures of the pages are kept, for people to look at."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".venv-tests" / "output" / "screenshots"
FOLDER.mkdir(parents=True, exist_ok=True)
