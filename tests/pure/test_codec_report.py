from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue.codec import ERROR_LIMIT, clip, describe, encode


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def stored(error: BaseException) -> dict:
    """The description, after the checks that every description has to pass."""
    described = describe(error)
    text = encode(described, what="error", limit=ERROR_LIMIT)
    text.encode("utf-8")
    assert "\0" not in "".join(described.values())
    assert {"type", "message", "traceback"} <= set(described)
    return described


# clip


@given(st.text(), st.integers(min_value=0, max_value=300))
def test_clipped_text_keeps_to_its_limit_and_to_unicode(text, limit):
    clipped = clip(text * 20, limit=limit)

    assert len(clipped.encode()) <= limit
    assert "\0" not in clipped


def test_text_within_the_limit_stays_as_it_is():
    assert clip("é" * 50, limit=100) == "é" * 50


def test_longer_text_keeps_head_and_tail_and_says_so():
    clipped = clip("head" + "€" * 10_000 + "tail", limit=1_000)

    assert clipped.startswith("head€")
    assert clipped.endswith("€tail")
    assert "30,008 bytes" in clipped
    assert 990 < len(clipped.encode()) <= 1_000


def test_nul_and_surrogates_stay_readable():
    assert clip("a\0b\ud800c", limit=100) == "a\\x00b\\ud800c"


# describe


def test_an_error_is_described_by_type_message_and_traceback():
    described = stored(raised(ValueError("no such invoice")))

    assert described["type"] == "ValueError"
    assert described["message"] == "no such invoice"
    assert described["traceback"].startswith("Traceback (most recent call last):\n")
    assert "raise error\n" in described["traceback"]
    assert described["traceback"].endswith("ValueError: no such invoice\n")
    assert "notes" not in described


def test_a_type_of_the_project_is_named_with_its_module():
    class Declined(Exception):
        pass

    assert stored(Declined())["type"].endswith(
        "test_codec_report.test_a_type_of_the_project_is_named_with_its_module.<locals>.Declined"
    )


def test_an_error_that_was_never_raised_is_described_too():
    assert stored(KeyError("x")) == {"type": "KeyError", "message": "'x'", "traceback": "KeyError: 'x'\n"}


def test_notes_are_kept():
    error = ValueError("x")
    error.add_note("while importing row 7")
    error.add_note("of orders.csv")

    described = stored(raised(error))

    assert described["notes"] == "while importing row 7\nof orders.csv"
    assert "while importing row 7" in described["traceback"]


def test_locals_are_never_shown():
    def charge(card_number):
        raise ValueError("declined")

    with pytest.raises(ValueError, match="declined") as caught:
        charge("-".join(["4111"] * 4))

    assert "4111-4111" not in json.dumps(stored(caught.value))


def test_causes_and_contexts_come_first_as_python_prints_them():
    try:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                raise ValueError("second")  # noqa: B904
        except ValueError as error:
            raise RuntimeError("third") from error
    except RuntimeError as error:
        text = stored(error)["traceback"]

    marks = ["KeyError: 'first'", "While that", "ValueError: second", "direct cause", "RuntimeError: third"]
    assert [text.index(mark) for mark in marks] == sorted(text.index(mark) for mark in marks)


def test_a_suppressed_context_is_left_out():
    error = ValueError("second")
    error.__context__ = KeyError("first")
    assert "KeyError" in stored(error)["traceback"]

    error.__suppress_context__ = True
    assert "KeyError" not in stored(error)["traceback"]


def test_a_chain_of_two_hundred_keeps_both_ends():
    error: BaseException | None = None
    for number in range(200):
        try:
            raise ValueError(f"number {number}") from error
        except ValueError as caught:
            error = caught

    text = stored(error)["traceback"]

    assert "ValueError: number 0\n" in text
    assert "ValueError: number 199\n" in text
    assert "190 errors between" in text


def test_a_chain_that_closes_on_itself_ends():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first

    assert "second" in stored(first)["traceback"]


def test_a_recursion_error_is_described():
    def deeper():
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()

    assert stored(caught.value)["type"] == "RecursionError"


def test_a_message_of_five_megabytes_is_cut_to_size():
    described = stored(raised(ValueError("head" + "x" * 5_000_000 + "tail")))

    assert described["message"].startswith("head")
    assert described["message"].endswith("tail")
    assert described["traceback"].endswith("tail\n")


@pytest.mark.parametrize(
    "text", ["\0" * 10**6, "\x01" * 10**6, '"\\' * 10**6, "\ud800" * 10**6, "😀" * 10**6, "\n" * 10**6]
)
def test_a_message_that_grows_in_json_is_still_within_the_limit(text):
    error = ValueError(text)
    for _ in range(20):
        error.add_note(text)

    assert stored(raised(error))["message"]


def test_invalid_surrogates_in_a_message_are_shown_as_escapes():
    assert stored(ValueError("\ud800"))["message"] == "\\ud800"


class NoText(Exception):
    def __str__(self):
        raise self.args[0]

    __repr__ = __str__


@pytest.mark.parametrize("second", [RuntimeError("no"), SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_an_error_whose_text_cannot_be_made_is_described(second):
    described = stored(raised(NoText(second)))

    assert type(second).__name__ in described["message"]
    assert "NoText" in described["traceback"]


class NotText(Exception):
    def __str__(self):
        return 5


class OddText(Exception):
    class Text(str):
        __slots__ = ()

        def replace(self, *args):
            raise RuntimeError

        encode = __len__ = replace

    def __str__(self):
        return self.Text("odd")


class Liar(Exception):
    @property
    def __notes__(self):
        raise RuntimeError

    @property
    def __cause__(self):
        raise RuntimeError


class Nameless(type):
    def __getattribute__(cls, name):
        raise RuntimeError


@pytest.mark.parametrize(
    "error", [NotText(), OddText(), Liar("a lie"), Nameless("N", (Exception,), {})("none")]
)
def test_hostile_errors_are_described(error):
    assert stored(raised(error))["message"]


def test_what_can_be_said_of_a_hostile_error_is_said():
    described = stored(raised(Liar("a lie")))

    assert (described["message"], described["type"].split(".")[-1]) == ("a lie", "Liar")
    assert "RuntimeError" in described["traceback"]


@pytest.mark.parametrize("notes", [5, None, ["fine", 7, "\0"], "text"])
def test_odd_notes_do_no_harm(notes):
    error = ValueError("x")
    error.__notes__ = notes

    assert stored(raised(error))["message"] == "x"


def test_a_group_shows_its_parts():
    group = ExceptionGroup(
        "both failed", [raised(ValueError("left")), ExceptionGroup("in", [KeyError("right")])]
    )

    text = stored(raised(group))["traceback"]

    assert "ExceptionGroup: both failed (2 sub-exceptions)" in text
    assert "  ValueError: left" in text
    assert "    KeyError: 'right'" in text


def test_a_group_of_thousands_nested_deeply_is_described():
    group = ExceptionGroup("wide", [ValueError(n) for n in range(5_000)])
    for _ in range(200):
        group = ExceptionGroup("deep", [group] * 20)

    assert stored(raised(group))["message"].startswith("deep")


def test_a_source_that_cannot_be_found_is_no_obstacle():
    namespace: dict = {}
    exec(compile("def body():\n    raise ValueError('made up')", "/nowhere/tasks.py", "exec"), namespace)
    with pytest.raises(ValueError, match="made up") as caught:
        namespace["body"]()

    assert "/nowhere/tasks.py" in stored(caught.value)["traceback"]


def test_ten_thousand_frames_keep_both_ends():
    limit = sys.getrecursionlimit()

    def even(n):
        if not n:
            raise ValueError("bottom")
        odd(n - 1)

    def odd(n):
        even(n - 1)

    sys.setrecursionlimit(20_000)
    try:
        with pytest.raises(ValueError, match="bottom") as caught:
            even(6_000)
    finally:
        sys.setrecursionlimit(limit)

    text = stored(caught.value)["traceback"]
    assert "test_ten_thousand_frames" in text
    assert 'raise ValueError("bottom")' in text
