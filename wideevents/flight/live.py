"""Be the fields of an event in progress, and write each of them down where a kill does not reach it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from time import sleep
from types import FrameType
from typing import Any

import orjson

from wideevents.events import Event
from wideevents.flight.entries import OPTIONS, dumps, encoded, fitted
from wideevents.flight.slots import Slot
from wideevents.hiding import Hiding
from wideevents.redaction import without

write_into = dict.update

PATH = "url.path"

TRIES, PAUSE = 10, 0.000_5
"""How often, and after how many seconds each, is looked whether somebody else is done with the journal."""


class Live(dict[str, Any]):
    """
    Be the fields of an event, and keep a journal of them in a slot.

    The journal is a sequence of lines: `{"name": value, ...}` sets fields, of which null takes one away, and
    `["name", index, item]` sets an item of a list. It ends at the first zero. The room behind it is all zeros, so that
    an entry that a kill has cut has one in it, whatever is the order in which its bytes were copied, and is no JSON.

    It has one writer at a time, who takes the attribute `_idle` away, which is atomic, and sets it again: a lock would
    be found held by a fork, or by a signal handler, which cannot wait for whom it interrupts. Nothing is called to take
    it, since a signal handler may raise at the end of any call. Whoever comes meanwhile, another thread or a signal
    handler, notes in `_missed` what it has changed: the one that writes looks there when it is done, and writes what
    stands in the dict by then.
    """

    __slots__ = (
        "_at",
        "_event",
        "_hidden",
        "_hiding",
        "_idle",
        "_limit",
        "_memory",
        "_missed",
        "_monotonic",
        "_over",
        "_path",
        "_side",
        "_slot",
        "_touched",
        "_words",
    )

    def begin(self, event: Event, slot: Slot, hiding: Hiding, path: str | None) -> None:
        """
        Follow *event* in *slot* from now on; these are its fields already.

        *path* is what may be told of its path before its route is known, where that is not all.
        """
        self._event = event
        self._slot: Slot | None = slot
        self._hiding = hiding
        self._hidden: tuple[str, ...] = ()
        self._path = path
        self._missed: list[str] = []
        self._over = False
        self._monotonic = event.recorder.clock.monotonic
        self._memory: Any = slot.memory
        self._words: Any = slot.words
        self._touched = touched = slot.touched
        self._limit = limit = slot.limits[0]
        self._side = 0
        start = slot.begins[0]
        slot.words[slot.started] = slot.words[touched] = event.started
        if path is not None:
            event.suspects.add(PATH)
        if event.suspects or event.hidden:
            self._at = self._look(start, self)
        else:
            line = encoded(self)
            self._at = end = start + len(line)
            if end <= limit:
                slot.memory[start:end] = line
            else:
                self._at = self._spill(start, line)
        self._idle = True
        slot.words[slot.state] = 1 + self._side

    def end(self) -> None:
        """Forget the event; who is just writing does it when it is done."""
        try:
            del self._idle
        except AttributeError:
            slot = self._slot
            if slot is not None:
                slot.words[slot.state] = 0  # at once: a signal handler may end an event, and then the process
                self._over = True
                self._missed.append(PATH)
                self._settle()
            return
        self._free()

    def let_go(self) -> None:
        """Write nothing any more: in a forked child the file is the parent's."""
        with suppress(AttributeError):
            del self._idle
        # Who forks in a signal handler, in the middle of a write, ends it nowhere.
        self._slot, self._memory, self._words, self._limit = None, bytearray(), {}, 0

    def grew(self, name: str, item: object) -> None:
        """Take that the list *name* has grown by *item*, while the caller keeps other threads from letting it grow."""
        try:
            del self._idle
        except AttributeError:
            self._told((name,))
            return
        try:
            shown = self._shown({name: [item]})[name]
            self._at = self._write(self._at, [name, len(self[name]) - 1, *shown])
        finally:
            self._idle = True
            if self._missed:
                self._settle()

    def __setitem__(self, name: str, value: Any) -> None:
        pair = {name: value}
        try:
            del self._idle
        except AttributeError:
            write_into(self, pair)
            self._told(pair)
            return
        try:
            self |= pair
            at = self._at
            event = self._event
            if event.hidden or (name in event.suspects and not self._is_known(name, value)):
                self._at = self._set_suspect(at, pair)
            else:
                line = dumps(pair, None, OPTIONS)
                end = at + len(line)
                if end <= self._limit:
                    self._memory[at:end] = line
                    self._words[self._touched] = self._monotonic()
                    self._at = end
                else:
                    self._at = self._spill(at, line)
        except orjson.JSONEncodeError:
            self._at = self._write(at, pair)
        finally:
            self._idle = True
            if self._missed:
                self._settle()

    def update(self, fields: Any = (), /) -> None:  # type: ignore[override]
        """Set fields, as that of a dict does; they are one entry."""
        if type(fields) is not dict:
            fields = dict(fields)
        try:
            del self._idle
        except AttributeError:
            write_into(self, fields)
            self._told(fields)
            return
        try:
            self |= fields
            event = self._event
            if event.hidden or (event.suspects and not fields.keys().isdisjoint(event.suspects)):
                self._at = self._set_suspect(self._at, fields)
            else:
                self._at = self._write(self._at, fields)
        finally:
            self._idle = True
            if self._missed:
                self._settle()

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._told((name,))

    def pop(self, name: str, *default: Any) -> Any:
        """Take a field away, as that of a dict does."""
        was_there = name in self
        value = super().pop(name, *default)
        if was_there:
            self._told((name,))
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last field away."""
        name, value = super().popitem()
        self._told((name,))
        return name, value

    def clear(self) -> None:
        """Take all fields away."""
        names = list(self)
        super().clear()
        self._told(names)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Return a field, which is set to *default* if it is not there."""
        if name not in self:
            self[name] = default
        return self[name]

    def _told(self, names: Iterable[str]) -> None:
        """Write down what the dict has under *names*; if somebody else is just writing, wait for it, or leave it."""
        if self._slot is None:
            return
        self._missed.extend(names)
        for _ in range(TRIES):
            if self._settle() or self._interrupts():
                return
            sleep(PAUSE)

    def _interrupts(self) -> bool:
        """Tell whether the writer is below us on our own stack, since we are a signal handler: it waits for us."""
        frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 - whom it serves that we are called by
        while frame is not None:
            if frame.f_code in WRITERS and frame.f_locals.get("self") is self:
                return True
            frame = frame.f_back
        return False

    def _settle(self) -> bool:
        """Write down what was missed, or forget all, unless somebody else is just writing; tell whether it is done."""
        while self._missed:
            try:
                del self._idle
            except AttributeError:
                return self._slot is None
            if self._over:
                self._free()
                return True
            try:
                names = []
                while self._missed:
                    names.append(self._missed.pop())
                self._at = self._look(self._at, {name: self.get(name) for name in names})
            finally:
                self._idle = True
        return True

    def _free(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            slot.free(self._side, self._at)

    def _is_known(self, name: str, value: Any) -> bool:
        """Tell whether a field whose name is suspected has a text that was found clean before."""
        return type(value) is str and value in self._event.clean and name != PATH

    def _set_suspect(self, at: int, fields: Mapping[str, Any]) -> int:
        if PATH in fields:
            self._path = None  # whoever sets it again knows the route
        return self._look(at, fields)

    def _look(self, at: int, fields: Mapping[str, Any]) -> int:
        """Write *fields* with their secrets hidden; what turns out to be one now was none before, and goes, too."""
        if self._hidden != self._event.hidden:
            self._hidden = self._event.hidden
            return self._rewrite(at)
        return self._write(at, self._shown(fields))

    def _shown(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what may be seen of *fields*."""
        shown = {**fields}
        for name in fields.keys() & self._event.suspects:
            shown[name] = self._hiding.shown(name, shown[name])
        if self._path is not None and PATH in shown:
            shown[PATH] = self._path
        if self._hidden:
            shown = {name: without(each, self._hidden) for name, each in shown.items()}
        return shown

    def _write(self, at: int, entry: Any) -> int:
        """Write *entry* at the end, and return the new one."""
        try:
            line = dumps(entry, None, OPTIONS)
        except orjson.JSONEncodeError:
            line = encoded(entry)
        end = at + len(line)
        if end > self._limit:
            return self._spill(at, line)
        self._memory[at:end] = line
        self._words[self._touched] = self._monotonic()
        return end

    def _spill(self, at: int, line: bytes) -> int:
        """Write *line* where there is no room for it yet, and return the new end."""
        slot, side = self._slot, self._side
        if slot is None:
            return at
        slot.reserve(side)
        self._limit = slot.limits[side]
        end = at + len(line)
        if end > self._limit:
            return self._rewrite(at)
        self._memory[at:end] = line
        self._words[self._touched] = self._monotonic()
        return end

    def _rewrite(self, at: int) -> int:
        """
        Write all fields anew, in the other half, which counts from one store on; return its end.

        What stood in the old half is wiped out. On a full disk there may be no other one: then the old half is written
        over, and a kill in between loses the event. One that counts no more, since somebody has told it already who is
        about to kill this process, stays so.
        """
        slot = self._slot
        if slot is None:
            return at
        before = self._side
        side = 1 - before if slot.reserve(1 - before) else before
        start, limit = slot.begins[side], slot.limits[side]
        line = fitted(self._shown(self.copy()), (limit - start) * 7 // 8)
        end, zeros = start + len(line), bytes(at - slot.begins[before])
        slot.is_clean = False
        counts = slot.words[slot.state]
        if side == before:
            slot.words[slot.state] = 0
            self._memory[start:at] = zeros
        self._memory[start:end] = line
        self._words[slot.state] = 1 + side if counts else 0
        self._side, self._limit = side, limit
        if side != before:
            self._memory[slot.begins[before] : at] = zeros
        self._words[self._touched] = self._monotonic()
        return end


WRITERS = frozenset(
    function.__code__
    for function in (Live.__setitem__, Live.update, Live.grew, Live._settle)  # noqa: SLF001
)
"""What holds the end of a journal while it writes."""
