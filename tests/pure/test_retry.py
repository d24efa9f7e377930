from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue.retry import DEFAULT_BACKOFF, Backoff, exponential, fixed, linear

seconds = st.floats(min_value=0, max_value=10_000)
backoffs = st.one_of(
    st.builds(exponential, seconds, st.floats(min_value=0, max_value=10), seconds, st.floats(0, 1)),
    st.builds(linear, seconds, seconds),
    st.builds(fixed, seconds),
    st.builds(Backoff.of, st.lists(seconds, min_size=1, max_size=5)),
)


def delays(backoff: Backoff, *, count: int) -> list[float]:
    return [backoff.delay(attempt) for attempt in range(1, count + 1)]


def test_exponential_multiplies_up_to_its_maximum():
    assert delays(exponential(base=1, factor=2, max=10, jitter=0), count=6) == [1, 2, 4, 8, 10, 10]


def test_the_default_doubles_from_one_second_to_ten_minutes_without_jitter():
    assert delays(DEFAULT_BACKOFF, count=3) == [1, 2, 4]
    assert DEFAULT_BACKOFF.delay(100) == 600


def test_linear_adds_up_to_its_maximum():
    assert delays(linear(5, 12), count=4) == [5, 10, 12, 12]


def test_fixed_never_changes():
    assert delays(fixed(7), count=3) == [7, 7, 7]


def test_a_number_or_a_duration_is_a_fixed_backoff():
    assert Backoff.of(7) == fixed(7) == Backoff.of(timedelta(seconds=7))


def test_a_list_gives_each_attempt_its_own_delay_and_repeats_the_last():
    assert delays(Backoff.of([1, timedelta(minutes=1), 5]), count=5) == [1, 60, 5, 5, 5]


@pytest.mark.parametrize("attempt", [0, -1, -5])
@pytest.mark.parametrize("policy", [exponential(3, jitter=0), linear(3), fixed(3), Backoff.of([3, 4, 5])])
def test_what_comes_before_the_first_attempt_counts_as_the_first(policy, attempt):
    assert policy.delay(attempt) == policy.delay(1) == 3


def test_a_policy_is_taken_as_it_is():
    policy = linear(1)

    assert Backoff.of(policy) is policy


def test_jitter_spreads_by_its_fraction_and_not_above_the_maximum():
    policy = exponential(base=100, factor=2, max=200, jitter=0.1)
    first = [policy.delay(1) for _ in range(500)]
    last = [policy.delay(9) for _ in range(500)]

    assert 90 <= min(first) < 95 < 105 < max(first) <= 110
    assert 180 <= min(last) < max(last) <= 200
    assert last.count(200.0) < 10  # a crowd cut off at the maximum would come back at once


def test_a_delay_without_growth_stays_nothing_however_late_the_attempt():
    assert exponential(base=0, factor=9, jitter=0).delay(100_000) == 0


@given(backoffs, st.integers(min_value=-5, max_value=10**9))
def test_every_attempt_has_a_finite_delay_that_is_not_negative(policy, attempt):
    assert 0 <= policy.delay(attempt) <= 10_000


@given(backoffs)
def test_a_policy_comes_back_from_json_as_it_went(policy):
    assert Backoff.from_json(json.loads(json.dumps(policy.to_json()))) == policy


def test_a_policy_says_its_kind_and_numbers_in_json():
    assert exponential(base=timedelta(seconds=2), jitter=0).to_json() == {
        "kind": "exponential",
        "base": 2.0,
        "factor": 2.0,
        "max": 600.0,
        "jitter": 0.0,
    }


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"kind": "os.system"},
        {"kind": "linear", "step": 1, "max": 2, "more": 3},
        {"kind": "linear", "step": "1"},
        {"kind": "listed", "delays": []},
        {"kind": "listed", "delays": 5},
        {"kind": ["linear"]},
        [],
        None,
    ],
)
def test_json_that_no_policy_wrote_is_refused(value):
    with pytest.raises(ValueError, match="backoff"):
        Backoff.from_json(value)


@pytest.mark.parametrize(
    "wrong", [-1, float("nan"), float("inf"), 10**10, True, "5", None, timedelta(days=-1)]
)
@pytest.mark.parametrize(
    "make",
    [
        fixed,
        lambda value: linear(step=value),
        lambda value: exponential(base=value),
        lambda value: exponential(max=value),
        lambda value: Backoff.of([1, value]),
    ],
)
def test_a_delay_that_is_no_sensible_duration_is_refused(make, wrong):
    with pytest.raises(ValueError, match="="):
        make(wrong)


@pytest.mark.parametrize("jitter", [-0.1, 1.1, float("nan")])
def test_jitter_is_a_fraction(jitter):
    with pytest.raises(ValueError, match="jitter="):
        exponential(jitter=jitter)


def test_a_policy_cannot_be_changed():
    with pytest.raises(AttributeError):
        fixed(5).delays = (6,)  # type: ignore[attr-defined]


def test_a_policy_of_the_project_travels_too():
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Fibonacci(Backoff):
        kind = "test-fibonacci"
        unit: float = 1.0

        def delay(self, attempt: int) -> float:
            before, now = 0, 1
            for _ in range(attempt - 1):
                before, now = now, before + now
            return now * self.unit

    policy = Fibonacci(unit=0.5)

    assert delays(policy, count=6) == [0.5, 0.5, 1, 1.5, 2.5, 4]
    assert Backoff.from_json(policy.to_json()) == policy


@pytest.mark.parametrize("members", [{"kind": "linear"}, {}])
def test_a_policy_without_a_kind_of_its_own_is_refused(members):
    with pytest.raises(TypeError, match="kind"):
        type("Another", (Backoff,), members)
