"""The wheel: it builds, installs where nothing else is, carries its files, and works there."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house import tree

PACKAGES = ("openqueue", "openqueue_workbench")

PROJECT = """
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    SECRET_KEY="x",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
        "django.contrib.messages", "django.contrib.sessions", "openqueue", "openqueue_workbench",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "installed.sqlite3"}},
)
django.setup()
call_command("migrate", verbosity=0)
import openqueue
from openqueue.models import Run
print("installed", Run.objects.count(), openqueue.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(tree.ROOT))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def carried(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_wheel_carries_every_file_of_its_packages(carried: set[str]):
    ours = {path.as_posix() for path in tree.files() if path.parts[0] in PACKAGES}
    assert ours - carried == set()
    assert {"openqueue/py.typed", "openqueue_workbench/py.typed"} <= carried


def test_the_wheel_carries_nothing_else(carried: set[str]):
    assert {name.split("/")[0] for name in carried if ".dist-info/" not in name} == set(PACKAGES)


def test_the_extras_are_the_promised_ones(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        lines = archive.read(metadata).decode().splitlines()
    extras = {line.removeprefix("Provides-Extra: ") for line in lines if line.startswith("Provides-Extra: ")}
    promised = (
        "redis rabbitmq kafka kafka-confluent postgres mysql api workbench otel prometheus crypto fast all"
    )
    assert extras == set(promised.split())


def test_the_wheel_works_in_a_clean_environment(wheel: Path, tmp_path: Path):
    run(sys.executable, "-m", "venv", str(tmp_path / "clean"))
    python = str(tmp_path / "clean" / "bin" / "python")
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel))
    (tmp_path / "project.py").write_text(PROJECT)
    said = run(python, "-I", "-W", "error", str(tmp_path / "project.py"), cwd=tmp_path)
    assert "installed 0" in said
    assert str(tmp_path / "clean") in said
