"""What every sink promises: one suite, over all of them."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.conftest import at_once, in_child
from tests.sinks import event_of, padded
from tests.sinks.collector import collector
from tests.strict import strict_loads
from wideevents.pipeline import Sink
from wideevents.serialize import encode
from wideevents.sinks.lines import LinesSink
from wideevents.sinks.memory import MemorySink
from wideevents.sinks.otlp import OTLPSink

LONGEST = 60_000


class Place:
    """Somewhere that lines go, and can be read from by whoever stands at the other end."""

    shared = True
    """Whether a forked child writes to the same place."""

    sink: Sink

    def written(self) -> bytes:
        """Return all that has arrived so far."""
        raise NotImplementedError

    def lines(self) -> list[bytes]:
        """Return all that has arrived, line by line."""
        return self.written().splitlines(keepends=True)

    def leave(self) -> None:
        """Do what a process does that ends; most have nothing to do."""


class InMemory(Place):
    shared = False

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.sink = MemorySink()

    def written(self) -> bytes:
        assert isinstance(self.sink, MemorySink)
        return b"".join(self.sink.lines)


class OnDisk(Place):
    """A path that was given."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self.sink = LinesSink.open(self.path, longest=LONGEST)

    def written(self) -> bytes:
        return self.path.read_bytes()


class Inherited(OnDisk):
    """A descriptor that somebody else has opened to append: `serve >> events.jsonl`."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        stack.callback(os.close, descriptor)
        self.sink = LinesSink(descriptor, longest=LONGEST)


class Stream(Place):
    """What has a reader at its other end, who reads all the time."""

    def start(self, stack: ExitStack, writer: int, read: Callable[[], bytes], close: Callable[[], None]) -> None:
        self.received = bytearray()
        self.read = read
        self.sink = LinesSink(writer, longest=LONGEST)
        self.reader = Thread(target=self.follow, daemon=True)
        self.reader.start()
        self.close = close
        stack.callback(self.end)

    def follow(self) -> None:
        while part := self.read():
            self.received += part

    def end(self) -> None:
        """Close the writing end, of which the sink may hold a description of its own; the reader ends then."""
        if self.reader.is_alive():
            del self.sink
            gc.collect()
            self.close()
            self.reader.join(10)

    def written(self) -> bytes:
        self.end()
        return bytes(self.received)


class Pipe(Stream):
    def __init__(self, stack: ExitStack, folder: Path) -> None:
        reader, writer = os.pipe()
        stack.callback(os.close, reader)
        self.start(stack, writer, lambda: os.read(reader, 65_536), lambda: os.close(writer))


class Socket(Stream):
    def __init__(self, stack: ExitStack, folder: Path) -> None:
        reader, writer = socket.socketpair()
        stack.enter_context(reader)
        self.start(stack, writer.fileno(), lambda: reader.recv(65_536), writer.close)


class OverOTLP(Place):
    """A collector: what arrives there are records, whose attributes are put together to a line again."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "10")
        self.collector = stack.enter_context(collector())
        self.sink = OTLPSink(endpoint=self.collector.endpoint)
        stack.callback(self.sink.close)

    def written(self) -> bytes:
        self.sink.close()
        return b"".join(encode(each.attributes) + b"\n" for each in self.collector.received)

    def leave(self) -> None:
        self.sink.close()


@pytest.fixture(params=[InMemory, OnDisk, Inherited, Pipe, Socket, OverOTLP], ids=lambda kind: kind.__name__)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Give every place in turn."""
    with ExitStack() as stack:
        yield request.param(stack, tmp_path)


def insist(sink: Sink, line: bytes) -> None:
    """Write *line*, and again where a busy machine let the patience of the sink run out before it had its turn."""
    for _ in range(100):
        try:
            sink.write(event_of(line))
        except TimeoutError:
            continue
        return


class TestEverySink:
    def test_a_line_arrives_as_it_is(self, place: Place) -> None:
        """Byte for byte: its newline, its escapes, and characters of every width."""
        line = '{"text":"é🦆\\u2028\\"","n":1}\n'.encode()
        place.sink.write(event_of(line))

        assert line == place.written()

    def test_lines_arrive_in_their_order(self, place: Place) -> None:
        """What ended first stands first."""
        lines = [b'{"n":%d}\n' % number for number in range(100)]
        for line in lines:
            place.sink.write(event_of(line))

        assert lines == place.lines()

    @pytest.mark.parametrize("size", [512, 4_096, 4_097, 16_000, LONGEST])
    def test_a_line_of_any_length_arrives_whole(self, place: Place, size: int) -> None:
        """At and beyond the size that a pipe takes at once."""
        place.sink.write(event_of(padded(size)))
        place.sink.write(event_of(padded(100)))

        assert [padded(size), padded(100)] == place.lines()

    def test_lines_of_several_threads_do_not_mix(self, place: Place) -> None:
        """Every line is in one piece, and none is missing."""
        sizes = [200, 5_000, 900, 9_000]

        def write(mark: str) -> None:
            for number in range(40):
                insist(place.sink, padded(sizes[number % len(sizes)], mark))

        at_once(*[partial(write, mark) for mark in "abcd"])

        expected = sorted(padded(sizes[number % len(sizes)], mark) for mark in "abcd" for number in range(40))
        assert expected == sorted(place.lines())

    def test_a_forked_child_writes_too(self, place: Place) -> None:
        """A sink that was made before the fork serves in the worker, and goes on serving in its parent."""

        def write() -> None:
            place.sink.write(event_of(b'{"who":"child"}\n'))
            place.leave()

        write_answer = in_child(write)
        place.sink.write(event_of(b'{"who":"parent"}\n'))
        expected = ["child", "parent"] if place.shared else ["parent"]

        assert write_answer is None
        assert expected == [strict_loads(line.decode())["who"] for line in place.lines()]

    def test_an_event_in_progress_is_written_after_close(self, place: Place) -> None:
        """A request that began before a new configuration ends after its sink was closed; its line is not lost."""
        place.sink.close()
        place.sink.close()
        place.sink.write(event_of(b'{"n":1}\n'))

        assert place.written() == b'{"n":1}\n'


class TestMemorySink:
    def test_its_events_are_what_would_have_been_written(self) -> None:
        """A test looks at the line itself, parsed, and not at what was meant to be in it."""
        sink = MemorySink()
        sink.write(event_of(b'{"a.b":1,"list":["\\u2028"]}\n'))
        expected: list[dict[str, Any]] = [{"a.b": 1, "list": ["\u2028"]}]

        assert expected == sink.events
