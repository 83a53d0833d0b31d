"""Time several pieces of work in turns, so that what slows the machine down slows them all."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping


def interleaved(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """
    Return the microseconds of processor time that each of *works* takes: the median of its rounds.

    The first round warms up. Every round runs each once, in an order of its own, since what comes after a large one
    finds the processor's caches full of it; each begins with nothing for the garbage collector to find.
    """
    order, chance = list(works), random.Random(0)
    taken: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        chance.shuffle(order)
        for name in order:
            gc.collect()
            before = time.process_time_ns()
            works[name]()
            if round_:
                taken[name].append((time.process_time_ns() - before) / 1000)
    return {name: statistics.median(each) for name, each in taken.items()}
