"""Axes: round ticks from zero, heights in which what is not nothing can be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

LEAST: Final = 3.0
"""Pixels of the smallest part that is not zero."""
ROUND: Final = (1, 2, 5, 10)
SECONDS: Final = (
    *(factor * 10.0**power for power in range(-3, 1) for factor in (1, 2, 5)),
    10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
)  # fmt: skip
"""Steps of an axis of durations that people count in."""


def counts(highest: float, *, most: int = 3) -> list[float]:
    """Return ticks of whole numbers, from 0 to at least ``highest``, at most ``most`` above zero."""
    step = _round(max(1.0, highest / most))
    return _ticks(highest, step)


def durations(highest: float, *, most: int = 3) -> list[float]:
    """Return ticks of seconds, from 0 to at least ``highest``."""
    least = max(highest / most, SECONDS[0])
    step = next((one for one in SECONDS if one >= least * (1 - 1e-9)), 0.0)
    return _ticks(highest, step or 86_400 * _round(least / 86_400))


def _round(least: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20, 50 … that is not below ``least``."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return power * next(factor for factor in ROUND if factor * power >= least * (1 - 1e-9))


def _ticks(highest: float, step: float) -> list[float]:
    return [step * number for number in range(max(1, math.ceil(highest / step - 1e-9)) + 1)]


def heights(values: Sequence[float], *, top: float, height: float) -> list[float]:
    """Return how high each part of a stack is; zero is nothing, the largest gives what the smallest lack."""
    drawn = [max(LEAST, value / top * height) if value > 0 else 0.0 for value in values]
    over = sum(drawn) - height
    if over > 0:
        largest = max(range(len(drawn)), key=lambda index: drawn[index])
        drawn[largest] = max(LEAST, drawn[largest] - over)
    return drawn


def every(number: int, *, most: int, steps: Sequence[int] = (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 168)) -> int:
    """Return each how-manieth of ``number`` things gets a label, so that there are at most ``most``."""
    return next((step for step in steps if number <= step * most), math.ceil(number / most))
