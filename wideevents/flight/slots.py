"""Hold slots in a file that is mapped into memory: what is written there is the kernel's, and survives a kill."""

from __future__ import annotations

import errno
import mmap
import os
import sys
import weakref
from contextlib import suppress
from pathlib import Path
from threading import RLock
from time import monotonic

from wideevents.flight.layout import (
    HEAD,
    HEADER_BYTES,
    PAGE,
    STARTED,
    STATE,
    SUFFIX,
    TOUCHED,
    WORD,
    Header,
)
from wideevents.forks import renew_in_child
from wideevents.health import Fault, report

if sys.platform != "win32":
    import fcntl

FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
MODE = 0o600

CHUNK = 64
"""Slots that are mapped at first; every chunk is twice as large as the one before it."""

PATIENCE = 1.0
"""Seconds that an event waits while another thread makes the file, or a slot; with a slow disk it goes without."""

PAUSE = 10.0
"""Seconds after which more slots are asked for again, where there was no room for them."""

ATTEMPTS = 8

Identity = tuple[int, int]
"""The device and the number of a file."""


class _Held:
    """
    Know the files that this process has open itself.

    A POSIX lock goes with the first descriptor of its file that the process closes, so that none is opened twice; and
    it does not keep the process from itself.
    """

    def __init__(self) -> None:
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Forget them: a forked child has none of its parent's locks."""
        self._files: dict[Identity, object] = {}

    def take(self, file: Identity) -> bool:
        """Tell whether *file* was free until now."""
        token = object()
        return self._files.setdefault(file, token) is token

    def give_back(self, file: Identity) -> None:
        """Let others take *file*."""
        self._files.pop(file, None)


held = _Held()


def identity(status: os.stat_result) -> Identity:
    """Return what tells a file from every other one."""
    return status.st_dev, status.st_ino


def lock(descriptor: int) -> bool:
    """Lock a file for as long as this process has it open, and tell whether no other process had."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


class Slot:
    """
    Hold the journal of one event.

    It is in *memory*, whose words of 8 bytes are *words*. There are two halves, which begin and end at *begins* and
    *limits*; the journal stands in one of them, so that a shorter form of it can be written beside it. What is not
    journal is zeros.
    """

    __slots__ = (
        "_free",
        "_place",
        "begins",
        "file",
        "is_clean",
        "limits",
        "memory",
        "started",
        "state",
        "touched",
        "words",
    )

    def __init__(self, file: File, memory: mmap.mmap, words: memoryview[int], origin: int, place: int) -> None:
        self.file = file
        self.memory = memory
        self.words = words
        self.begins = origin + HEAD, origin + file.slot_bytes
        self.limits = [origin + PAGE, origin + file.slot_bytes]
        self.state, self.touched, self.started = (origin // WORD + word for word in (STATE, TOUCHED, STARTED))
        self.is_clean = True
        self._free = file.free
        self._place = place - origin

    def reserve(self, half: int) -> bool:
        """
        Make sure of all the room of a *half*, and tell whether there is any.

        A mapped page without a block of the disk behind it would end the process when it is written to.
        """
        there, all_of_it = self.limits[half], self.begins[1] + half * self.file.slot_bytes
        if there < all_of_it:
            try:
                fill(self.file.descriptor, all_of_it - there, self._place + there)
            except OSError as error:
                sentence = f"The flight recorder has no room for all fields of an event: {error}. What fits is kept."
                report(Fault.STAGE, "flight.slot", sentence)
                return there > self.begins[half]
            self.limits[half] = all_of_it
        return True

    def free(self, half: int, end: int) -> None:
        """Forget the journal, which ends in a *half* at *end*, and let another event have the slot."""
        self.words[self.state] = 0
        start = self.begins[half]
        self.memory[start:end] = bytes(end - start)
        if not self.is_clean:
            self._wipe()
        self._free.append(self)

    def _wipe(self) -> None:
        """Let nothing stand in both halves: an exception of a signal handler may have left something."""
        for start, limit in zip(self.begins, self.limits, strict=True):
            self.memory[start:limit] = bytes(limit - start)
        self.is_clean = True


class File:
    """
    Hold the slots of this process, in a file of its own that it keeps locked as long as it lives.

    That lock tells the dead from the living: it is not inherited by a forked child, goes with its process however that
    ends, and does not care for pids that are used again, or that mean somebody else in another container.
    """

    __slots__ = (
        "__weakref__",
        "_capacity",
        "_close",
        "_growing",
        "_is_growing",
        "_made",
        "_memory",
        "_offset",
        "_retry",
        "_used",
        "_words",
        "descriptor",
        "free",
        "slot_bytes",
    )

    def __init__(self, directory: Path, header: Header) -> None:
        """Make the file; raise `OSError` or `ValueError` where that cannot be done."""
        self.slot_bytes = header.slot_bytes
        self.free: list[Slot] = []
        self.descriptor, path, file = _created(directory)
        self._made: list[tuple[memoryview[int], int]] = []
        self._close = weakref.finalize(self, _close, os.getpid(), self.descriptor, path, file, self._made)
        self._growing = RLock()
        self._is_growing = False
        self._retry = 0.0
        self._used = self._capacity = 0
        self._offset = HEADER_BYTES
        try:
            write(self.descriptor, header.packed(), 0)
            self._map()
        except (OSError, ValueError):
            self._close()
            raise

    def let_go(self) -> None:
        """Leave the file to the parent whose it is: this is a forked child."""
        self._close()

    def grown(self) -> Slot | None:
        """
        Return a new slot, where none is *free*; None where there is no room for one.

        Who interrupts that, as a signal handler may, does without.
        """
        if monotonic() < self._retry or not self._growing.acquire(timeout=PATIENCE):
            return None
        try:
            if self._is_growing:
                return None
            self._is_growing = True
            try:
                return self._make()
            finally:
                self._is_growing = False
        except (OSError, ValueError) as error:
            self._retry = monotonic() + PAUSE
            sentence = f"The flight recorder has no room for more events, which go on without it: {error}."
            report(Fault.STAGE, "flight", sentence)
            return None
        finally:
            self._growing.release()

    def _make(self) -> Slot:
        if self._used == self._capacity:
            self._map()
        origin = self._used * 2 * self.slot_bytes
        fill(self.descriptor, PAGE, self._offset + origin)
        slot = Slot(self, self._memory, self._words, origin, self._offset + origin)
        self._made.append((self._words, slot.state))
        self._used += 1
        return slot

    def _map(self) -> None:
        stride = 2 * self.slot_bytes
        start, count = self._offset + self._capacity * stride, 2 * self._capacity or CHUNK
        os.ftruncate(self.descriptor, start + count * stride)
        self._memory = mmap.mmap(self.descriptor, count * stride, offset=start)
        self._words = memoryview(self._memory).cast("q")
        self._offset, self._capacity, self._used = start, count, 0


def write(descriptor: int, data: bytes, at: int) -> None:
    """Write all of *data* at a position; raise `OSError` where there is no room for all of it."""
    if os.pwrite(descriptor, data, at) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill(descriptor: int, size: int, at: int) -> None:
    """Make sure that the disk has room for so many bytes at a position: a hole in a file may have none behind it."""
    write(descriptor, bytes(size), at)


def _created(directory: Path) -> tuple[int, Path, Identity]:
    """Make a file that is locked, and is still there: who recovers might have taken it for a dead process's."""
    for _ in range(ATTEMPTS):
        path = directory / f"{os.getpid()}-{os.urandom(6).hex()}{SUFFIX}"
        descriptor = os.open(path, FLAGS | os.O_CREAT | os.O_EXCL, MODE)
        file = identity(os.fstat(descriptor))
        held.take(file)
        try:
            if lock(descriptor) and path.exists():
                return descriptor, path, file
        except OSError:
            _close(os.getpid(), descriptor, path, file, [])
            raise
        held.give_back(file)
        os.close(descriptor)
    raise OSError(errno.EAGAIN, f"no file could be kept in {directory}")


def _close(owner: int, descriptor: int, path: Path, file: Identity, made: list[tuple[memoryview[int], int]]) -> None:
    """Let go of a file; its *owner* removes it, unless it holds what somebody has yet to recover."""
    if os.getpid() == owner:
        if not any(words[state] for words, state in made):
            with suppress(OSError):
                path.unlink()
        held.give_back(file)
    os.close(descriptor)
