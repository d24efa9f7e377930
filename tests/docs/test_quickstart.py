"""The quickstart, followed to the letter in an empty folder: its files are written, its commands typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, blocks

PAGE = DOCS / "quickstart.md"
SHELL = "# python manage.py shell"
ALREADY_THERE = (["python3", "-m"], [".", ".venv/bin/activate"], ["pip", "install"])
"""What the environment of this test has done before."""


class Reader:
    """Somebody who does what the page says, one block after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.environ = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DJANGO_", "OPENQUEUE_", "COVERAGE_"))
        } | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}

    def type(self, line: str) -> None:
        words = line.split()
        if words[:2] in ALREADY_THERE:
            return
        if words[0] == "django-admin":
            words[:1] = ["python", "-m", "django"]
        if words[-1] == "openqueue_worker":
            words.append("--drain")  # the reader presses Ctrl-C instead
        self.run([sys.executable, *words[1:]])

    def run(self, command: list[str], *, given: str = "") -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        self.said.append(done.stdout)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        assert file.parent.is_dir(), path
        before = file.read_text() if "settings" in path else ""
        file.write_text(f"{before}\n{text}")

    def follow(self) -> None:
        for block in blocks(PAGE, "python", "console"):
            if block.language == "console":
                for line in block.text.splitlines():
                    self.type(line.removeprefix("$ "))
            elif block.first_line == SHELL:
                self.run([sys.executable, "manage.py", "shell"], given=block.text)
            else:
                self.write(block.first_line.removeprefix("# "), block.text)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    reader = Reader(tmp_path_factory.mktemp("quickstart"))
    reader.follow()
    return reader


def test_the_quickstart_ends_where_it_says(reader: Reader):
    said = "".join(reader.said)
    assert "no issues" in said
    assert "queued\n" in said
    assert "shop.send_invoice completed {'sent': '2027-001'}" in said
    assert "sending invoice 2027-001" in said
    last = reader.said[-1].splitlines()
    assert [line.split()[0] for line in last[-3:]] == ["triggered", "started", "completed"]
