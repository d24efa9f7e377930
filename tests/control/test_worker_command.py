"""`openqueue_worker`: what it refuses, and with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from openqueue.management.arguments import queues


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--runtime", "elsewhere"], "--runtime 'elsewhere' is not one of: default."),
        (["--strict"], "--strict needs the queues in their order: --queues high,low --strict."),
        (["--strict", "--queues", "a=3,b"], "--strict leaves nothing to weights"),
        (["--once", "--processes", "2"], "--once is for one process: leave out --processes."),
        (["--once", "--reload"], "--once is for one process: leave out --reload."),
        (["--drain", "--reload"], "leave out --reload."),
        (["--processes", "2"], "--processes starts this program again for each worker"),
        (["--processes", "0"], "argument --processes: '0' must be a whole number above 0."),
        (["--concurrency", "-1"], "argument --concurrency: '-1' must be a whole number above 0."),
        (["--max-runs", "many"], "argument --max-runs: 'many' must be a whole number above 0."),
        (["--max-rss", "0"], "argument --max-rss"),
        (["--queues", "a=0"], "argument --queues: the weight of 'a' must be a whole number from 1 to 9999"),
        (["--queues", "a,a"], "argument --queues: 'a' is named twice"),
        (["--queues", "Ä"], "argument --queues: 'Ä' is no queue name"),
        (["--queues", " , "], "argument --queues: names no queue"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_does_not_fit_is_refused_by_name(words: list[str], named: str):
    with pytest.raises(CommandError) as refused:
        call_command("openqueue_worker", *words)
    assert named in str(refused.value)


def test_queues_keep_their_order_and_have_weights_where_they_are_given():
    assert queues("mail=3, reports") == {"mail": 3, "reports": None}
    assert list(queues("b,a")) == ["b", "a"]


@pytest.mark.parametrize("option", [["--strict"], []], ids=["strict", "weights"])
def test_an_order_that_a_runtime_cannot_keep_is_refused(option: list[str], settings: Any):
    entry = {"BACKEND": "tests.broker.runtime.BrokerRuntime", "OPTIONS": {"port": 1}}
    settings.OPENQUEUE = {"RUNTIMES": {"default": entry}}
    given = "a,b" if option else "a=3,b=1"
    with pytest.raises(CommandError, match=r"the runtime 'default' cannot take queues in an order"):
        call_command("openqueue_worker", "--queues", given, *option)


def test_a_probe_says_what_to_look_at(tmp_path: Path):
    with pytest.raises(CommandError, match="no worker touched it within 30 s"):
        call_command("openqueue_worker", "--healthy", tmp_path / "none")
    (tmp_path / "fresh").touch()
    call_command("openqueue_worker", "--healthy", tmp_path / "fresh")
