"""How the numbers are kept: exactly, whoever interrupts whom, and by each process for itself."""

from __future__ import annotations

import gc
import os
import signal
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict

from tests.conftest import PATIENCE, in_child
from tests.metrics import Counting, log_line, sealed
from wideevents.levels import Level
from wideevents.metrics import ledger as ledgers
from wideevents.metrics.families import EVENTS as FAMILY
from wideevents.metrics.families import REQUESTS
from wideevents.metrics.ledger import MOST_WAITING, Ledger, Memory, Series

Make = Callable[..., Counting]

EVENTS, LINES = "wideevents_events_total", "wideevents_log_lines_total"
SECONDS = "http_server_request_duration_seconds"
LABELS = ("shop", "task", "info", "none", "", "")


class Interrupted(Memory):
    """A store in the middle of whose work something else is done, once."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile: Callable[[], object] | None = meanwhile

    def save(self, series: Series, changed: tuple[int, ...]) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()


class Failing(Memory):
    """A store that cannot be written, until it can."""

    broken = True

    def save(self, series: Series, changed: tuple[int, ...]) -> None:
        if self.broken:
            raise OSError("no space left on device")


def ledger_of(store: Memory) -> tuple[Ledger, Series]:
    """Return a ledger that has *store*, and a series of it."""
    ledger = Ledger(store)
    return ledger, ledger.series(FAMILY, LABELS)


class TestInterruptions:
    def test_an_addition_in_the_middle_of_another_counts(self) -> None:
        """A signal handler that logs, or an event that the garbage collector ends: nothing hangs, nothing is lost."""
        ledger, series = ledger_of(Memory())
        ledger._store = Interrupted(lambda: ledger.add((series, 10.0)))
        ledger.add((series, 1.0))

        assert series.values == [11.0]

    def test_what_is_added_in_the_middle_is_added_after_it(self) -> None:
        """Or the interrupted addition would write what it had read before."""
        seen: list[list[float]] = []
        ledger, series = ledger_of(Memory())

        def meanwhile() -> None:
            ledger.add((series, 10.0))
            seen.append(series.values.copy())

        ledger._store = Interrupted(meanwhile)
        ledger.add((series, 1.0))

        assert (seen, series.values) == ([[1.0]], [11.0])

    def test_a_signal_handler_may_count(self, counting: Counting) -> None:
        """Thousands of times, at any instruction: prometheus_client's own values hang here when they are in files."""
        handled = 0

        def handler(*_: object) -> None:
            nonlocal handled
            handled += 1
            counting.metrics.line(log_line())

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        try:
            for _ in range(30_000):
                counting.metrics.line(log_line())
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        assert handled > 10
        assert counting.value(LINES, level="error") == 30_000.0 + handled

    def test_one_that_raises_costs_no_others(self) -> None:
        """A worker that takes too long is stopped by an exception; whoever counts afterwards does."""
        ledger, series = ledger_of(Memory())

        def stop() -> None:
            raise SystemExit(1)

        ledger._store = Interrupted(stop)
        with pytest.raises(SystemExit):
            ledger.add((series, 1.0), (series, 10.0))
        ledger.add((series, 100.0))

        assert series.values == [111.0]

    def test_a_store_that_fails_fills_no_memory(self) -> None:
        """What cannot be counted is told to whoever counts, and is forgotten in the end."""
        store = Failing()
        ledger, series = ledger_of(store)
        for _ in range(MOST_WAITING + 10):
            with pytest.raises(OSError, match="no space left"):
                ledger.add((series, 1.0), (series, 1.0))
        assert len(ledger._waiting) <= MOST_WAITING

        store.broken = False
        ledger.add((series, 1.0))
        assert len(ledger._waiting) == 0

    def test_another_thread_waits_until_its_own_is_counted(self) -> None:
        """Two at work would take from each other; one that went on would leave a killed process without its number."""
        returned, early = Flag(), []
        ledger, series = ledger_of(Memory())
        other = Thread(target=lambda: (ledger.add((series, 10.0)), returned.set()))

        def meanwhile() -> None:
            other.start()
            early.append(returned.wait(0.1))

        ledger._store = Interrupted(meanwhile)
        ledger.add((series, 1.0))
        other.join(PATIENCE)

        assert (early, returned.is_set(), series.values) == ([False], True, [11.0])

    def test_a_page_has_what_waits(self) -> None:
        """Somebody may have added while the last one finished its work."""
        ledger, series = ledger_of(Memory())
        ledger._waiting.append((series, 1.0))
        metric = next(iter(ledger.collect()))

        assert [sample.value for sample in metric.samples] == [1.0]


class TestForks:
    def test_what_is_made_anew_begins_at_zero(self) -> None:
        """It is what every forked child does; a page of it has the labels, and no numbers."""
        ledger, series = ledger_of(Memory())
        ledger.add((series, 5.0))
        ledger.renew()
        shown = [sample.value for sample in next(iter(ledger.collect())).samples]
        ledger.add((series, 2.0))

        assert (shown, series.values) == ([0.0], [2.0])

    def test_a_child_begins_at_zero(self, make: Make) -> None:
        """What the parent has counted is the parent's; the labels that it knows are known."""
        counting = make()
        counting.request()
        counting.event("task", Level.ERROR)

        def child() -> list[float | None]:
            before = [counting.value(EVENTS, kind="task", level="error"), counting.value(f"{SECONDS}_count")]
            counting.event("task", Level.ERROR)
            return [*before, counting.value(EVENTS, kind="task", level="error"), counting.total(f"{SECONDS}_sum")]

        assert in_child(child) == [0.0, 0.0, 1.0, 0.0]
        assert counting.value(EVENTS, kind="task", level="error") == 1.0

    def test_parent_and_children_add_up_in_files(self, make: Make, tmp_path: Path) -> None:
        """A server that loads the application before it forks counts nothing twice."""
        counting = make(directory=str(tmp_path))
        counting.event("task")
        counting.request()

        def child() -> int:
            counting.event("task")
            counting.request()
            counting.event("task")
            return os.getpid()

        children = {in_child(child) for _ in range(3)}
        counting.event("task")

        assert counting.value(EVENTS, kind="task", level="info") == 2.0 + 3 * 2.0
        assert counting.value(f"{SECONDS}_count") == 4.0
        assert {path.name for path in tmp_path.iterdir()} == {
            f"{kind}_wideevents_{process}.db"
            for kind in ("counter", "histogram")
            for process in {os.getpid(), *children}
        }

    def test_every_bucket_of_a_child_is_in_its_file(self, make: Make, tmp_path: Path) -> None:
        """The file of its parent may be gone, and a histogram without +Inf is none."""
        counting = make(directory=str(tmp_path))
        counting.request()
        in_child(lambda: [counting.request() and None])
        (tmp_path / f"histogram_wideevents_{os.getpid()}.db").unlink()

        assert len(counting.values(f"{SECONDS}_bucket")) == 15
        assert counting.value(f"{SECONDS}_bucket", le="+Inf") == 1.0

    def test_a_child_of_a_process_in_the_middle_of_counting_does_not_hang(self, counting: Counting) -> None:
        """Another thread may hold the lock at that moment, and it is not there to release it."""
        ledger, entered, over = counting.metrics._ledger, Flag(), Flag()

        def hold() -> None:
            with ledger._lock:
                entered.set()
                over.wait(PATIENCE)

        holder = Thread(target=hold)
        holder.start()
        assert entered.wait(PATIENCE)
        ledger._waiting.append((ledger.series(FAMILY, LABELS), 1.0))  # the holder's, which the parent counts
        try:
            in_the_child = in_child(lambda: [counting.event("task") and None, _number(ledger)])
        finally:
            over.set()
            holder.join(PATIENCE)

        ledger.add()
        assert in_the_child == [None, 1.0]
        assert counting.value(EVENTS, kind="task", level="info") == (1.0 if counting.directory is None else 2.0)

    def test_a_child_of_one_who_is_at_work_does_not_wait_for_it(self) -> None:
        """Whoever is at work in the parent is not there."""
        ledger, series = ledger_of(Memory())
        ledger._at_work = True

        def child() -> list[float]:
            ledger.add((series, 1.0))
            return series.values

        assert in_child(child) == [1.0]


def _number(ledger: Ledger) -> float:
    return ledger.series(FAMILY, LABELS).values[0]


class TestFiles:
    def test_a_number_outlives_its_process(self, make: Make, tmp_path: Path) -> None:
        """A worker that was replaced has served all the same; it is killed here, and closes nothing."""
        counting = make(directory=str(tmp_path))
        in_child(lambda: [counting.event("task") and None])

        assert counting.value(EVENTS, kind="task", level="info") == 1.0

    def test_a_process_goes_on_where_one_of_its_number_ended(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Numbers of processes come back, and a counter never falls."""
        monkeypatch.setattr("os.getpid", lambda: 4711)
        counting = make(directory=str(tmp_path))
        gone = weakref.ref(counting.metrics._ledger)
        counting.request()
        counting.metrics.close()
        counting.metrics = None  # type: ignore[assignment]
        gc.collect()
        assert gone() is None

        counting.metrics = counting.again()
        counting.request()

        assert counting.value(f"{SECONDS}_count") == counting.value(EVENTS, kind="request", level="info") == 2.0

    def test_are_found_by_who_closed_them(self, make: Make, tmp_path: Path) -> None:
        """An event may end when all is closed; its number is in the file, which is open again."""
        counting = make(directory=str(tmp_path))
        counting.request()
        counting.metrics.close()
        counting.request()
        counting.metrics._ledger.close()

        assert counting.value(f"{SECONDS}_count") == 2.0

    def test_have_one_writer_in_a_process(self, make: Make, tmp_path: Path) -> None:
        """Two would write over each other; another directory is another one's."""
        directory, other = str(tmp_path / "a"), str(tmp_path / "b")
        for name in (directory, other):
            os.mkdir(name)

        one, two = make(directory=directory), make(directory=directory, service="other")
        assert one.metrics._ledger is two.metrics._ledger
        assert make(directory=other).metrics._ledger is not one.metrics._ledger

    def test_that_are_empty_are_new(self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process may have been killed between the making of a file and its first number."""
        monkeypatch.setattr("os.getpid", lambda: 4711)
        (tmp_path / "counter_wideevents_4711.db").touch()

        assert make(directory=str(tmp_path)).value("wideevents_sentry_withheld_total") == 0.0

    def test_can_be_read_from_their_first_moment_on(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A scrape may come when a worker has just begun: an empty file would make it fail."""
        found: list[list[object]] = []

        class Mapped(MmapedDict):
            def __init__(self, name: str) -> None:
                found.append(list(MmapedDict.read_all_values_from_file(name)))
                super().__init__(name)

        monkeypatch.setattr(ledgers, "MmapedDict", Mapped)
        make(directory=str(tmp_path)).request()

        assert found == [[], []]
        assert {path.suffix for path in tmp_path.iterdir()} == {".db"}

    def test_grow(self, make: Make, tmp_path: Path) -> None:
        """A thousand routes need more than the page that a file begins with."""
        counting = make(directory=str(tmp_path))
        counting.metrics.expect([(f"/{number}", "shop") for number in range(600)])
        counting.event("request", Level.ERROR, http__route="/599", duration_ms=1.0)

        assert len(counting.values(EVENTS, owner="shop")) == 1_200
        assert counting.value(EVENTS, route="/599", level="error", owner="shop") == 0.0
        assert counting.value(EVENTS, route="/599", level="error", owner="") == 1.0


class TestMemory:
    def test_is_freed_with_who_used_it(self) -> None:
        """A registry that is dropped takes its numbers with it."""
        registry = CollectorRegistry()
        ledger = Ledger.of(registry)
        gone = weakref.ref(ledger)
        assert Ledger.of(registry) is ledger
        del ledger
        gc.collect()

        assert gone() is None

    def test_a_sum_is_shown_with_its_counts(self) -> None:
        """Every bucket holds those below it, and the count is the last one."""
        ledger = Ledger(Memory())
        series = ledger.series(REQUESTS, ("GET", "/", 200, ""))
        ledger.add((series, 0.25), (series, 0.001), (series, 60.0))
        (metric,) = [each for each in ledger.collect() if each.name == REQUESTS.name]

        shown = {(each.name.removeprefix(REQUESTS.name), each.labels.get("le")): each.value for each in metric.samples}
        assert (shown["_sum", None], shown["_count", None]) == (60.251, 3.0)
        assert [shown["_bucket", le] for le in ("0.005", "0.1", "0.25", "10.0", "+Inf")] == [1.0, 1.0, 2.0, 2.0, 3.0]


class TestTheGarbageCollector:
    def test_may_end_an_event_while_another_is_counted(self, make: Make) -> None:
        """A body that nobody closed ends its request when it is collected: at any instruction, in any thread."""
        counting = make()

        class Body:
            def __del__(self) -> None:
                counting.metrics.event(sealed("task", owner__team="collected"))

        before = gc.get_threshold()
        gc.set_threshold(5)
        try:
            for _ in range(300):
                body = Body()
                body.itself = body  # type: ignore[attr-defined]
                del body
                counting.event("task", owner__team="shop")
        finally:
            gc.set_threshold(*before)
            gc.collect()

        assert counting.value(EVENTS, owner="collected") == counting.value(EVENTS, owner="shop") == 300.0
