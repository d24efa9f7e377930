"""The two clients offer the same, what they know of the API is what it says of itself, and the token stays hidden."""

from __future__ import annotations

import inspect
import logging
import re
import subprocess
import sys
import traceback
from dataclasses import fields, is_dataclass
from pathlib import Path

import msgspec
import pytest

from openqueue import client
from openqueue.api import document
from openqueue.client import AsyncClient, Client, errors, flows, insight, values
from openqueue.errors import OpenQueueError
from tests.house import tree

TOKEN = "oq_0123456789ab_" + "canary".ljust(43, "x")
HERE = "http://127.0.0.1:9/openqueue/"
SCHEMAS = {
    "CreatedRun": "CreatedRun", "Run": "RunFacts", "ShownRun": "ShownRun", "RunPage": "RunPage",
    "RunAnswer": "RunAnswer", "Event": "TimelineEntry", "LogLine": "LogLine", "Attempt": "Attempt",
    "Queue": "ListedQueue", "QueueAnswer": "QueueAnswer", "Cleared": "Cleared", "Task": "TaskFacts",
    "Worker": "WorkerFacts", "Info": "Info", "Problem": "Problem", "FieldProblem": "FieldProblem", "NewRun": "NewRun",
    "Schedule": "ScheduleFacts", "SchedulePage": "SchedulePage", "ShownSchedule": "ShownSchedule",
    "ScheduleAnswer": "ScheduleAnswer", "Flow": "FlowFacts", "FlowNode": "NodeFacts", "ShownFlow": "FlowDetail",
    "FlowPage": "FlowPage", "FlowAnswer": "FlowAnswer", "NewNode": "NewNode", "Numbers": "Numbers", "Series": "Series",
    "NumbersBy": "NumbersBy", "ErrorGroup": "ErrorFacts", "ShownErrorGroup": "ErrorDetail",
    "ErrorGroupAnswer": "ErrorAnswer", "Depth": "DepthFacts", "DepthPoint": "DepthPoint", "DepthSeries": "DepthSeries",
}  # fmt: skip
"""What the API calls each value."""
VALUES = {
    name: value
    for module in (values, flows, insight)
    for name, value in vars(module).items()
    if is_dataclass(value) and value.__module__ == module.__name__
}


def public(kind: type) -> dict[str, inspect.Signature]:
    names = [name for name, value in vars(kind).items() if inspect.isfunction(value) and name[0] != "_"]
    return {name: inspect.signature(getattr(kind, name)) for name in names}


def test_both_clients_have_the_same_methods_arguments_and_words():
    assert list(public(Client)) == list(public(AsyncClient))
    for name, signature in public(Client).items():
        twin = public(AsyncClient)[name]
        assert list(signature.parameters.values()) == list(twin.parameters.values()), name
        assert getattr(Client, name).__doc__ == getattr(AsyncClient, name).__doc__, name
        assert str(twin.return_annotation).replace("Async", "") == str(signature.return_annotation), name
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_value_has_no_field_that_the_api_has_not(name: str):
    schema = document.made()["components"]["schemas"][SCHEMAS[name]]["properties"]
    assert {field.name for field in fields(VALUES[name])} - set(schema) == set()


def test_every_value_is_compared_with_the_api():
    assert set(VALUES) == set(SCHEMAS)


def test_every_address_that_a_client_asks_for_is_one_of_the_api():
    """The literal addresses of calls.py and client.py, with their holes, against the document's."""
    source = "".join(Path(inspect.getfile(part)).read_text() for part in (client.client, client.calls))
    used = set(re.findall(r'(?:run|queue)_path\(\w+, "(\w+)"\)|switch\(queue, "(\w+)"', source))
    asked = {one or other for one, other in used} | set(
        re.findall(r'read_list\("(\w+)"|read\("(\w+)"', source)[0]
    )
    known = {part for path in document.made()["paths"] for part in path.split("/")}
    assert {part for part in asked if part} <= known
    assert len(asked) > 7


def test_an_answer_with_a_field_that_is_new_is_understood():
    made = msgspec.json.decode(
        b'{"queue": "q", "cancelled": 1, "left": 0, "invented_later": [1]}', type=values.Cleared
    )
    assert made == values.Cleared(queue="q", cancelled=1, left=0)


def test_every_error_is_in_the_tree_says_what_to_do_and_is_offered():
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    assert len(kinds) > 15
    for kind in kinds:
        assert issubclass(kind, OpenQueueError)
        assert kind.__name__ in (errors.__doc__ or "")
        assert len(re.findall(r"[.?!](?:\s|$)", kind.__doc__ or "")) >= 2, kind
        assert kind.__name__ in client.__all__


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_token_is_in_no_text(kind: type, caplog):
    made = kind(HERE, TOKEN, tries=1)
    said = [repr(made), str(made), repr(vars(made)), repr(made._http.headers)]
    if kind is Client:
        with caplog.at_level(logging.DEBUG), pytest.raises(client.NoAnswer) as refused:
            made.info()
        said += ["".join(traceback.format_exception(refused.value)), repr(vars(refused.value)), caplog.text]
        assert (refused.value.__cause__, refused.value.__context__) == (None, None)
        made.close()
    assert [text for text in said if "canary" in text] == []


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("", TOKEN, "OPENQUEUE_URL"),
        ("ftp://example.com/", TOKEN, "OPENQUEUE_URL"),
        ("https://ada:canary@example.com/", TOKEN, "without a name and password"),
        ("http://example.com/openqueue/", TOKEN, "token in clear"),
        ("https://example.com/", "", "OPENQUEUE_TOKEN"),
        ("https://example.com/", "canary\r\nX-Evil: 1", "openqueue_tokens create"),
        ("https://example.com/", "canäry", "openqueue_tokens create"),
    ],
)
def test_what_could_not_be_used_safely_is_refused(monkeypatch, url: str, token: str, said: str):
    for name in ("OPENQUEUE_URL", "OPENQUEUE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=said) as refused:
        Client(url, token)
    assert "canary" not in str(refused.value)


def test_clear_text_to_another_host_is_allowed_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("OPENQUEUE_URL", "http://queue.internal/openqueue")
    monkeypatch.setenv("OPENQUEUE_TOKEN", TOKEN)
    with Client(allow_http=True) as made:
        assert made.url == "http://queue.internal/openqueue/v1/"
    for here in ("http://localhost:8000/q/", "http://[::1]:8000/q/", HERE):
        Client(here).close()


def test_without_httpx_it_is_said_what_to_install():
    program = "import sys; sys.modules['httpx'] = None; import openqueue.client"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tree.ROOT, capture_output=True, text=True, check=False
    )
    assert 'ImportError: openqueue.client needs httpx: pip install "openqueue[client]"' in done.stderr
