"""Write lines to a file descriptor: standard output, a file, a pipe, a socket."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from typing import Literal, TypeAlias

from wideevents.appended import Appended
from wideevents.descriptors import PIPE_BUF, STDERR, Unblocked, Write, broken, fits, kills, spared, writable
from wideevents.entries import Entry
from wideevents.errors import ConfigurationError
from wideevents.health import lost
from wideevents.notices import Notices
from wideevents.turns import Turn, shared

if sys.platform != "win32":
    import fcntl

STDOUT = 1

OnFull: TypeAlias = Literal["wait", "drop"]

PATIENCE = 0.1
"""Seconds that a line waits, in all, for another writer or a slow reader; then it is lost, and counted."""

WAITS = {"wait": PATIENCE * 1000, "drop": 5}
MOST = {"wait": 60_000, "drop": 5}
"""Milliseconds that a line waits by default, and at most."""

OUTPUTS = {STDOUT: "standard output", STDERR: "standard error"}

FINISH = 10.0
"""Seconds more that a line waits of which a part is out: then it is left as it is."""

LOOK = 1.0
"""Seconds between two looks at where the descriptor leads."""

PAUSE = 0.001
"""Seconds between two looks at what cannot be waited for, at most."""


class LinesSink:
    """
    Write every line by one synchronous write, in the thread of the request.

    No thread, no queue and no buffer stand between the line and the kernel, so that a kill loses none that was written.
    A file opened to append takes a whole line at once. A pipe or socket mixes the lines of its writers as soon as one
    is longer than `PIPE_BUF` (4,096 bytes on Linux), so all of them take turns, the threads by a lock and the processes
    by `lockf`; where the system has no such lock for it (macOS), keep `max_bytes` of `Limits` to `PIPE_BUF`.

    - *descriptor*: its number; standard output by default. For a path use `open`.
    - *longest*: bytes of the longest line that will come, which is `max_bytes` of `Limits`.
    - *on_full*: how long a line waits for a reader that is slow or has stopped, and for the turns of others. "wait" is
      100 ms at most, in all; "drop" is 5. Then the line is lost, and counted: `events.lost` of the next line says how
      many are. The event of a request, its log lines and the events inside it share that time; what nobody waits for,
      such as a job, has it for each line.
    - *wait_ms*: milliseconds to wait instead, up to 60,000, or up to 5 for "drop".

    A line that fits into a pipe is not begun before it fits, so that it waits no longer than that. One that is longer
    than the pipe (64 KiB on Linux), or longer than `PIPE_BUF` and bound for a socket, may be half out when the reader
    stops. It is finished then, since half a line helps nobody: the request waits up to ten seconds more, and what else
    is to be written meanwhile is lost. After that, or at once on a descriptor that somebody made non-blocking, it stays
    torn, and the next line of this process begins on a line of its own; one of another process may stand right behind
    it. `Unblocked` says under which systems the kernel makes a line wait longer.

    *write* is `os.write`, or what a test puts in its place, and *clock* counts seconds.

    Raise `ConfigurationError` for a setting that cannot be used.
    """

    name = "lines"

    def __init__(
        self,
        descriptor: int = STDOUT,
        *,
        longest: int = 16_000,
        on_full: OnFull = "wait",
        wait_ms: float | None = None,
        write: Write | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if type(descriptor) is not int:
            raise ConfigurationError.of("descriptor", descriptor, "a number; of a path use LinesSink.open")
        if type(longest) is not int or longest < 1:
            raise ConfigurationError.of("longest", longest, "a number of bytes, 1 or more")
        self._descriptor = descriptor
        self._longest = longest
        self._patience = _patience(on_full, wait_ms)
        self._given = write
        self._clock = clock
        self._file: Appended | None = None
        self._own = Turn()
        self._plain_until = -inf
        self._looking = False
        self._notices = Notices(OUTPUTS.get(descriptor, f"the descriptor {descriptor}"), clock=clock)
        try:
            self._examine()
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"Lines cannot be written to the descriptor {descriptor}: {error}.") from error
        self._end_turn()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        longest: int = 16_000,
        on_full: OnFull = "wait",
        wait_ms: float | None = None,
        write: Write | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> LinesSink:
        """
        Open the file at *path* to append; raise `ConfigurationError` where that cannot be done.

        When it is renamed or removed, as by logrotate, a new one is opened at the path within a second, without any
        signal. One that is truncated goes on at its new end. The file itself is never renamed from here: that loses
        lines as soon as two processes do it.
        """
        try:
            file = Appended(path)
        except (OSError, TypeError, ValueError) as error:  # a path with a zero byte is a ValueError
            allowed = f"a file that this process may write ({getattr(error, 'strerror', None) or error})"
            given = os.fspath(path) if isinstance(path, os.PathLike) else path
            raise ConfigurationError.of("output", given, allowed) from error
        sink = cls(file.descriptor, longest=longest, on_full=on_full, wait_ms=wait_ms, write=write, clock=clock)
        sink._file = file
        sink._turn.torn = file.is_torn()
        sink._notices = Notices(repr(os.fsdecode(path)), clock=clock)
        sink._end_turn()
        return sink

    @property
    def path(self) -> str | None:
        """Where what was written can be read: whoever recovers events looks whether their lines are there."""
        return f"/dev/fd/{self._descriptor}" if self._is_file else None

    def close(self) -> None:
        """
        Do nothing, since nothing is held back.

        A file that was opened here is closed when nobody refers to the sink any more: events in progress do, so that a
        request that began before a new `configure()` is still written.
        """

    def write(self, entry: Entry) -> None:
        """
        Write the line; raise `OSError` where it could not be written whole.

        Whoever reads standard error is told, too, at most once a minute.
        """
        line = entry.line
        out = 0
        try:
            now = self._clock()
            if now >= self._plain_until and self._is_file and not self._turn.torn:
                self._look_aside()
            if now < self._plain_until or self._looking:
                try:
                    out = self._put(self._descriptor, line)
                except (BlockingIOError, InterruptedError):
                    out = 0
                if out == len(line):
                    return
                if out:
                    self._turn.torn = True
                    self._plain_until = -inf
            self._write_in_turn(entry, out)
        except OSError as error:
            self._notices.lost(error)
            raise

    def _write_in_turn(self, entry: Entry, out: int) -> None:
        """
        Write what is missing of the line while the descriptor is held against the threads of this process, and others.

        A signal handler may log while this thread is in here: its line must not stand in the middle of another, and
        cannot wait for its own thread, so that the write that it interrupted takes it along.
        """
        waits, began = entry.waits, self._clock()
        try:
            self._take_turn(entry.line, out, began + self._patience - (sum(waits) if waits else 0))
        finally:
            if waits is not None and (waited := self._clock() - began) >= PAUSE:
                waits.append(waited)
            if self._turn.waiting:
                self._write_waiting()

    def _write_waiting(self) -> None:
        """
        Write the lines of signal handlers, which have gone on meanwhile, and can be told nothing any more.

        A reader that stopped is waited for once, however many they are.
        """
        deadline = self._clock() + self._patience
        turn = self._turn
        with suppress(IndexError):  # another thread may take the last one
            while turn.waiting and not turn.busy:
                line = turn.waiting.popleft()
                try:
                    self._take_turn(line, 0, deadline)
                    deadline = self._clock() + self._patience
                except OSError as error:
                    self._notices.lost(error)
                    lost(self.name, "LinesSink", f"A signal handler's line is lost: {error}")

    def _take_turn(self, line: bytes, out: int, deadline: float) -> None:
        turn = self._turn  # which may be another one when it is over: somebody has redirected the output
        if not turn.lock.acquire(timeout=max(0.0, deadline - self._clock())):
            raise TimeoutError(f"another thread held the output for {self._ms} ms")
        try:
            if turn.busy:
                turn.waiting.append(line)
                return
            turn.busy = True
            try:
                self._write_alone(line, out, deadline)
            finally:
                turn.busy = False
        finally:
            turn.lock.release()

    def _write_alone(self, line: bytes, out: int, deadline: float) -> None:
        self._plain_until = -inf  # whoever comes now waits for its turn
        if self._clock() >= self._look_at and not out:
            self._look()
        locked = self._takes_turns and self._lock_out_processes(deadline)
        try:
            self._write_all(line, out, deadline)
        finally:
            if locked:
                with suppress(OSError):  # somebody closed it, which gave the turn back; the line is out
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
            self._end_turn()

    def _write_all(self, line: bytes, out: int, deadline: float) -> None:
        rest = line[out:]
        if self._turn.torn and not out:
            rest = b"\n" + line  # what is left of a broken line must not spoil this one
        try:
            if self._is_pipe and len(rest) > PIPE_BUF and not out:
                self._await_room(len(rest), deadline)
            while rest:
                rest = rest[self._write_some(rest, deadline, begun=len(rest) < len(line)) :]
        finally:
            # After everything, or nothing but that newline, the reader is at the beginning of a line.
            self._turn.torn = len(rest) not in (0, len(line))

    def _write_some(self, rest: bytes, deadline: float, *, begun: bool) -> int:
        try:
            return self._put(self._descriptor, rest)
        except InterruptedError:
            return 0
        except BlockingIOError:
            if begun and os.get_blocking(self._descriptor):  # whose owner has nothing against waiting
                deadline += FINISH
            left = deadline - self._clock()
            if left <= 0 or not writable(self._descriptor, left):
                raise self._unread() from None
            return 0

    def _await_room(self, size: int, deadline: float) -> None:
        """Wait until the pipe takes all at once, or is empty; one that has no reader is not waited for."""
        pauses = self._pauses(deadline)
        while not (fits(self._descriptor, size) or broken(self._descriptor)):
            if not next(pauses):
                raise self._unread()

    def _lock_out_processes(self, deadline: float) -> bool:
        """Tell whether the lock is held; some descriptors (of macOS) take none, and Windows has none."""
        if sys.platform == "win32":
            return False
        pauses: Iterator[bool] | None = None
        while True:
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                pauses = pauses or self._pauses(deadline)
                if not next(pauses):
                    raise TimeoutError(f"another process held the output for {self._ms} ms") from None
            except OSError:
                return False
            else:
                return True

    def _pauses(self, deadline: float) -> Iterator[bool]:
        """Pause, a little longer each time, and yield True; or False, at once, when the time is over."""
        pause = PAUSE / 16
        while (left := deadline - self._clock()) > 0:
            time.sleep(min(left, pause))
            yield True
            pause = min(2 * pause, PAUSE)
        yield False

    def _unread(self) -> TimeoutError:
        return TimeoutError(f"the reader of the lines did not read for {self._ms} ms")

    @property
    def _ms(self) -> str:
        return f"{self._patience * 1000:g}"

    def _look(self) -> None:
        """Notice where the descriptor leads by now: somebody may have moved the file, or redirected the output."""
        if self._file is not None and self._file.follow():
            self._descriptor = self._file.descriptor
            self._turn.torn = False
        self._examine()

    def _look_aside(self) -> None:
        """Look where a file is by now, while other threads go on: of many that waited, some would wait too long."""
        turn = self._turn
        if not turn.lock.acquire(blocking=False):
            return
        try:
            if not (self._looking or turn.busy):  # a signal handler may interrupt who is looking, or writing
                self._looking = True
                try:
                    self._look()
                    self._end_turn()
                finally:
                    self._looking = False
        finally:
            turn.lock.release()

    def _examine(self) -> None:
        status = os.fstat(self._descriptor)
        mode = status.st_mode
        self._is_pipe, self._is_file = stat.S_ISFIFO(mode), stat.S_ISREG(mode)
        has_reader = self._is_pipe or stat.S_ISSOCK(mode)
        self._turn = shared(status) if has_reader else self._own
        self._takes_turns = has_reader and self._longest > PIPE_BUF
        put = self._given or (Unblocked() if has_reader else os.write)
        self._put: Write = spared(put) if has_reader and kills() else put
        self._look_at = self._clock() + LOOK

    def _end_turn(self) -> None:
        """Let lines be written without a turn, until the next look, if they need none."""
        self._plain_until = -inf if self._takes_turns or self._turn.torn else self._look_at


def _patience(on_full: str, wait_ms: float | None) -> float:
    """Return the seconds that a line waits."""
    if on_full not in tuple(WAITS):  # it may be anything, also what cannot be a key
        raise ConfigurationError.of("on_full", on_full, '"wait" or "drop"')
    most = MOST[on_full]
    if wait_ms is None:
        return WAITS[on_full] / 1000
    if type(wait_ms) not in {int, float} or not 0 <= wait_ms <= most:
        allowed = f'a number of milliseconds from 0 to {most:,}, where on_full is "{on_full}"'
        raise ConfigurationError.of("wait_ms", wait_ms, allowed)
    return wait_ms / 1000
