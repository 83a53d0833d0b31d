"""Let a process that is killed by a signal tell first what it was at."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from _thread import get_ident
from collections.abc import Callable
from threading import main_thread
from types import FrameType
from typing import Any

from wideevents.events import Event

SIGNALS = tuple(int(getattr(signal, name)) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What ends a process that did not ask for it: a deploy, a time limit; a closed terminal, where there is such."""

AT_WORK = frozenset({"wideevents.recorder", "wideevents.pipeline"})
"""Rooms that must not be left in the middle: a line would be half written, or lost."""

# What the module `signal` wraps: its own functions look every handler up in an enumeration, at ten times the cost.
_bare: Any = importlib.import_module("_signal")
_getsignal = _bare.getsignal
_set = _bare.signal
SIG_DFL = _bare.SIG_DFL


class Watch:
    """
    Be the handler of `SIGNALS`, from the first event of the main thread on, as long as nobody else handles them.

    To come and go with every event would cost as much as a third of it, in system calls. It finishes every event in
    progress, the innermost first, as cancelled, lets the sinks send what waits, and then the same signal ends the
    process, so that its parent sees what it would have seen without us. In a forked child no event of its parent is in
    progress, and that is all that remains to be done.

    *latest* returns the recorder that is configured when the signal comes; *kill* sends a signal to a process, and
    *settrace* has the lines of this thread traced.
    """

    __slots__ = ("_events", "_kill", "_latest", "_pending", "_settrace")

    def __init__(
        self,
        latest: Callable[[], Any],
        kill: Callable[[int, int], object] = os.kill,
        settrace: Callable[[Any], object] = sys.settrace,
    ) -> None:
        self._latest = latest
        self._kill = kill
        self._settrace = settrace
        self._events: dict[str, Event] = {}
        self._pending = 0

    def begin(self, event: Event) -> bool:
        """Watch over *event*, and tell whether there is a signal that nobody else handles."""
        watched = False
        for number in SIGNALS:
            before = _getsignal(number)
            if before is SIG_DFL:
                _set(number, self)
                watched = True
            elif before is self:
                watched = True
        if watched:
            self._events[event.id] = event
        return watched

    def end(self, event: Event) -> None:
        """Watch over *event* no more; a signal that came while its line was written is handled now."""
        del self._events[event.id]
        if self._pending:
            self._die(self._pending)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal *number*, a little later where a line is just being written."""
        if _getsignal(number) is not self:  # called by who took the place of the default action, which cannot be called
            return
        caller = None if self._pending else _caller_of_work(frame)
        if caller is None:
            self._die(number)
        else:
            self._pending = number
            self._await(caller)

    def _await(self, caller: FrameType) -> None:
        """Go on as soon as *caller* does: nothing else knows when what it called is done."""
        before, local = sys.gettrace(), caller.f_trace

        def look(*_: object) -> None:
            self._settrace(before)
            caller.f_trace = local
            self._die(self._pending)

        caller.f_trace = look
        self._settrace(_ignore)

    def _die(self, number: int) -> None:
        _set(number, SIG_DFL)  # whoever sends it again does not want to wait
        try:
            recorders = {self._latest(), *(event.recorder for event in self._events.values())}
            for recorder in recorders:
                for event in reversed(tuple(recorder.in_progress.values())):
                    _interrupt(event, number)
                    recorder.finish(event)
            for recorder in recorders:
                recorder.pipeline.close()
        finally:
            self._kill(os.getpid(), number)


def watch(event: Event, latest: Callable[[], Any]) -> Watch | None:
    """
    See to it that *event*, which is inside no other, is told if the process is killed while it is in progress.

    Return what has to be told its end; None where there is nothing to see to: in another thread than the main one,
    which gets the signals, and where somebody handles them already. gevent's handlers cannot be seen from here.
    """
    if get_ident() != main_thread().ident or "gevent" in sys.modules:
        return None
    for number in SIGNALS:
        found = _getsignal(number)
        if type(found) is Watch:  # of another task of this loop
            break
    else:
        found = Watch(latest)
    try:
        return found if found.begin(event) else None
    except ValueError:  # the main thread of another interpreter than the main one
        return None


def _interrupt(event: Event, number: int) -> None:
    """Say in *event* what ended it, unless it had ended before: a response that is out, a step that was left."""
    fields = event.fields
    if fields is not None and not event.ended:
        fields["process.exit.signal"] = signal.Signals(number).name
        if event.outcome == "success":
            event.outcome = "cancelled"


def _caller_of_work(frame: FrameType | None) -> FrameType | None:
    """Return the code that called the rooms at work, if it was in there that *frame* was interrupted."""
    caller = None
    while frame is not None:
        if frame.f_globals.get("__name__") in AT_WORK:
            caller = frame.f_back
        frame = frame.f_back
    return caller


def _ignore(*_: object) -> None:
    """Trace nothing but what is traced already."""
