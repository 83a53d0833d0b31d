"""Send reports from a thread of their own: whoever failed never waits for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextvars import Context
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeAlias

from wideevents import health
from wideevents.forks import renew_in_child
from wideevents.sinks.sentry.posts import Post, RefusedError
from wideevents.sinks.sentry.reports import Letter, Reports
from wideevents.values import guarded

NAME, THREAD = "sentry", "wideevents-sentry"

MOST = 100
"""Reports that wait, of some ten kilobytes each; more are lost, and counted."""

IDLE_S = 10.0
"""Seconds after which a thread that has nothing to do ends."""

Waiting: TypeAlias = "SimpleQueue[Letter | threading.Event]"


class Mail:
    """
    Take letters, and send what they become.

    The thread is born with the first letter, ends when it is idle, and is born again; a forked child has its own.
    A letter is plain: no exception, no frame and no request waits in here.
    """

    def __init__(self, post: Post, reports: Callable[[], Reports]) -> None:
        self._post = post
        self._reports = reports
        self._asked_until = 0.0
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Begin anew: in a forked child the thread is not there, and what waits is the parent's."""
        self._lock = threading.RLock()
        self._waiting: Waiting = SimpleQueue()  # it may be used in a signal handler, too
        self._thread: threading.Thread | None = None
        self._sending: Letter | None = None
        self._given_up: Letter | None = None

    @property
    def is_full(self) -> bool:
        """Whether one more letter would be too many."""
        return self._waiting.qsize() >= MOST

    def send(self, letter: Letter) -> None:
        """Take a letter; no socket is touched, nor is a name looked up, in the thread that calls."""
        self._waiting.put(letter)
        self._hire()

    def close(self, seconds: float) -> None:
        """Wait until all is sent, for so long; what is not sent by then is lost. What comes later is sent, too."""
        with self._lock:
            if self._thread is None:
                return
            done = threading.Event()
            self._waiting.put(done)
        if not done.wait(seconds):
            self._give_up()

    def _hire(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.Thread(target=self._work, args=(self._waiting,), name=THREAD, daemon=True)
            try:
                # Not in the context of a request: its event must not live on in here.
                Context().run(self._thread.start)
                return
            except RuntimeError as error:  # the interpreter is about to end, or there are too many threads
                self._thread, trouble = None, str(error)
        lose(trouble, self._discard())

    def _work(self, waiting: Waiting) -> None:
        while True:
            try:
                letter = waiting.get(timeout=IDLE_S)
            except Empty:
                letter = threading.Event()  # as if somebody waited for the end
            if not isinstance(letter, threading.Event):
                guarded(lambda letter=letter: self._deliver(letter), letter)  # type: ignore[misc]
                continue
            left = self._leave(waiting)
            letter.set()
            if left:
                return

    def _leave(self, waiting: Waiting) -> bool:
        """Tell whether the thread may end: whoever sends afterwards finds nobody, and begins another one."""
        with self._lock:
            if waiting.empty():
                self._thread = None
                return True
            return False

    def _deliver(self, letter: Letter) -> None:
        """Send a letter, or count it as lost; it counts once, also where `close` has given it up."""
        self._sending, trouble = letter, None
        try:
            trouble = self._attempt(letter)
        finally:
            self._sending = None
            if trouble is None:  # it raised what nobody reckoned with
                trouble = f"it could not be made ({type(sys.exception()).__name__})"
            if trouble and letter is not self._given_up:
                lose(trouble)

    def _attempt(self, letter: Letter) -> str:
        """Return what went wrong, or nothing."""
        if monotonic() < self._asked_until:
            return "it has asked to wait"
        try:
            pause = self._post.deliver(letter.id, self._reports().body(letter))
        except RefusedError as refused:
            self._asked_until = monotonic() + refused.pause_s
            return str(refused)
        except OSError as error:
            return f"{self._post.address} did not answer ({str(error) or type(error).__name__})"
        self._asked_until = monotonic() + pause
        return ""

    def _give_up(self) -> None:
        with self._lock:
            self._given_up = self._sending
            number = self._discard() + (self._given_up is not None)
        lose("the process ends", number)

    def _discard(self) -> int:
        """Take out all that waits, and return how many letters there were; whoever waits for the end is let go."""
        number = 0
        try:
            while True:
                letter = self._waiting.get_nowait()
                if isinstance(letter, threading.Event):
                    letter.set()
                else:
                    number += 1
        except Empty:
            return number


def lose(trouble: str, number: int = 1) -> None:
    """Count reports that do not arrive. No lock is held: who is told of it may be slow."""
    if number:
        sentence = f"A report did not reach Sentry: {trouble}. The line was written; those that are lost are counted."
        health.lost(NAME, f"sentry: {trouble}", sentence, number=number)
