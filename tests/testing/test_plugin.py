"""A project that has OpenQueue installed and nothing else: its own settings, its own tests, its own pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.once  # the project has a database of its own, whatever this session's is
ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = """
SECRET_KEY = "x"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "openqueue", "shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
OPENQUEUE = {"RUNTIMES": {"default": {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}}}
"""
TASKS = """
from django.contrib.auth.models import User
from openqueue import task

@task
def welcome(user_id: int) -> str:
    return User.objects.get(pk=user_id).username

def sign_up(name):
    user = User.objects.create(username=name)
    welcome.trigger(user_id=user.pk)
    return user
"""
TESTS = """
from django.test import TestCase
from openqueue.testing import QueuedRunsMixin
from shop.tasks import sign_up, welcome

def test_with_the_fixture(queued_runs):
    ada = sign_up("ada")
    queued_runs.assert_triggered(welcome, user_id=ada.pk)
    assert [done.result for done in queued_runs.run_all()] == ["ada"]

class SignUpTests(QueuedRunsMixin, TestCase):
    def test_with_the_mixin(self):
        sign_up("ada")
        self.assertEqual([done.result for done in self.queued_runs.run_all()], ["ada"])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    for name, text in {
        "project_settings.py": SETTINGS,
        "shop/__init__.py": "",
        "shop/tasks.py": TASKS,
        "shop/test_sign_up.py": TESTS,
        "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = project_settings\nfilterwarnings = error\n",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installation leaves beside the package: its metadata, with the entry points of pyproject.toml."""
    folder = tmp_path_factory.mktemp("site")
    metadata = folder / "openqueue-0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: openqueue\nVersion: 0\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [
        line
        for group, names in groups.items()
        for line in [f"[{group}]", *(f"{n} = {v}" for n, v in names.items())]
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder


def run(project: Path, installed: Path, *command: str) -> str:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPENQUEUE_", "PYTEST", "COV"))
    }
    environment = kept | {
        "PYTHONPATH": os.pathsep.join([str(project), str(installed), str(ROOT)]),
        "DJANGO_SETTINGS_MODULE": "project_settings",
    }
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_fixture_is_there_once_openqueue_is_installed(project: Path, installed: Path):
    assert "2 passed" in run(
        project, installed, "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"
    )


def test_the_mixin_works_with_djangos_own_runner(project: Path, installed: Path):
    assert "Ran 1 test" in run(project, installed, "django", "test", "-v", "2")


def test_the_plugin_needs_no_settings_and_the_engine_no_pytest(project: Path, installed: Path):
    lines = [
        "import sys, openqueue.testing.plugin",
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'django']",
        "for name in [name for name in sys.modules if 'pytest' in name]: del sys.modules[name]",
        "sys.modules['pytest'] = None",
        "import django; django.setup()",
        "import openqueue.testing.queued_runs, openqueue.testing.case",
    ]
    (project / "probe.py").write_text("\n".join(lines))
    assert run(project, installed, "probe") == ""
