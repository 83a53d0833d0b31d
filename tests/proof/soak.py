"""
Let a process do everything at once, for as long as it is told to, and see that nothing grows and nothing is missing.

`python -m tests.proof.soak [seconds]`. Requests of WSGI and ASGI, tasks, batches, threads and log lines; errors,
hostile values, keys that never come again; settings that change in the middle; a sink that fails now and then, a full
disk, and a pipe whose reader sleeps. At the end every event is accounted for: written, or counted as lost.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wideevents
from tests.proof.bustle import Bustle, Expected
from tests.proof.places import FAILS, MANY, Full, Pipe, Place, Read, Tap, TroubleError
from wideevents import config, context, health
from wideevents.health import Fault

THREADS = 4
ROUND = 1.0
"""Seconds between two looks at the process, for which all of it stands still."""

GROWTH_MB = 3.0
"""What the memory may seem to grow between the middle and the end: pages come and go; a short run needs more."""


@dataclass
class Sample:
    """What the process looked like, while it stood still."""

    rss_mb: float
    descriptors: int
    threads: int
    recorded: bool


class Soak:
    """Hold one process at work."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self.tap = Tap()
        self.read = Read(self.tap)
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="pool")
        self.lost: Counter[str] = Counter()
        self.faults: list[str] = []
        self.samples: list[Sample] = []
        self.recorders: list[Any] = []
        self.counted: dict[Fault, int] = {}
        self.untold: dict[str, int] = {}
        self.dropped = self.passed = self.configured = 0
        self.lock = threading.Lock()
        health.observers.append(self.observe)
        self.place = self.configure()
        self.bustles = [Bustle(self.chance.randrange(10**9), self.pool) for _ in range(THREADS)]

    def observe(self, fault: Fault, subject: str, number: int) -> None:
        """Count what is lost, by the sink that lost it."""
        if fault is Fault.LOST:
            with self.lock:
                self.lost[subject] += number

    def stage(self, event: Any) -> Any:
        """Be a stage of the user's own: drop what says so, and stumble now and then."""
        with self.lock:
            if event.record.get("soak.drop") == "please":
                self.dropped += 1
                return None
            self.passed += 1
            stumbles = self.passed % FAILS == 0
        if stumbles:
            raise TroubleError("a stage fails now and then")
        return event

    def configure(self) -> Place:
        """Configure the process anew, in the middle of its work, and return where its lines go from now on."""
        kind = self.chance.choices((Place, Pipe, Full), (5, 3, 1))[0]
        place = kind(self.folder, self.read)
        flight = self.folder / "flight"
        flight.mkdir(exist_ok=True)
        wideevents.configure(
            service="soak",
            output=[self.tap, place.path],
            limits=wideevents.Limits(max_bytes=self.chance.choice((2_048, 16_000))),
            debug_lines=self.chance.choice(((), ("soak",))),
            stages=[self.stage],
            flight=flight if self.configured % 2 else None,
        )
        self.configured += 1
        self.recorders.append(config.recorder())
        return place

    def round(self, seconds: float) -> None:
        """Let all work for so long, change the settings in the middle, and look at the process when all stand still."""
        ends = time.monotonic() + seconds
        sys.setswitchinterval(self.chance.choice((1e-5, 5e-3)))
        workers = [threading.Thread(target=self.work, args=(bustle, ends)) for bustle in self.bustles]
        for worker in workers:
            worker.start()
        time.sleep(seconds / 2)
        before, self.place = self.place, self.configure()
        for worker in workers:
            worker.join()
        for future in [self.pool.submit(threading.get_ident) for _ in range(THREADS)]:
            future.result()
        gc.collect()
        self.settle(before)
        self.samples.append(sample(self.place.threads, recorded=config.recorder().flight is not None))

    def settle(self, before: Place) -> None:
        """See that nothing is in progress, and read what was written before the settings changed."""
        for recorder in self.recorders:
            if recorder.in_progress:
                self.faults.append(f"left open: {list(recorder.in_progress.values())[:5]}")
        if context.variable.get() is not None:
            self.faults.append("an event is left in the context")
        del self.recorders[:-1]
        before.close()

    def work(self, bustle: Bustle, ends: float) -> None:
        """Be one of the threads."""
        try:
            while time.monotonic() < ends:
                bustle.do()
        except BaseException as error:
            self.faults.append(f"raised into the application: {error!r}")
            raise

    def run(self, seconds: float) -> None:
        """Work for so long."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.round(min(ROUND, seconds / 8))
        self.pool.shutdown()
        for bustle in self.bustles:
            bustle.close()
        wideevents.configure(service="soak", output=self.tap, logging=False)  # so that the last place is let go
        self.recorders.clear()
        gc.collect()
        self.place.close()
        health.observers.remove(self.observe)
        self.counted, self.untold = health.faults.counts(), health.take_unreported()

    def expected(self) -> Expected:
        """Return what must have come out."""
        return sum((bustle.expected for bustle in self.bustles), Expected())

    def account(self) -> list[str]:
        """Return what does not add up."""
        expected, seen, read = self.expected(), self.tap.seen, self.read
        faults, untold = self.counted, self.untold
        told = read.told + self.tap.told
        lost = {sink: self.lost[sink] for sink in ("lines", "other")}
        pairs = {
            "events seen": (seen["event"], expected["event"] - expected["dropped"]),
            "events dropped by a stage": (self.dropped, expected["dropped"]),
            "log lines seen": (seen["log"], expected["log"]),
            "losses of the sink that fails": (lost["other"], self.tap.failed),
            "written and lost": (read.lines + lost["lines"], seen.total()),
            "losses that were counted": (faults.get(Fault.LOST, 0), sum(self.lost.values())),
            "losses told or still to tell": (
                told[Fault.LOST] + untold.get(Fault.LOST.value, 0),
                faults.get(Fault.LOST, 0),
            ),
            "late writes told or still to tell": (
                told[Fault.LATE_WRITE] + untold.get(Fault.LATE_WRITE.value, 0),
                faults.get(Fault.LATE_WRITE, 0),
            ),
        }
        wrong = [
            f"{what}: {actual:,}, and not {wanted:,}" for what, (actual, wanted) in pairs.items() if actual != wanted
        ]
        if read.fragments > lost["lines"]:
            wrong.append(f"{read.fragments} fragments of {lost['lines']} lost lines")
        return [*wrong, *self.faults, *read.faults]

    def told(self) -> str:
        """Say what was done."""
        first, last = self.samples[0], self.samples[-1]
        half = self.samples[len(self.samples) // 2 :]
        memory = ", ".join(f"{each.rss_mb:.1f}" for each in [*self.samples[:: max(1, len(self.samples) // 10)], last])
        rows = {
            "events": f"{self.expected()['event']:,}, {self.dropped:,} of them dropped by a stage",
            "log lines": f"{self.expected()['log']:,}",
            "lines read": f"{self.read.lines:,}, every {MANY}th strictly",
            "lost": f"{self.lost['lines']:,} on a full disk, in a stalled pipe, {self.lost['other']:,} in a bad sink",
            "late writes": f"{self.counted.get(Fault.LATE_WRITE, 0):,}",
            "configured": f"{self.configured} times",
            "memory": f"{memory} MB; {growth(half):+.2f} in the second half",
            "descriptors": f"{first.descriptors}, {last.descriptors}",
            "threads": f"{first.threads}, {last.threads}",
        }
        return "\n".join(f"{name:12} {value}" for name, value in rows.items())


def sample(readers: int, *, recorded: bool) -> Sample:
    """Look at this process (Linux), without the *readers* of a pipe; one that is *recorded* has more files open."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Sample(
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        len(os.listdir("/proc/self/fd")) - readers,
        threading.active_count() - readers,
        recorded,
    )


def grown(samples: list[Sample], growth_mb: float) -> list[str]:
    """Return what grew, from the first half to the second."""
    middle = len(samples) // 2
    first, second = samples[:middle], samples[middle:]
    wrong = []
    for recorded, name in itertools.product((False, True), ("descriptors", "threads")):
        values = [[getattr(each, name) for each in half if each.recorded is recorded] for half in (first, second)]
        if all(values) and max(values[1]) > max(values[0]):
            wrong.append(f"{name} grew from {max(values[0])} to {max(values[1])}")
    if growth(second) > growth_mb:
        wrong.append(f"the memory grew by {growth(second):.1f} MB: {[round(each.rss_mb, 1) for each in second]}")
    return wrong


def growth(samples: list[Sample]) -> float:
    """Return how many MB the memory grew over the samples, by the line that fits them best."""
    if len(samples) < 3:
        return 0.0
    slope = statistics.linear_regression(range(len(samples)), [each.rss_mb for each in samples]).slope
    return slope * (len(samples) - 1)


def main() -> int:
    """Soak, and print what it came to."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.soak", description=__doc__)
    parser.add_argument("seconds", type=float, nargs="?", default=600.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--growth", type=float, default=GROWTH_MB, help="MB that the memory may seem to grow")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(Path(folder), given.seed)
        soak.run(given.seconds)
        wrong = soak.account() + grown(soak.samples, given.growth)
    print(soak.told())
    print("\n".join(["everything is accounted for"] if not wrong else ["WRONG:", *wrong[:20]]))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
