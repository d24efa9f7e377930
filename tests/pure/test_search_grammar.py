from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue.control.search.grammar import Term, parse, written

fields = st.sampled_from(["status", "queue", "error", "nonsense", "args.order.id", "since"])
values = st.text(min_size=1, max_size=12) | st.sampled_from(
    ['"', "\\", "a,b", "two words", "-x", "queue:x", " ", ":"]
)
terms = st.builds(Term, fields, st.lists(values, max_size=3).map(tuple), st.booleans()) | st.builds(
    Term, st.just(""), st.tuples(values), st.booleans()
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("status:failed", [Term("status", ("failed",))]),
        ("status:failed,queued", [Term("status", ("failed", "queued"))]),
        ("-queue:mail", [Term("queue", ("mail",), negated=True)]),
        ('error:"no such order"', [Term("error", ("no such order",))]),
        ('error:"a,b",c', [Term("error", ("a,b", "c"))]),
        (r'error:"say \"no\" \\ twice"', [Term("error", (r"say \"no\" \ twice".replace('\\"', '"'),))]),
        ("args.order.id:7", [Term("args.order.id", ("7",))]),
        ("queue: mail", [Term("queue", ()), Term("", ("mail",))]),
        ("worker:web-1:4711", [Term("worker", ("web-1:4711",))]),
        ("boom  bang", [Term("", ("boom",)), Term("", ("bang",))]),
        ('"two words"', [Term("", ("two words",))]),
        ("ValueError: no", [Term("", ("ValueError:",)), Term("", ("no",))]),
        ("a,b", [Term("", ("a,b",))]),
        ("-boom", [Term("", ("boom",), negated=True)]),
        ("- -", [Term("", ("-",)), Term("", ("-",))]),
        ('error:"never closed', [Term("error", ("never closed",))]),
        ('error:"never closed\\', [Term("error", ("never closed",))]),
    ],
)
def test_a_text_is_read_as_these_terms(text: str, found: list[Term]):
    assert parse(text) == found


@given(st.text())
def test_no_text_raises_and_each_has_one_spelling(text: str):
    found = parse(text)
    assert parse(written(found)) == found
    assert written(parse(written(found))) == written(found)


@given(st.lists(terms, max_size=5))
def test_terms_are_read_back_as_they_were_written(asked: list[Term]):
    assert parse(written(asked)) == asked
