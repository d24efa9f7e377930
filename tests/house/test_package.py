"""The wheel: it builds, installs where nothing else is, carries its files, and works there."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_extras_are_the_promised_ones(wheel: Path):
    promised = "redis rabbitmq kafka kafka-confluent postgres mysql api client"
    promised += " workbench otel prometheus crypto fast all"
    assert set(metadata(wheel).get_all("Provides-Extra", [])) == set(promised.split())


def test_what_the_wheel_brings_along_is_listed_with_version_and_license(wheel: Path, tmp_path: Path):
    """[A44]"""
    run(
        sys.executable, str(tree.ROOT / "tests" / "sbom.py"), str(wheel), str(tmp_path / "openqueue.cdx.json")
    )
    told = json.loads((tmp_path / "openqueue.cdx.json").read_text())
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "openqueue")
    assert wheel.name.startswith(f"openqueue-{told['metadata']['component']['version']}-")
    listed = {canonicalize_name(one["name"]): one for one in told["components"]}
    assert all(one["version"] and one["purl"].startswith("pkg:pypi/") for one in listed.values())
    assert sum(bool(one.get("licenses")) for one in listed.values()) > len(listed) * 0.9
    wanted = {
        canonicalize_name(one.name)
        for one in map(Requirement, metadata(wheel).get_all("Requires-Dist", []))
        if one.marker is None or one.marker.evaluate({"extra": "all"})
    } - {"openqueue"}
    assert wanted - set(listed) == set()
    assert not {"pip", "setuptools", "pytest"} & set(listed)
    (root,) = [one for one in told["dependencies"] if one["ref"] == told["metadata"]["component"]["bom-ref"]]
    assert {canonicalize_name(ref.partition("==")[0]) for ref in root["dependsOn"]} >= {"django", "msgspec"}


def test_the_wheel_brings_its_pytest_plugin(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        (entries,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "[pytest11]\nopenqueue = openqueue.testing.plugin" in archive.read(entries).decode()


def test_the_wheel_works_in_a_clean_environment(wheel: Path, tmp_path: Path):
    run(sys.executable, "-m", "venv", str(tmp_path / "clean"))
    python = str(tmp_path / "clean" / "bin" / "python")
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel))
    (tmp_path / "project.py").write_text(PROJECT)
    said = run(python, "-I", "-W", "error", str(tmp_path / "project.py"), cwd=tmp_path)
    assert "installed 0" in said
    assert str(tmp_path / "clean") in said
