"""The reference names everything that the code has, and nothing that it has not."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

import openqueue
from openqueue import checks, conf, declaration, deployment, errors, models, options, signals
from openqueue.context import TaskContext
from openqueue.contrib.django_tasks import backend
from openqueue.control import findings, overview
from openqueue.control.doctor import brokers, clocks, database, examination, operation
from openqueue.handle import RunHandle
from openqueue.processes.sweeps import Sweeps, announcer, due, expiry, permits
from openqueue.runtimes.base import Consumer, Runtime
from openqueue.states import Kind, Reason, Status
from tests.docs.pages import DOCS

ENGINE = {"ask_to_stop", "checkpoint", "end_lines", "mask", "overhear"}
"""Members of a context that are the worker's."""
REFERENCE = DOCS / "reference"
COMMANDS = sorted(command for command, app in get_commands().items() if app == "openqueue")
CONFVAL = re.compile(r"^:::\{confval\} (\w+)\n:type: .*\n:default: `(.*)`$", re.MULTILINE)


def text(path: str | Path) -> str:
    return (DOCS / path).read_text("utf-8")


def section(page: str, heading: str) -> str:
    """Return what stands below one heading of the second level."""
    return text(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_every_setting_is_there_with_its_default():
    written = {key: eval(default) for key, default in CONFVAL.findall(text("reference/settings.md"))}
    raw = conf.Reader({}).read()
    assert list(written)
    assert set(written) == {field.name.upper() for field in fields(conf.Config)}
    for key, default in written.items():
        assert default == plain(getattr(raw, key.lower()), key=key), key


ALERTS = {
    "ALLOWED_HOSTS": "allowed_hosts",
    "ONLY_HOSTS": "only_hosts",
    "ALLOW_HTTP": "allow_http",
    "URL": "url",
    "FROM": "sender",
}


def written_as(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def plain(value: object, *, key: str) -> object:
    """Return a default as a developer would write it."""
    if key == "RUNTIMES":
        return {"default": {"BACKEND": conf.DATABASE_RUNTIME}}
    if key == "ALERTS":
        return {name: written_as(getattr(value, field)) for name, field in ALERTS.items()}
    if key == "RETENTION":
        return conf.RETENTION_DAYS
    return value.total_seconds() if isinstance(value, timedelta) else value


def check_ids() -> set[str]:
    source = "".join(map(inspect.getsource, (checks, conf, deployment, backend)))
    return {f"openqueue.{number}" for number in re.findall(r'"(?:openqueue\.)?([EW]\d{3})"', source)}


def test_every_check_has_an_anchor():
    anchored = re.findall(
        r"^\((openqueue-\w+)\)=\n### (openqueue\.\w+)$", text("reference/checks.md"), re.MULTILINE
    )
    assert all(anchor == number.lower().replace(".", "-") for anchor, number in anchored)
    assert {number for _, number in anchored} == check_ids()
    assert len(check_ids()) > 20


def test_every_error_has_a_heading():
    headings = set(re.findall(r"^## (\w+)$", text("reference/errors.md"), re.MULTILINE))
    kinds = {
        kind
        for kind, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.OpenQueueError) and not kind.startswith("_")
    }
    assert kinds - headings == {"OpenQueueError"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_there_with_every_option(command: str):
    written = "\n".join(re.findall(r"^\| .*", section("reference/commands.md", command), re.MULTILINE))
    assert written
    parser = load_command_class("openqueue", command).create_parser("manage.py", command)
    ours = {option for option in re.findall(r"--[a-z-]+", shown(parser)) if option not in django_options()}
    assert {option for option in ours if f"`{option}`" not in written} == set()


def shown(parser) -> str:
    """Return the help of a parser and of those below it; suppressed options are not in it."""
    below = [
        sub
        for action in parser._actions
        if isinstance(action.choices, dict)
        for sub in action.choices.values()
    ]
    return parser.format_help() + "".join(map(shown, below))


def django_options() -> set[str]:
    return set(
        re.findall(
            r"--[a-z-]+", load_command_class("django.core", "check").create_parser("", "").format_help()
        )
    ) - {"--tag"} | {"--skip-checks"}


def test_every_kind_of_event_is_there():
    rows = re.findall(r"^\| `(\w+)` \|", text("reference/events.md"), re.MULTILINE)
    assert rows
    assert set(rows) == {kind.value for kind in Kind}


def test_every_status_and_reason_is_there():
    page = text("concepts/life-of-a-run.md")
    named = [value for value in [*Status, *Reason] if value]
    assert [value.value for value in named if f"`{value.value}`" not in page] == []


def test_every_finding_is_there():
    source = inspect.getsource(findings) + inspect.getsource(overview)
    known = set(re.findall(r'\bid="(\w+)"', source))
    written = section("reference/commands.md", "openqueue_status")
    assert known
    assert {one for one in known if f"| `{one}` |" not in written} == set()


def test_every_finding_of_the_doctor_is_there():
    source = "".join(inspect.getsource(part) for part in (brokers, clocks, database, examination, operation))
    source += "".join(inspect.getsource(part) for part in database_vendors())
    known = set(re.findall(r'\bid="(\w+)"', source))
    written = "".join(
        re.findall(r"^\| (`.*?) \|", section("reference/commands.md", "openqueue_doctor"), re.MULTILINE)
    )
    assert len(known) > 20
    assert {one for one in known if f"`{one}`" not in written} == set()


def database_vendors() -> list[object]:
    return [inspect.getmodule(judge) for judge in database.VENDORS.values()]


def test_every_option_of_a_task_is_there():
    page = text("reference/tasks.md")
    taken = set(inspect.signature(declaration.Task.__init__).parameters) - {"self", "function", "options"}
    assert {one for one in taken | set(options.NAMES) if f"`{one}`" not in page} == set()


def test_every_default_of_an_option_is_there():
    rows = dict(
        re.findall(r"^\| `(\w+)` \| (?:✓|only) \| (\S+|`.*?`) \|", text("reference/tasks.md"), re.MULTILINE)
    )
    for field in fields(options.Options):
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        written = rows[field.name].strip("`")
        assert (None if written == "none" else eval(written, vars(openqueue.retry))) == default, field.name


def test_every_member_of_context_and_handle_is_there():
    page = text("reference/tasks.md")
    context = [name for name in [*TaskContext.__slots__, *vars(TaskContext)] if not name.startswith("_")]
    handle = [name for name in [*RunHandle.__slots__, *vars(RunHandle)] if not name.startswith("_")]
    assert {name for name in context if f"ctx.{name}" not in page} == ENGINE
    assert {name for name in handle if not re.search(rf"\b{name}\b", page)} <= {"created", "outcome"}


def test_every_public_name_is_somewhere_in_the_reference():
    pages = "".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))
    assert [name for name in openqueue.__all__ if not re.search(rf"\b{name}\b", pages)] == []


def test_every_signal_and_model_is_there():
    known = [name for name, value in vars(signals).items() if isinstance(value, signals.Signal)]
    assert [name for name in known if f"| `{name}` |" not in text("reference/signals.md")] == []
    assert [name for name in models.__all__ if f"\n## {name}\n" not in text("reference/models.md")] == []


def test_every_method_of_the_runtime_contract_is_there():
    page = text("contributing/write-a-runtime.md")
    methods = [name for kind in (Runtime, Consumer) for name in vars(kind) if not name.startswith("_")]
    assert [name for name in methods if f"`{name}" not in page] == []


def test_every_sweep_is_there_with_its_interval():
    page = text("concepts/architecture.md")
    for sweep in Sweeps().sweeps:
        milliseconds = sweep.every / timedelta(milliseconds=1)
        said = f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds:g} ms"
        said = {
            "reap": "`REAP_EVERY`",
            "due": f"{due.SHORTEST.microseconds // 1000} to {due.LONGEST.microseconds // 1000} ms",
            "permits": f"{permits.SHORTEST.microseconds // 1000} to {permits.LONGEST.microseconds // 1000} ms",
            "announce": f"{announcer.SHORTEST.microseconds // 1000} to {announcer.LONGEST.microseconds // 1000} ms",
            "expiry": f"{expiry.SHORTEST.seconds} to {expiry.LONGEST.seconds} s",
        }.get(sweep.name, said)
        assert re.search(rf"^\| `{sweep.name}` \| .* \| {said} \|$", page, re.MULTILINE), (sweep.name, said)
