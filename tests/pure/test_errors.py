from __future__ import annotations

import inspect
import pickle
from datetime import timedelta
from uuid import UUID

import pytest

from openqueue import errors
from openqueue.errors import (
    FieldError,
    FlowFailed,
    LeaseLost,
    NonRetryableError,
    OpenQueueError,
    PayloadInvalid,
    PayloadTooLarge,
    ResultInvalid,
    ResultTooLarge,
    RetryableError,
    TaskFailed,
    UnknownTask,
    WaitTimeout,
)

RUN = UUID(int=5)
ALL = [
    kind
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, OpenQueueError) and not name.startswith("_")
]


def by_name(kind: type) -> str:
    return kind.__name__


@pytest.mark.parametrize("kind", ALL, ids=by_name)
def test_every_error_says_something_without_being_told(kind):
    message = str(kind())

    assert message.endswith((".", "?", "ended failed"))
    assert "\n" not in message


@pytest.mark.parametrize("kind", ALL, ids=by_name)
def test_every_error_stands_in_the_tree_of_the_docstring(kind):
    assert f" {kind.__name__}" in errors.__doc__.replace("OpenQueueError\n", " OpenQueueError\n")


@pytest.mark.parametrize(
    "kind",
    [kind for kind in ALL if not issubclass(kind, ValueError | FlowFailed | TaskFailed | errors._Named)],
    ids=by_name,
)
def test_a_message_of_ones_own_takes_the_place_of_the_docstring(kind):
    assert str(kind("what went wrong here")) == "what went wrong here"


def test_an_error_of_the_project_speaks_by_its_own_docstring_or_its_parents():
    class Declined(NonRetryableError):
        """The card was declined.

        More about it.
        """

    class DeclinedForGood(Declined):
        pass

    assert str(Declined()) == "The card was declined. More about it."
    assert str(DeclinedForGood()) == str(Declined())


@pytest.mark.parametrize("error", [UnknownTask("shop.nothing"), LeaseLost(RUN)], ids=repr)
def test_an_error_about_one_thing_names_it_and_the_remedy(error):
    assert str(error) == f"{error.args[0]}: {type(error).default_message()}"


@pytest.mark.parametrize(
    "error",
    [
        NonRetryableError("a", 5),
        RetryableError("busy", delay=30),
        PayloadInvalid([("a", "is missing")]),
        ResultTooLarge([("result", "is large")]),
        UnknownTask("shop.nothing"),
        TaskFailed(RUN, status="failed", reason="timed_out", error={"type": "X", "message": "y"}),
    ],
    ids=repr,
)
def test_an_error_survives_the_way_to_another_process(error):
    back = pickle.loads(pickle.dumps(error))

    assert type(back) is type(error)
    assert (str(back), vars(back)) == (str(error), vars(error))


# RetryableError


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (None, None),
        (30, timedelta(seconds=30)),
        (0.5, timedelta(milliseconds=500)),
        (timedelta(minutes=2), timedelta(minutes=2)),
        (-5, timedelta(0)),  # a Retry-After that has passed meanwhile
        (timedelta(days=-1), timedelta(0)),
    ],
)
def test_a_retryable_error_knows_how_long_to_wait(delay, expected):
    assert RetryableError("busy", delay=delay).delay == expected


@pytest.mark.parametrize("delay", [float("nan"), float("inf"), 10**12])
def test_a_delay_without_end_is_refused(delay):
    with pytest.raises(ValueError, match="ten years"):
        RetryableError(delay=delay)


# Fields


def test_a_payload_error_lists_its_fields_and_is_a_value_error():
    error = PayloadInvalid([("a", "is missing"), FieldError("b[0]", "must be int, not str")])

    assert error.errors == (("a", "is missing"), ("b[0]", "must be int, not str"))
    assert str(error) == "a is missing; b[0] must be int, not str"
    assert isinstance(error, ValueError)


def test_a_message_of_many_fields_is_cut_but_the_list_is_whole():
    error = PayloadInvalid([(f"f{n}", "is missing") for n in range(100)])

    assert str(error).endswith("f19 is missing; and 80 more")
    assert len(error.errors) == 100


@pytest.mark.parametrize(
    ("payload", "result"), [(PayloadInvalid, ResultInvalid), (PayloadTooLarge, ResultTooLarge)]
)
def test_what_is_said_of_a_payload_can_be_said_of_a_result(payload, result):
    error = ResultInvalid.of(payload([("result", "is bad")]))

    assert type(error) is result
    assert error.errors == (("result", "is bad"),)


@pytest.mark.parametrize(
    ("path", "key", "expected"),
    [
        ("", "a", "a"),
        ("payload", "a", "payload.a"),
        ("payload", 3, "payload[3]"),
        ("", 3, "[3]"),
        ("payload", "odd key", "payload['odd key']"),
        ("payload", "ключ", "payload.ключ"),
        ("payload", "", "payload['']"),
        ("payload", None, "payload[<NoneType key>]"),
        ("payload", True, "payload[<bool key>]"),
    ],
)
def test_a_path_is_written_as_python_would_reach_it(path, key, expected):
    assert FieldError.step(path, key) == expected


def test_without_a_json_form_a_model_is_told_from_other_things():
    class Invoice:
        _meta = pk = None

    assert "primary key" in FieldError.without_json_form("a", Invoice()).reason
    assert "set" in FieldError.without_json_form("a", set()).reason


# Waiting


def test_a_wait_that_timed_out_is_a_timeout_error():
    assert isinstance(WaitTimeout(), TimeoutError)


def test_a_failed_task_says_how_it_ended():
    error = TaskFailed(
        RUN, status="failed", reason="error", error={"type": "ValueError", "message": "no card"}
    )

    assert str(error) == f"Run {RUN} ended failed (error): ValueError: no card"
    assert (error.run_id, error.status, error.reason, error.error["type"]) == (
        RUN,
        "failed",
        "error",
        "ValueError",
    )
    assert str(TaskFailed(RUN, status="cancelled")) == f"Run {RUN} ended cancelled"
