"""Let a thread write the lines, for an output that may keep a request waiting."""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from collections import deque
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from math import inf
from multiprocessing.util import Finalize

from wideevents import health
from wideevents.entries import Entry
from wideevents.errors import ConfigurationError
from wideevents.forks import renew_in_child
from wideevents.pipeline import Pipeline, Sink
from wideevents.values import guarded

THREAD = "wideevents-lines"

OURS = health.logger.name
"""The logger of what wideevents says of itself: mostly that lines cannot be written, so that it does not wait."""

LOOK_S = 0.002
"""Seconds between two looks at whether all is written, when the process ends."""

NOTHING: set[str] = set()


@dataclass(frozen=True, slots=True)
class Background:
    """
    Let a thread write to *output*: `configure(output=Background("events.jsonl"))`. No request waits for it.

    Do without, as long as the output is a file or a pipe. The write that is saved takes a few microseconds; the queue
    and the thread take more processor time than that, and what they hold can be lost, where a line that a request
    writes itself cannot. It is for an output that stands still: a file system in the network, a sink of your own that
    calls a service. A process that computes without a pause leaves the thread one line for each time that Python
    changes threads, some 200 a second (`sys.setswitchinterval`); one that waits in between, thousands.

    - *output*: a path, "json", or a sink; the sink is given the line and the record of an event, not the event.
    - *capacity*: lines that may wait. One more is dropped, and counted at once (`events.lost`).
    - *close_s*: seconds that the end of the process waits for them; what is not written by then is counted as lost.

    The end of Python, of a worker and of a child of multiprocessing waits. A kill loses what waits, up to *capacity*
    lines; so does `os._exit`, and a signal that nobody handles while no event of the main thread is in progress.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    output: str | os.PathLike[str] | Sink
    capacity: int = 10_000
    close_s: float = 1.8

    def __post_init__(self) -> None:
        if type(self.capacity) is not int or self.capacity < 1:
            raise ConfigurationError.of("capacity", self.capacity, "a number of lines, 1 or more")
        if type(self.close_s) not in {int, float} or not 0 <= self.close_s < inf:
            raise ConfigurationError.of("close_s", self.close_s, "a number of seconds, 0 or more")

    def around(self, sink: Sink) -> BackgroundSink:
        """Return what hands its lines on to *sink*, which *output* was opened as."""
        return BackgroundSink(sink, capacity=self.capacity, close_s=self.close_s)


class BackgroundSink:
    """
    Hold lines for a thread that writes them to another sink, by whose name losses are counted.

    The thread is born with the first line of a process, so that a forked worker has its own, and what waits in its
    parent is the parent's. It ends when the sink is closed, or nobody refers to it any more, and all is written.
    """

    def __init__(self, sink: Sink, *, capacity: int, close_s: float) -> None:
        self.name = getattr(sink, "name", "")
        self._backlog = Backlog(sink, capacity, close_s)
        weakref.finalize(self, self._backlog.leave).atexit = False  # the backlog sees to the end of the process itself

    def write(self, entry: Entry) -> None:
        """Hand the line over; raise `BlockingIOError` where too many wait."""
        self._backlog.take(entry)

    def close(self) -> None:
        """Wait until all is written, for so long; what is written afterwards is written at once."""
        self._backlog.close()


class Held(Entry):
    """Hold what a sink may read of an entry, whose event is emptied when the pipeline has run."""

    __slots__ = ()

    def __init__(self, entry: Entry) -> None:
        self.line = entry.line
        self.record = entry.record
        self.level = entry.level
        self.static = entry.static
        self.tail = entry.tail
        self.suspects = NOTHING
        self.hidden = self.errors = ()  # no exception waits in here, with all its frames
        self.waits = None


class Backlog:
    """
    Hold what waits, and the thread that works it off.

    No lock is taken to write, and none is waited for: a signal handler or a `__del__` may log in the middle of it.
    """

    def __init__(self, sink: Sink, capacity: int, close_s: float) -> None:
        self._sink = sink
        self._deliver: Pipeline[Entry] = Pipeline((), (sink,))
        self._capacity = capacity
        self._close_s = close_s
        self._at_exit = ExitStack()
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Begin anew: in a forked child the thread is not there, and what waits is the parent's."""
        self._waiting: deque[Held] = deque()
        self._room = [None] * self._capacity  # to take one out is atomic, so that never too many wait
        # Made when the thread is: gevent may put its own in this place until then, in a worker that it patches.
        self._bell: queue.SimpleQueue[None] | None = None
        self._hiring = threading.Lock()
        self._asleep = False
        self._leaving = False
        self._at_exit.close()

    def take(self, entry: Entry) -> None:
        """Let the line wait; where nobody would come for it, and for what wideevents says of itself, write it."""
        if self._leaving or entry.record.get("log.logger") == OURS:
            self._sink.write(entry)
            return
        try:
            self._room.pop()
        except IndexError:
            raise BlockingIOError(f"{self._capacity} lines wait to be written") from None
        self._waiting.append(Held(entry))
        self._call()

    def leave(self) -> None:
        """Let the thread end when all is written."""
        self._leaving = True
        bell = self._bell
        if bell is not None:
            bell.put(None)

    def close(self) -> None:
        """Wait until the thread has ended; what it could not write in time is lost."""
        self.leave()
        deadline = time.monotonic() + self._close_s
        while self._bell is not None:
            if time.monotonic() >= deadline:
                self._give_up()
                return
            time.sleep(LOOK_S)  # it waits without a lock, since a signal handler may close, and gevent has its own
        self._work_off()

    def _call(self) -> None:
        """See to it that somebody looks at what waits."""
        bell = self._bell
        if self._leaving:  # the thread may have looked for the last time before this line came
            self._work_off()
        elif bell is None:
            self._hire()
        elif self._asleep:
            bell.put(None)

    def _hire(self) -> None:
        if not self._hiring.acquire(blocking=False):
            return  # who is at it, perhaps below this very signal handler, has the thread look at all that waits
        try:
            if self._bell is None:
                self._begin()
        except RuntimeError:  # the interpreter is about to end, or there are too many threads
            self._end()
        except BaseException:  # of a signal handler, such as that of a worker that is aborted
            self._end()
            raise
        finally:
            self._hiring.release()
        if self._bell is None:
            self._work_off()

    def _begin(self) -> None:
        """Start the thread, in nobody's context; a child of multiprocessing ends without `atexit`."""
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._bell = bell
        self._at_exit.callback(Finalize(None, self.close, exitpriority=0).cancel)
        Context().run(threading.Thread(target=self._work, args=(bell,), name=THREAD, daemon=True).start)

    def _work(self, bell: queue.SimpleQueue[None]) -> None:
        self._work_off()
        while not self._leaving:
            self._asleep = True  # before it looks again: who adds a line afterwards rings
            self._work_off()
            bell.get()
            self._asleep = False
            self._work_off()
        self._end()

    def _work_off(self) -> None:
        """Write all that waits; what a sink raises that no pipeline catches, such as SystemExit, costs a line."""
        try:
            while True:
                held = self._waiting.popleft()
                if guarded(partial(self._deliver.send, held), held) is not None:
                    self._lose("the sink gave up", 1)
                self._room.append(None)
        except IndexError:
            return

    def _end(self) -> None:
        self._at_exit.close()
        self._bell = None

    def _give_up(self) -> None:
        """Count what waits as lost, so that it is not written later; nobody waits for the thread again."""
        self._end()
        self._waiting.clear()
        self._lose("the process ends", self._capacity - len(self._room))

    def _lose(self, trouble: str, number: int) -> None:
        if number:
            sentence = f"Lines that waited in the background are lost: {trouble}. They are counted."
            health.lost(getattr(self._sink, "name", ""), f"{THREAD}: {trouble}", sentence, number=number)
