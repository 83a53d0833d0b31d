"""Keep the numbers: in memory, or where several processes serve in files that they share."""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from threading import RLock
from typing import Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from wideevents.forks import renew_in_child
from wideevents.metrics.families import FAMILIES, Family

MOST_WAITING = 10_000
"""Additions that wait while somebody works; only one who was killed in the middle lets them become so many."""

SIZE = 65_536
"""Bytes that a file begins with, as those of prometheus_client do; it grows."""

Labels: TypeAlias = tuple[object, ...]


class Series:
    """
    Hold the numbers of one set of labels: a total; or the sum of a histogram, and a count for each of its buckets.

    They are true in *home*, the store that they were loaded from; in any other they begin anew.
    """

    __slots__ = ("bounds", "family", "home", "keys", "labels", "values")

    def __init__(self, family: Family, labels: Labels) -> None:
        self.family = family
        self.labels = tuple(map(str, labels))
        self.bounds = family.bounds
        self.keys: tuple[str, ...] = ()
        self.values: list[float] = []
        self.home: Store | None = None

    def add(self, amount: float) -> tuple[int, ...]:
        """Add to a total, or observe a value; return the positions of the numbers that have changed."""
        values = self.values
        values[0] += amount
        if not self.bounds:
            return (0,)
        bucket = 1 + bisect_left(self.bounds, amount)  # a boundary belongs to the bucket below it
        values[bucket] += 1
        return (0, bucket)

    @property
    def size(self) -> int:
        """How many numbers it has; the last bucket of a histogram has no boundary."""
        return 2 + len(self.bounds) if self.bounds else 1


class Store(Protocol):
    """Hold the numbers of this process."""

    def load(self, series: Series) -> list[float]:
        """Return the numbers of *series* so far, which from now on is one of those that are shown."""

    def save(self, series: Series, changed: tuple[int, ...]) -> None:
        """Hold on to the numbers of *series* at these positions."""

    def close(self) -> None:
        """Let go of what is held; a number that comes later is kept, too."""

    def anew(self) -> Store:
        """Return the store of a forked child: what the parent has counted is the parent's."""


class Memory:
    """Hold the numbers where they are: in their series."""

    def load(self, series: Series) -> list[float]:
        """Begin with zeros."""
        return [0.0] * series.size

    def save(self, series: Series, changed: tuple[int, ...]) -> None:
        """Do nothing: they are there."""

    def close(self) -> None:
        """Do nothing: somebody may count there again."""

    def anew(self) -> Memory:
        """Return another one, in which all begins with zeros."""
        return Memory()


class Files:
    """
    Hold the numbers in files of prometheus_client's format, which its `MultiProcessCollector` adds up.

    They are files of our own, beside those of prometheus_client: its values take a lock that hangs when a signal
    handler counts in the middle of a count, or when a process forks then.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._open: dict[str, Any] = {}

    def load(self, series: Series) -> list[float]:
        """Begin with what the file holds: of an earlier process that had our number. Raise `OSError` without it."""
        series.keys = series.keys or _keys(series)
        file = self._file(series)
        return [file.read_value(key)[0] for key in series.keys]

    def save(self, series: Series, changed: tuple[int, ...]) -> None:
        """Write them to memory that is mapped from the file: they are there when the process is gone."""
        file, keys, values = self._file(series), series.keys, series.values
        for position in changed:
            file.write_value(keys[position], values[position], 0.0)

    def close(self) -> None:
        """Close the files; the next number opens those of the process that it is counted in."""
        for file in self._open.values():
            file.close()
        self._open.clear()

    def anew(self) -> Files:
        """Return another one, with files of its own."""
        self.close()
        return Files(self._directory)

    def _file(self, series: Series) -> Any:
        kind = "histogram" if series.bounds else "counter"
        file = self._open.get(kind)
        if file is None:
            name = os.path.join(self._directory, f"{kind}_wideevents_{os.getpid()}.db")
            file = self._open[kind] = _mapped(name)
        return file


class Ledger:
    """
    Add up, exactly, from any number of threads, and show the sums to a registry.

    What is added is queued, and whoever holds the lock works off the queue. A signal handler, or the end of an event
    that the garbage collector finds, may add in the middle of an addition of the same thread: it is queued, and the
    work that it interrupted takes it up.
    """

    def __init__(self, store: Store) -> None:
        self.users = 0
        self.known: dict[Family, dict[Labels, Series]] = {family: {} for family in FAMILIES}
        self._store = store
        self._prepare()
        renew_in_child(self)

    @classmethod
    def of(cls, place: CollectorRegistry | str) -> Ledger:
        """
        Return the ledger of a registry, or of a directory.

        There is one of each, as long as somebody uses it: a registry takes a name once, a file has one writer in a
        process, and events in progress count where they began when the process is configured again.
        """
        ledger = _ledgers.get(place)
        if ledger is None:
            ledger = _ledgers[place] = cls(Files(place) if isinstance(place, str) else Memory())
        return ledger

    def series(self, family: Family, labels: Labels) -> Series:
        """Return the series of *labels*; the same one for every thread that asks."""
        return self.known[family].setdefault(labels, Series(family, labels))

    def add(self, *additions: tuple[Series, float]) -> None:
        """Add to each series its amount. Raise `OSError` where the files are not to be written."""
        self._waiting.extend(additions)
        with self._lock:
            if not self._at_work:
                self._work()

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without their numbers, so that a registry knows their names."""
        return map(_metric, FAMILIES)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, as a registry asks for them."""
        self.add()
        store = self._store
        for family, known in self.known.items():
            metric = _metric(family)
            for series in known.copy().values():
                values = series.values if series.home is store else [0.0] * series.size
                if family.bounds:
                    counts = accumulate(values[1:])
                    metric.add_metric(series.labels, list(zip(_bounds(family), counts, strict=True)), values[0])
                else:
                    metric.add_metric(series.labels, values[0])
            yield metric

    def renew(self) -> None:
        """Begin anew: in a forked child the lock may be held by nobody, and what was counted is the parent's."""
        self._prepare()
        self._store = self._store.anew()

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._store.close()

    def _prepare(self) -> None:
        self._waiting: deque[tuple[Series, float]] = deque(maxlen=MOST_WAITING)
        self._lock = RLock()
        self._at_work = False

    def _work(self) -> None:
        waiting, store = self._waiting, self._store
        try:
            self._at_work = True
            while waiting:
                series, amount = waiting.popleft()
                if series.home is not store:
                    series.values = store.load(series)
                    series.home = store
                store.save(series, series.add(amount))
        finally:
            self._at_work = False


_ledgers: WeakValueDictionary[CollectorRegistry | str, Ledger] = WeakValueDictionary()


def _mapped(name: str) -> Any:
    """Open a file, or make it. Raise `OSError` also for one that another process has left broken."""
    try:
        if os.path.exists(name) and os.path.getsize(name):
            list(MmapedDict.read_all_values_from_file(name))  # type: ignore[no-untyped-call]
        else:
            _make(name)
        return MmapedDict(name)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, struct.error) as broken:
        raise OSError(f"{name} holds no metrics: {broken}") from broken


def _make(name: str) -> None:
    """Make a file that is whole from its first moment on: a scrape that meets an empty one fails."""
    with open(f"{name}.new", "wb") as file:
        file.truncate(SIZE)
    os.replace(f"{name}.new", name)


def _metric(family: Family) -> Any:
    kind = HistogramMetricFamily if family.bounds else CounterMetricFamily
    return kind(family.name, family.help, labels=family.labels)


def _bounds(family: Family) -> list[str]:
    return [floatToGoString(bound) for bound in (*family.bounds, float("inf"))]  # type: ignore[no-untyped-call]


def _keys(series: Series) -> tuple[str, ...]:
    """Return the keys of the numbers of *series*, as prometheus_client's collector reads them."""
    family, labels = series.family, series.labels
    if not series.bounds:
        return (_key(family, "_total", family.labels, labels),)
    names = (*family.labels, "le")
    buckets = (_key(family, "_bucket", names, (*labels, bound)) for bound in _bounds(family))
    return (_key(family, "_sum", family.labels, labels), *buckets)


def _key(family: Family, suffix: str, names: tuple[str, ...], labels: tuple[str, ...]) -> str:
    return mmap_key(family.name, family.name + suffix, list(names), list(labels), family.help)
