"""The places of a graph's nodes: in layers from left to right, with few crossings. Depends on the graph alone.

After Sugiyama, Tagawa and Toda (1981): longest-path layers, dummy nodes on long edges, sweeps by barycentres, then
places that keep the order, found by merging blocks (isotonic regression by pooling adjacent violators).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

SWEEPS: Final = 4
NARROW: Final = 0.5
"""Of a row: how much room an edge that passes takes."""
MOST_DUMMIES: Final = 5_000
"""Beyond these the longest edges go straight, so that no graph takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where everything stands: a layer is a column, from 0; a row is a height, from 0.0, a node's is 1.0 high."""

    places: Mapping[str, tuple[int, float]]
    routes: Mapping[tuple[str, str], Sequence[tuple[int, float]]]
    """Through which places an edge goes between its ends."""
    layers: int
    rows: float
    """The highest row."""
    crossings: int


class CycleFound(ValueError):
    """The graph goes round in circles: no order runs it."""


def laid_out(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """Return the places of ``nodes``; ties are kept in the order given, whatever the order of ``edges``.

    Raises:
        CycleFound: some of them wait for each other.
        KeyError: an edge names a node that is not there.
    """
    at = {node: index for index, node in enumerate(nodes)}
    pairs = sorted({(at[parent], at[child]) for parent, child in edges})
    layer = _layers(nodes, pairs)
    chains = _chains(pairs, layer)
    columns: list[list[int]] = [[] for _ in range(max(layer, default=-1) + 1)]
    for index, column in enumerate(layer):
        columns[column].append(index)
    links = [link for chain in chains.values() for link in pairwise(chain)]
    links = [(a, b) for a, b in links if layer[b] == layer[a] + 1]
    above: list[list[int]] = [[] for _ in layer]
    below: list[list[int]] = [[] for _ in layer]
    for a, b in links:
        below[a].append(b)
        above[b].append(a)
    crossings = _ordered(columns, above, below)
    row = _rows(columns, above, below, real=len(nodes))
    return Layout(
        places={node: (layer[index], row[index]) for node, index in at.items()},
        routes={
            (nodes[a], nodes[b]): [(layer[index], row[index]) for index in chain[1:-1]]
            for (a, b), chain in chains.items()
        },
        layers=len(columns),
        rows=max(row, default=0.0),
        crossings=crossings,
    )


def layers_of(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return in which layer each node stands.

    Raises:
        CycleFound: some of them wait for each other.
        KeyError: an edge names a node that is not there.
    """
    at = {node: index for index, node in enumerate(nodes)}
    layer = _layers(nodes, sorted({(at[parent], at[child]) for parent, child in edges}))
    return dict(zip(nodes, layer, strict=True))


def _layers(nodes: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return each node's layer: one right of the rightmost that it waits for."""
    after: list[list[int]] = [[] for _ in nodes]
    left = [0] * len(nodes)
    for a, b in pairs:
        after[a].append(b)
        left[b] += 1
    layer = [0] * len(nodes)
    order = [index for index, count in enumerate(left) if not count]
    for a in order:  # it grows while it is walked
        for b in after[a]:
            layer[b] = max(layer[b], layer[a] + 1)
            left[b] -= 1
            if not left[b]:
                order.append(b)
    if len(order) < len(nodes):
        names = ", ".join(node for node, count in zip(nodes, left, strict=True) if count)
        raise CycleFound(f"These steps wait for each other, or for one that does: {names[:200]}.")
    return layer


def _chains(pairs: Sequence[tuple[int, int]], layer: list[int]) -> dict[tuple[int, int], list[int]]:
    """Return each edge as its ends with a dummy node in each layer between; adds their layers."""
    chains, room = {}, MOST_DUMMIES
    for a, b in sorted(pairs, key=lambda pair: (layer[pair[1]] - layer[pair[0]], pair)):
        between = range(layer[a] + 1, layer[b])
        if len(between) <= room:
            room -= len(between)
            chains[a, b] = [a, *range(len(layer), len(layer) + len(between)), b]
            layer.extend(between)
        else:
            chains[a, b] = [a, b]
    return chains


def _ordered(columns: list[list[int]], above: list[list[int]], below: list[list[int]]) -> int:
    """Sort each column by the middle of its neighbours, to the right and back; keep the best; return its crossings."""
    best, fewest = [list(column) for column in columns], _crossings(columns, below)
    for sweep in range(SWEEPS):
        beside = below if sweep % 2 else above
        order = range(len(columns))
        for number in reversed(order) if sweep % 2 else order:
            neighbour = number + (1 if sweep % 2 else -1)
            if not 0 <= neighbour < len(columns):
                continue
            position = {node: index for index, node in enumerate(columns[neighbour])}
            middle = {
                node: sum(position[one] for one in beside[node]) / len(beside[node])
                if beside[node]
                else float(index)
                for index, node in enumerate(columns[number])
            }
            columns[number].sort(key=middle.__getitem__)
        found = _crossings(columns, below)
        if found < fewest:
            best, fewest = [list(column) for column in columns], found
    columns[:] = best
    return fewest


def _crossings(columns: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> int:
    total = 0
    for column, following in pairwise(columns):
        position = {node: index for index, node in enumerate(following)}
        seen: list[int] = []
        for node in column:
            ends = sorted(position[one] for one in below[node])
            total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _rows(
    columns: Sequence[Sequence[int]],
    above: Sequence[Sequence[int]],
    below: Sequence[Sequence[int]],
    *,
    real: int,
) -> list[float]:
    """Return each node's row: as near to its neighbours' as the order and the room between nodes let it be."""
    row = [0.0] * len(above)
    for column in columns:
        for index, node in enumerate(column):
            row[node] = float(index)
    for sweep in range(SWEEPS):
        for column in reversed(columns) if sweep % 2 else columns:
            wanted = []
            for node in column:
                beside = (below if sweep % 2 else above)[node]
                wanted.append(sum(row[one] for one in beside) / len(beside) if beside else row[node])
            for node, place in zip(column, _merged(wanted, _gaps(column, real)), strict=True):
                row[node] = place
    least = min(row, default=0.0)
    return [place - least for place in row]


def _gaps(column: Sequence[int], real: int) -> list[float]:
    """Return how far from the first each node of a column must at least stand."""
    offset, offsets = 0.0, []
    sizes = [1.0 if node < real else NARROW for node in column]
    for index, size in enumerate(sizes):
        offset += (sizes[index - 1] + size) / 2 if index else 0.0
        offsets.append(offset)
    return offsets


def _merged(wanted: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """Return the places nearest to the wanted ones that keep order and room: blocks that would overlap become one."""
    blocks: list[
        tuple[float, int]
    ] = []  # the sum of what its members want of its first place, and how many they are
    for want, offset in zip(wanted, offsets, strict=True):
        total, size = want - offset, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / size:
            earlier = blocks.pop()
            total, size = total + earlier[0], size + earlier[1]
        blocks.append((total, size))
    firsts = [total / size for total, size in blocks for _ in range(size)]
    return [first + offset for first, offset in zip(firsts, offsets, strict=True)]
