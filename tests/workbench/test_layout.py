from __future__ import annotations

import random
import sys
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openqueue_workbench.drawing import layout
from openqueue_workbench.drawing.layout import CycleFound, laid_out, layers_of

DIAMOND = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]


def random_graph(number: int, *, seed: int, layers: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Each node waits for one or two of the layers before its own, mostly of the last: as flows do."""
    dice = random.Random(seed)
    columns: list[list[str]] = [[] for _ in range(layers)]
    nodes, edges = [], []
    for index in range(number):
        column = index * layers // number
        node = f"n{index}"
        for _ in range(dice.choice((1, 1, 1, 2)) if column else 0):
            before = columns[column - 1 if dice.random() < 0.9 else dice.randrange(column)]
            edges.append((dice.choice(before), node))
        columns[column].append(node)
        nodes.append(node)
    return nodes, edges


@st.composite
def graphs(draw):
    number = draw(st.integers(1, 25))
    pairs = st.tuples(st.integers(0, number - 1), st.integers(0, number - 1))
    edges = {(f"n{a}", f"n{b}") for a, b in draw(st.lists(pairs, max_size=60)) if a < b}
    order = draw(st.permutations(range(number)))
    return [f"n{index}" for index in order], sorted(edges)


def test_a_tree_has_no_crossings_and_each_parent_stands_amid_its_children():
    edges = [("root", "a"), ("root", "b"), ("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2")]
    found = laid_out(["root", "b", "a", "b2", "a1", "b1", "a2"], edges)
    assert found.crossings == 0
    assert found.layers == 3
    row = {name: place[1] for name, place in found.places.items()}
    assert row["a"] == pytest.approx((row["a1"] + row["a2"]) / 2)
    assert row["root"] == pytest.approx((row["a"] + row["b"]) / 2)


def test_a_diamond_is_symmetric():
    found = laid_out(["a", "b", "c", "d"], DIAMOND)
    assert found.places == {"a": (0, 0.5), "b": (1, 0.0), "c": (1, 1.0), "d": (2, 0.5)}
    assert found.crossings == 0


def test_a_long_edge_passes_other_nodes_at_a_distance():
    found = laid_out(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")])
    route = found.routes["a", "d"]
    assert [column for column, _ in route] == [1, 2]
    for (_, row), beside in zip(route, ("b", "c"), strict=True):
        assert abs(row - found.places[beside][1]) >= (1 + layout.NARROW) / 2 - 1e-9


def test_edges_that_would_cross_are_untangled():
    nodes = [*"abcd", *"wxyz"]
    found = laid_out(nodes, [("a", "z"), ("b", "y"), ("c", "x"), ("d", "w")])
    assert found.crossings == 0


def test_a_crossing_that_cannot_be_helped_is_counted():
    assert laid_out([*"abxy"], [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")]).crossings == 1


def test_a_cycle_is_refused_by_name():
    with pytest.raises(CycleFound, match=r"b, c\b"):
        laid_out(["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "b")])


def test_an_edge_to_nowhere_is_refused():
    with pytest.raises(KeyError, match="nowhere"):
        laid_out(["a"], [("a", "nowhere")])


def test_nothing_has_no_places():
    found = laid_out([], [])
    assert (found.places, found.layers, found.rows) == ({}, 0, 0.0)


def test_a_thousand_nodes_are_laid_out_at_once():
    nodes, edges = random_graph(1_000, seed=1, layers=12)
    took = []
    for _ in range(5):  # the best of some, of this thread alone: others work on this machine too
        began = time.thread_time()
        found = laid_out(nodes, edges)
        took.append(time.thread_time() - began)
    told = f"{len(nodes)} nodes, {len(edges)} edges: {min(took) * 1_000:.0f} ms, {found.crossings} crossings"
    sys.stdout.write(f"{told}\n")
    assert min(took) < 0.1, told


def test_no_graph_makes_more_dummies_than_can_be_placed_quickly():
    nodes = [f"n{index}" for index in range(300)]
    edges = [(a, b) for index, a in enumerate(nodes) for b in nodes[index + 1 :: 7]]
    edges += list(pairwise(nodes))
    found = laid_out(nodes, edges)
    assert sum(len(route) for route in found.routes.values()) <= layout.MOST_DUMMIES
    assert set(found.routes) == set(edges)


@pytest.mark.parametrize(("number", "layers", "bound"), [(56, 6, 40), (360, 9, 1_500), (888, 12, 6_200)])
def test_crossings_stay_low(number, layers, bound):
    nodes, edges = random_graph(number, seed=3, layers=layers)
    assert laid_out(nodes, edges).crossings <= bound


@given(graphs())
def test_every_edge_goes_right_and_through_each_layer_between(graph):
    nodes, edges = graph
    found = laid_out(nodes, edges)
    for parent, child in edges:
        columns = [column for column, _ in found.routes[parent, child]]
        assert columns == list(range(found.places[parent][0] + 1, found.places[child][0]))
        assert found.places[parent][0] < found.places[child][0]
    assert {node: place[0] for node, place in found.places.items()} == layers_of(nodes, edges)


@given(graphs())
def test_no_two_nodes_overlap_and_no_edge_runs_through_one(graph):
    nodes, edges = graph
    found = laid_out(nodes, edges)
    columns: dict[int, list[tuple[float, float]]] = {}
    for column, row in found.places.values():
        columns.setdefault(column, []).append((row, 1.0))
    for route in found.routes.values():
        for column, row in route:
            columns.setdefault(column, []).append((row, layout.NARROW))
    for column in columns.values():
        column.sort()
        for (row, size), (following, next_size) in pairwise(column):
            assert following - row >= (size + next_size) / 2 - 1e-6
    assert min(row for _, row in found.places.values()) >= 0


@given(graphs(), st.randoms())
def test_the_order_of_edges_makes_no_difference(graph, dice):
    nodes, edges = graph
    shuffled = list(edges)
    dice.shuffle(shuffled)
    assert laid_out(nodes, edges) == laid_out(nodes, shuffled + shuffled)
