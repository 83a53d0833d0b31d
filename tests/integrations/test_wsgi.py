"""What the door for any WSGI application promises beyond the contract (PEP 3333)."""

from __future__ import annotations

import gc
import io
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest

import wideevents
from tests.integrations.servers import Ask, Handler, Lines, environ
from wideevents import ConfigurationError, add_field, current
from wideevents.integrations.wsgi import WideEvents

TEXT = (("Content-Type", "text/plain"),)


class Desk:
    """Be the server's side of one request: what was started, what was written."""

    def __init__(self, app: Callable[..., Iterable[bytes]], *, head: dict[str, Any] | None = None) -> None:
        self.started: list[tuple[str, list[tuple[str, str]]]] = []
        self.written: list[bytes] = []
        self.environ = environ(Ask("GET", "/plain")) if head is None else head
        self.body = app(self.environ, self.start_response)

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info and self.written:
            raise exc_info[1]
        self.started.append((status, headers))
        return self.write

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def send(self) -> bytes:
        """Send the body to its end, as a server does."""
        try:
            for part in self.body:
                self.write(part)
        finally:
            if hasattr(self.body, "close"):
                self.body.close()
        return b"".join(self.written)


def send(app: Callable[..., Iterable[bytes]], **head: Any) -> bytes:
    """Let a server ask once, with *head* in the environ."""
    return Desk(app, head={**environ(Ask("GET", "/plain")), **head}).send()


def answering(body: Any, status: str = "200 OK", headers: list[tuple[str, str]] | None = None) -> WideEvents:
    """Make an application that answers the same every time, behind the door."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [*TEXT] if headers is None else headers)
        return body() if callable(body) else body

    return WideEvents(app)


def told(line: dict[str, Any], *names: str) -> list[Any]:
    """Return some fields of a line; None is what is not there."""
    return [line.get(name) for name in names]


STATUS = "http.response.status_code"
SIZE = "http.response.body.size"
STREAMED = "http.response.streamed"
GONE = "client.disconnected"


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Leave everything to the counting of references."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Body:
    """Be an iterable that is no iterator, and can be closed."""

    def __init__(self, *parts: bytes, closing: BaseException | None = None) -> None:
        self.parts = parts
        self.closing = closing
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)

    def close(self) -> None:
        self.closed += 1
        if self.closing is not None:
            raise self.closing


class TestSettings:
    """What cannot be used is refused where it is given."""

    @pytest.mark.parametrize("app", [None, "myapp:app", object(), 42])
    def test_what_is_no_application_is_refused(self, app: Any) -> None:
        """A sentence names the setting, the value, and what is allowed."""
        with pytest.raises(ConfigurationError, match=r"app=.* cannot be used: it must be a WSGI application"):
            WideEvents(app)

    def test_settings_of_the_door_are_refused(self) -> None:
        """The door's own settings are looked at when it is built."""
        with pytest.raises(ConfigurationError, match=r"proxies=-1 cannot be used"):
            WideEvents(answering([]), proxies=-1)


class TestGenerator:
    """An application that is a generator starts its response when it is first iterated."""

    def test_a_late_start_is_seen(self, lines: Lines) -> None:
        """Status, size and fields are there although nothing was known when the application returned."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("201 Created", [*TEXT])
            add_field("late", 1)
            yield b"one"
            yield b"two"

        assert send(app) == b"onetwo"
        assert told(lines.one, STATUS, SIZE, STREAMED, "late") == [201, 6, True, 1]

    def test_a_failure_before_the_start_is_a_500(self, lines: Lines) -> None:
        """A generator that raises first has answered nothing: the server does."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            raise LookupError("nothing there")
            yield b""

        with pytest.raises(LookupError):
            send(app)
        assert told(lines.one, STATUS, "level", "exception.type") == [500, "error", "LookupError"]


class TestWrite:
    """The `write` callable, which old applications use."""

    def test_what_is_written_and_what_is_returned_add_up(self, lines: Lines) -> None:
        """Both ways out are counted, and the event does not end between them."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> list[bytes]:
            write = start_response("200 OK", [*TEXT])
            write(b"a long beginning, ")
            return [b"end"]

        assert send(app) == b"a long beginning, end"
        assert told(lines.one, SIZE, "outcome") == [21, "success"]

    def test_what_is_written_is_streamed(self, lines: Lines) -> None:
        """Nobody announced the length of what goes out by `write`."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [*TEXT])(b"written")
            return []

        assert send(app) == b"written"
        assert told(lines.one, SIZE, STREAMED) == [7, True]

    def test_an_announced_length_ends_the_event(self, lines: Lines) -> None:
        """With a Content-Length the last byte is known when it is written."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> list[bytes]:
            write = start_response("200 OK", [*TEXT, ("Content-Length", "4")])
            write(b"ab")
            in_between.append(len(lines.raw))
            write(b"cd")
            return []

        in_between: list[int] = []
        Desk(app)
        assert (in_between, *told(lines.one, SIZE, STREAMED)) == ([0], 4, None)

    def test_a_broken_pipe_is_the_clients_leaving(self, lines: Lines) -> None:
        """What the server's `write` raises through the application is not the application's error."""

        class Gone(Desk):
            def write(self, data: bytes) -> None:
                raise BrokenPipeError(32, "Broken pipe")

        @WideEvents
        def app(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [*TEXT])(b"written")
            return []

        with pytest.raises(BrokenPipeError):
            Gone(app)
        expected = ["info", "cancelled", True, None]
        assert expected == told(lines.one, "level", "outcome", GONE, "exception.type")


class TestStartAgain:
    """A response may be started again, with exc_info, as long as nothing is out."""

    @staticmethod
    @WideEvents
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [*TEXT])
        try:
            if environ.get("written"):
                yield b"written"
            raise LookupError("too late")
        except LookupError:
            start_response("503 Sorry", [*TEXT], sys.exc_info())
            yield b"sorry"

    def test_the_last_status_counts(self, lines: Lines) -> None:
        """Before the first byte the second status is the one that the client sees."""
        assert send(self.app) == b"sorry"
        assert told(lines.one, STATUS, "level", "outcome") == [503, "error", "failure"]

    def test_a_status_that_the_server_refused_does_not(self, lines: Lines) -> None:
        """After the first byte the server raises instead: the client saw the first status, and a failure."""
        with pytest.raises(LookupError, match="too late"):
            send(self.app, written="yes")
        expected = [200, "error", "LookupError", 7]
        assert expected == told(lines.one, STATUS, "level", "exception.type", SIZE)

    def test_a_server_without_exc_info_is_asked_for_none(self, lines: Lines) -> None:
        """A `start_response` that takes two arguments is called with two."""
        body = answering([b"x"])(environ(Ask("GET", "/plain")), lambda status, headers: None)
        assert list(body) == [b"x"]


class TestBody:
    """The iterable that is handed on."""

    def test_a_list_keeps_its_length(self, lines: Lines) -> None:
        """A server that announces the length of a single part by itself does so still."""

        def bare(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [*TEXT])
            return [b"Hello"]

        answers = []
        for app in (bare, WideEvents(bare)):
            out = io.BytesIO()
            handler = Handler(io.BytesIO(), out, io.StringIO(), environ(Ask("GET", "/plain")))
            handler.run(app)
            answers.append(b"Content-Length: 5\r\n" in out.getvalue())
        assert answers == [True, True]
        assert told(lines.one, SIZE, STREAMED) == [5, None]

    def test_a_generator_has_none(self, lines: Lines) -> None:
        """A length is not invented either."""
        desk = Desk(answering(lambda: (part for part in [b"x"])))
        assert not hasattr(desk.body, "__len__")
        desk.send()

    def test_the_parts_are_the_same_objects(self, lines: Lines) -> None:
        """Nothing is copied, joined, or looked into."""
        parts = [b"one", b"", b"x" * 100_000, bytearray(b"odd")]
        desk = Desk(answering(lambda: iter(parts)))
        assert list(map(id, parts)) == list(map(id, desk.body))

    def test_an_iterable_is_iterated_once(self, lines: Lines) -> None:
        """`iter()` of what we hand on is itself, as of any iterator."""
        desk = Desk(answering(Body(b"x")))
        assert iter(desk.body) is iter(desk.body)
        desk.send()

    def test_a_body_without_close_can_be_closed(self, lines: Lines) -> None:
        """Servers call `close` if it is there, and ours is."""
        assert Desk(answering((b"a", b"b"))).send() == b"ab"
        assert told(lines.one, SIZE, "outcome") == [2, "success"]

    def test_close_is_handed_on(self, lines: Lines) -> None:
        """The application's `close` is called as often as the server calls ours; the event ends once."""
        body = Body(b"x")
        desk = Desk(answering(body))
        desk.send()
        desk.body.close()  # type: ignore[attr-defined]
        assert (body.closed, lines.one["outcome"]) == (2, "success")

    def test_a_body_that_is_closed_unread(self, lines: Lines) -> None:
        """The application is told, and the line says that the client did not get its answer."""
        body = Body(b"x")
        Desk(answering(body)).body.close()  # type: ignore[attr-defined]
        assert (body.closed, told(lines.one, STATUS, SIZE, GONE, "outcome")) == (1, [200, 0, True, "cancelled"])

    @pytest.mark.parametrize("parts", [0, 1])
    def test_a_body_that_is_forgotten(self, lines: Lines, parts: int) -> None:
        """Without a `close` the event ends when nobody refers to the body any more; no collector is needed."""
        with nothing_collected():
            desk = Desk(answering(Body(b"ab", b"cd")))
            for _ in range(parts):
                next(iter(desk.body))
            before = len(lines.raw)
            del desk
            assert (0, 2 * parts) == (before, lines.one[SIZE])

    def test_a_close_that_raises(self, lines: Lines) -> None:
        """The server sees the application's exception, and the line too, if it was not written before."""
        error = LookupError("cannot close")
        desk = Desk(answering(Body(b"x", closing=error)))
        with pytest.raises(LookupError) as raised:
            desk.body.close()  # type: ignore[attr-defined]
        assert (error, "LookupError", "failure") == (raised.value, *told(lines.one, "exception.type", "outcome"))

    def test_a_close_that_raises_after_the_end(self, lines: Lines) -> None:
        """The last byte was out, so the event had ended; the server sees the exception all the same."""
        with pytest.raises(LookupError):
            Desk(answering(Body(b"x", closing=LookupError()))).send()
        assert told(lines.one, STATUS, "outcome") == [200, "success"]

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (KeyboardInterrupt(), "cancelled"),
            (SystemExit(1), "failure"),
            (SystemExit(0), "success"),
            (GeneratorExit(), "success"),
        ],
        ids=repr,
    )
    def test_an_iteration_that_is_interrupted(self, lines: Lines, error: BaseException, outcome: str) -> None:
        """What is no Exception goes through too; an interrupted request is cancelled, and no error of anybody."""

        class Raising(Body):
            def __iter__(self) -> Iterator[bytes]:
                return map(self.part, [False, True])

            def part(self, last: bool) -> bytes:
                if last:
                    raise error
                return b"x"

        with pytest.raises(type(error)) as raised:
            Desk(answering(Raising)).send()
        assert (error, 200, outcome) == (raised.value, *told(lines.one, STATUS, "outcome"))

    def test_a_body_that_cannot_be_iterated_is_closed(self, lines: Lines) -> None:
        """A server closes what it was given, even if `iter()` of it raises; so it is with us between."""

        class Stubborn(Body):
            def __iter__(self) -> Iterator[bytes]:
                raise LookupError("no parts")

        body = Stubborn()
        with pytest.raises(LookupError, match="no parts"):
            Desk(answering(body)).send()
        assert (body.closed, *told(lines.one, "level", "exception.type")) == (1, "error", "LookupError")

    def test_a_part_that_is_no_bytes_is_the_applications_error(self, lines: Lines) -> None:
        """The server would have raised a TypeError, and the line says so; nobody has left."""
        with pytest.raises(TypeError):
            Desk(answering(lambda: iter([None]))).send()
        assert told(lines.one, "level", GONE) == ["error", None]

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_an_empty_body_has_arrived(self, lines: Lines, method: str) -> None:
        """Nothing that is whole is no client that left."""
        send(answering([], headers=[*TEXT, ("Content-Length", "0")]), REQUEST_METHOD=method)
        assert told(lines.one, SIZE, GONE, STREAMED) == [0, None, None]

    @pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 None"), ("GET", "304 Old")])
    def test_what_has_no_body_ends_when_the_application_returns(self, lines: Lines, method: str, status: str) -> None:
        """For HEAD, 204 and 304 the last byte is the end of the head, whatever the server does with the body."""
        head = environ(Ask(method, "/plain"))
        desk = Desk(answering(lambda: iter([b"", b""]), status), head=head)
        assert told(lines.one, SIZE, "outcome", GONE) == [0, "success", None]
        desk.body.close()  # type: ignore[attr-defined]
        assert len(lines.raw) == 1

    def test_the_last_announced_byte_is_the_end(self, lines: Lines) -> None:
        """With a Content-Length the event ends when as many bytes are out, before the server asks for more."""
        desk = Desk(answering(lambda: iter([b"ab", b"cd"]), headers=[*TEXT, ("Content-Length", "4")]))
        parts = iter(desk.body)
        seen = [(next(parts), len(lines.raw)), (next(parts), len(lines.raw))]
        assert seen == [(b"ab", 0), (b"cd", 1)]
        desk.body.close()  # type: ignore[attr-defined]
        assert told(lines.one, SIZE, STREAMED, GONE) == [4, None, None]

    def test_a_body_that_is_too_short_was_cut(self, lines: Lines) -> None:
        """A client that leaves before the announced length is out has left, whoever counted."""
        desk = Desk(answering(lambda: iter([b"ab", b"cd"]), headers=[*TEXT, ("Content-Length", "4")]))
        next(iter(desk.body))
        desk.body.close()  # type: ignore[attr-defined]
        assert told(lines.one, SIZE, GONE, "outcome") == [2, True, "cancelled"]


class Slotted:
    """Be a file wrapper of a server written in C: it takes no other `close`."""

    __slots__ = ("file",)

    def __init__(self, file: io.BytesIO) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(4), b"")

    def close(self) -> None:
        self.file.close()


class Referable(Slotted):
    """Be one that can be referred to weakly, and takes no other `close` all the same."""

    __slots__ = ("__weakref__",)


class Wrapper:
    """Be a file wrapper whose `close` is a method of its class, like that of werkzeug and waitress."""

    def __init__(self, file: io.BytesIO) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(4), b"")

    def close(self) -> None:
        self.file.close()


class Closeless:
    """Be a file wrapper without a `close`."""

    def __init__(self, file: io.BytesIO) -> None:
        self.file = file

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(4), b"")


class Weakless:
    """Be a file wrapper that takes another `close`, and no weak reference."""

    __slots__ = ("close", "file")

    def __init__(self, file: io.BytesIO) -> None:
        self.file = file
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.file.read(4), b"")


class TestFileWrapper:
    """A file that the server sends itself, perhaps by sendfile(2)."""

    @staticmethod
    def app(wrapped: list[Any], length: str | None = "8") -> WideEvents:
        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [*TEXT, ("Content-Length", length)] if length else [*TEXT])
            wrapped.append(environ["wsgi.file_wrapper"](io.BytesIO(b"contents")))
            return wrapped[0]

        return WideEvents(app)

    @staticmethod
    def head(wrapper: Any, method: str = "GET") -> dict[str, Any]:
        return {**environ(Ask(method, "/file")), "wsgi.file_wrapper": wrapper}

    @pytest.mark.parametrize("wrapper", [FileWrapper, Wrapper, Closeless])
    def test_the_very_object_is_handed_on(self, lines: Lines, wrapper: Any) -> None:
        """The server recognises its own object; its end, whole, is followed."""
        wrapped: list[Any] = []
        desk = Desk(self.app(wrapped), head=self.head(wrapper))
        assert desk.body is wrapped[0]
        assert lines.raw == []
        desk.body.close()
        assert told(lines.one, STATUS, SIZE, "outcome", GONE) == [200, 8, "success", None]

    @pytest.mark.parametrize("wrapper", [FileWrapper, Wrapper])
    def test_the_file_is_closed(self, lines: Lines, wrapper: Any) -> None:
        """The wrapper's own `close` is called."""
        wrapped: list[Any] = []
        file = getattr(Desk(self.app(wrapped), head=self.head(wrapper)).body, "file", None) or wrapped[0].filelike
        wrapped[0].close()
        assert file.closed

    def test_a_file_of_unknown_length_has_no_size(self, lines: Lines) -> None:
        """Nobody counted what the server sent, so nothing is claimed."""
        wrapped: list[Any] = []
        Desk(self.app(wrapped, length=None), head=self.head(Wrapper)).body.close()  # type: ignore[attr-defined]
        assert told(lines.one, STATUS, SIZE, "outcome") == [200, None, "success"]

    @pytest.mark.parametrize("length", ["8", None])
    @pytest.mark.parametrize("wrapper", [Slotted, Referable, Weakless, lambda file: iter(lambda: file.read(4), b"")])
    def test_what_cannot_be_followed_is_counted(self, lines: Lines, wrapper: Any, length: str | None) -> None:
        """An object that takes no other `close`, or is no object of a class, is a body like any other."""
        assert Desk(self.app([], length), head=self.head(wrapper)).send() == b"contents"
        assert told(lines.one, SIZE, "outcome") == [8, "success"]

    def test_a_close_that_raises_ends_the_event(self, lines: Lines) -> None:
        """The server sees the exception, and the line is written."""

        class Broken(Wrapper):
            def close(self) -> None:
                raise OSError("no such disk")

        with pytest.raises(OSError, match="no such disk"):
            Desk(self.app([]), head=self.head(Broken)).body.close()  # type: ignore[attr-defined]
        assert lines.one[STATUS] == 200

    def test_head_ends_at_once(self, lines: Lines) -> None:
        """For HEAD there is no file to wait for."""
        wrapped: list[Any] = []
        Desk(self.app(wrapped), head=self.head(Wrapper, "HEAD"))
        assert told(lines.one, SIZE, GONE) == [0, None]
        wrapped[0].close()
        assert len(lines.raw) == 1

    @pytest.mark.parametrize("wrapper", [FileWrapper, Closeless])
    def test_one_that_is_forgotten_is_freed_at_once(self, lines: Lines, wrapper: Any) -> None:
        """A server that does not close leaves the file to the counting of references, with us as without."""
        with nothing_collected():
            wrapped: list[Any] = []
            body = Desk(self.app(wrapped), head=self.head(wrapper)).body
            file = weakref.ref(getattr(body, "file", None) or body.filelike)  # type: ignore[attr-defined]
            wrapped.clear()
            del body
            freed = file() is None
        gc.collect()
        assert (freed, lines.one[STATUS]) == (True, 200)


class TestRaising:
    """An application that raises."""

    def test_before_the_response_has_started(self, lines: Lines) -> None:
        """The server sees the very exception, and answers 500."""
        error = LookupError("lost")

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            raise error

        with pytest.raises(LookupError) as raised:
            send(app)
        assert (error, 500, "error", False) == (
            raised.value,
            *told(lines.one, STATUS, "level", "exception.handled"),
        )

    def test_after_the_response_has_started(self, lines: Lines) -> None:
        """Nothing was sent when it raised, so that the server still answers 500, and the line says so."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [*TEXT])
            raise LookupError("lost")

        with pytest.raises(LookupError):
            send(app)
        assert told(lines.one, STATUS, "level", "outcome") == [500, "error", "failure"]

    def test_after_a_part_was_written(self, lines: Lines) -> None:
        """What the client saw stays: the status was out."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [*TEXT])(b"written")
            raise LookupError("lost")

        with pytest.raises(LookupError):
            send(app)
        assert told(lines.one, STATUS, "level", SIZE) == [200, "error", 7]

    def test_an_interrupt(self, lines: Lines) -> None:
        """A worker that is told to stop was not at fault."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            send(app)
        assert told(lines.one, "level", "outcome") == ["info", "cancelled"]

    def test_the_event_is_not_in_progress_afterwards(self, lines: Lines) -> None:
        """The worker's context is as it was before."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            raise LookupError

        with pytest.raises(LookupError):
            send(app)
        assert current() is None


class TestNested:
    """One application in another, both with a door."""

    def test_the_inner_one_adds_to_the_outer_event(self, lines: Lines) -> None:
        """There is one line, and one request id."""

        def app(environ: Any, start_response: Any) -> list[bytes]:
            add_field("inner", 1)
            start_response("202 Accepted", [*TEXT])
            return [b"x"]

        desk = Desk(WideEvents(WideEvents(app, quiet=["/plain"])))
        desk.send()
        ids = [value for name, value in desk.started[0][1] if name == "X-Request-ID"]
        assert ([lines.one["http.request.id"]], [202, 1]) == (ids, told(lines.one, STATUS, "inner"))

    def test_an_environ_that_is_used_again_is_another_request(self, lines: Lines) -> None:
        """A middleware in front may try twice with one environ: the second try is followed like the first."""
        app, head = answering([b"x"]), environ(Ask("GET", "/plain"))
        for _ in range(2):
            Desk(app, head=head).send()
        assert [line[STATUS] for line in lines.all] == [200, 200]


class TestEnviron:
    """What servers hand over."""

    def test_an_empty_one_is_enough(self, lines: Lines) -> None:
        """No key is needed: what is not there is left out."""
        assert Desk(answering([b"x"]), head={}).send() == b"x"
        absent = ["server.address", "client.address", "url.scheme", "url.query", "user_agent.original"]
        assert [200, *[None] * 5] == told(lines.one, STATUS, *absent)

    @pytest.mark.parametrize(
        ("head", "path"),
        [
            ({"PATH_INFO": "/caf\xc3\xa9"}, "/café"),
            ({"PATH_INFO": "/caf\xe9"}, "/caf\N{REPLACEMENT CHARACTER}"),
            ({"PATH_INFO": "/\u20ac"}, "/?"),
            ({"PATH_INFO": "/\ud800"}, "/?"),
            ({"PATH_INFO": "/b", "SCRIPT_NAME": "/a"}, "/a/b"),
            ({"PATH_INFO": "", "SCRIPT_NAME": "/a"}, "/a"),
            ({"PATH_INFO": ""}, ""),
        ],
    )
    def test_the_path_is_the_whole_one_and_text(self, lines: Lines, head: dict[str, str], path: str) -> None:
        """The path begins at the server's root; Latin-1 is undone, and what is no UTF-8 is replaced."""
        send(answering([b"x"]), **head)
        assert path == lines.one["url.path"]

    @pytest.mark.parametrize("method", ["BREW", "get", "", "\u20ac"])
    def test_an_unknown_method_makes_no_group_of_its_own(self, lines: Lines, method: str) -> None:
        """The method is `_OTHER`, as OpenTelemetry wants it; what stood there is kept beside."""
        send(answering([b"x"]), REQUEST_METHOD=method)
        names = ("http.request.method", "event.name", "http.request.method_original")
        assert ["_OTHER", "_OTHER", method] == told(lines.one, *names)

    @pytest.mark.parametrize(
        ("host", "address"),
        [("shop.example", "shop.example"), ("shop.example:80", "shop.example"), ("[::1]:80", "::1"), ("[::1]", "::1")],
    )
    def test_the_host_has_no_port(self, lines: Lines, host: str, address: str) -> None:
        """The address is a name or a number, also of IPv6."""
        send(answering([b"x"]), HTTP_HOST=host)
        assert address == lines.one["server.address"]

    @pytest.mark.parametrize("length", ["", "-1", "abc", "\xb2", "1.5", " 1"])
    def test_a_length_that_is_none_is_left_out(self, lines: Lines, length: str) -> None:
        """What a client declares may be anything."""
        send(answering([b"x"]), CONTENT_LENGTH=length)
        assert "http.request.body.size" not in lines.one


class TestAnswer:
    """What the application answers with, however odd, goes out as it is."""

    @pytest.mark.parametrize(
        ("status", "code"),
        [("200 OK", 200), ("200", 200), ("299 Our Own", 299), ("2xx OK", None), ("", None), ("\xb200 OK", None)],
    )
    def test_an_odd_status_line(self, lines: Lines, status: str, code: int | None) -> None:
        """The server gets to see it; the line has the number, if it is one."""
        desk = Desk(answering([b"x"], status))
        assert desk.send() == b"x"
        assert (status, code) == (desk.started[0][0], lines.one.get(STATUS))

    @pytest.mark.parametrize(
        ("code", "level"), [(399, "info"), (400, "info"), (499, "info"), (500, "error"), (599, "error")]
    )
    def test_the_5xx_are_errors(self, lines: Lines, code: int, level: str) -> None:
        """What the server side could not do pages somebody; what the client did wrong does not."""
        send(answering([b"x"], f"{code} Something"))
        error_type = str(code) if level == "error" else None
        assert told(lines.one, STATUS, "level", "error.type", "exception.type") == [code, level, error_type, None]

    @pytest.mark.parametrize("length", ["", "-1", "five", "\xb2", "5.0", "9" * 5_000])
    def test_an_odd_length(self, lines: Lines, length: str) -> None:
        """A Content-Length that is no number is the server's to refuse."""
        desk = Desk(answering([b"x"], headers=[*TEXT, ("Content-Length", length)]))
        assert desk.send() == b"x"
        assert (("Content-Length", length), 1) == (desk.started[0][1][1], lines.one[SIZE])

    def test_the_applications_own_headers_are_not_touched(self, lines: Lines) -> None:
        """The list of the application stays as it is; ours comes at the end of another one."""
        headers = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        desk = Desk(answering([b"x"], headers=headers))
        desk.send()
        sent = desk.started[0][1]
        assert (headers, 3, ["X-Request-ID"]) == (sent[:3], len(headers), [name for name, _ in sent[3:]])

    @pytest.mark.parametrize(("own", "adopted"), [("own-7", True), ("not one", False), ("x" * 129, False)])
    def test_an_own_request_id_goes_out_as_it_is(self, lines: Lines, own: str, adopted: bool) -> None:
        """There is one such header, the application's; the line takes it over if it is a valid one."""
        desk = Desk(answering([b"x"], headers=[*TEXT, ("x-request-id", own)]))
        desk.send()
        ids = [value for name, value in desk.started[0][1] if name.lower() == "x-request-id"]
        assert ([own], adopted) == (ids, lines.one["http.request.id"] == own)


class TestContext:
    """The event is in progress in the application's code, and nowhere else."""

    def test_it_is_in_progress_in_every_part(self, lines: Lines) -> None:
        """The handler, and the generator between its parts, see it; the server, and its next request, do not."""
        seen: list[Any] = []

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [*TEXT])
            seen.append(current())
            return parts()

        def parts() -> Iterator[bytes]:
            seen.append(current())
            yield b"x"
            seen.append(current())

        desk = Desk(WideEvents(app))
        outside = [current(), *(current() for _ in desk.body)]
        desk.body.close()  # type: ignore[attr-defined]
        assert (len(seen), len({each.id for each in seen})) == (3, 1)
        assert [*outside, current()] == [None, None, None]

    def test_a_body_that_is_read_on_another_thread(self, lines: Lines) -> None:
        """Bridges to other servers call the application here and read its body there."""

        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [*TEXT])
            for number in range(3):
                add_field(f"part.{number}", number)
                yield b"x"

        desk = Desk(WideEvents(app))
        with ThreadPoolExecutor(1) as there:
            assert there.submit(copy_context().run, desk.send).result() == b"xxx"
        assert told(lines.one, "part.0", "part.1", "part.2", "outcome") == [0, 1, 2, "success"]

    def test_bodies_that_are_read_in_turn_do_not_mix(self, lines: Lines) -> None:
        """A server may serve other requests between two parts of a body, on the same thread."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            start_response("200 OK", [*TEXT])
            for number in range(3):
                add_field(f"{environ['PATH_INFO'][1:]}.{number}", 1)
                yield b"x"

        desks = [Desk(app, head={**environ(Ask("GET", path))}) for path in ("/left", "/right")]
        for _ in range(4):
            for desk in desks:
                next(iter(desk.body), None)
        fields = [{name for name in line if name[:4] in {"left", "righ"}} for line in lines.all]
        assert [{f"{side}.{number}" for number in range(3)} for side in ("left", "right")] == fields

    def test_an_event_around_the_server_goes_on(self, lines: Lines) -> None:
        """A test or a script that asks its own application is still in its own event afterwards."""
        with wideevents.event("script") as outer:
            send(answering([b"x"]))
            assert current() is outer
        assert [line["event.name"] for line in lines.all] == ["GET", "script"]


class Environ(dict[str, Any]):
    """A dictionary that one can refer to weakly."""


class NotedError(Exception):
    """An exception that one can refer to weakly."""


class TestMemory:
    """After its end a request holds nothing."""

    def test_environ_and_body_are_freed_at_once(self, lines: Lines) -> None:
        """No collector is needed for the environ, nor for the body, of a request that went well."""

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [*TEXT])
            return environ["body"]

        with nothing_collected():
            head, body = Environ(environ(Ask("GET", "/plain"))), Body(b"x")
            head["body"] = body
            held = weakref.ref(head), weakref.ref(body)
            Desk(app, head=head).send()
            del head, body
            assert [each() for each in held] == [None, None]

    def test_an_exception_is_not_kept(self, lines: Lines) -> None:
        """Neither the exception, whose frames hold half the application, nor the environ outlives a failure."""
        held: list[weakref.ref[Any]] = []

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            error = NotedError("failed")
            held.append(weakref.ref(error))
            try:
                raise error
            finally:
                del error  # a frame that holds its own exception is a circle of the application's

        with nothing_collected():
            head = Environ(environ(Ask("GET", "/plain")))
            held.append(weakref.ref(head))
            with suppress(NotedError):
                app(head, lambda status, headers: None)
            del head
            assert [each() for each in held] == [None, None]

    def test_an_event_that_is_kept_keeps_nothing(self, lines: Lines) -> None:
        """What a thread still holds of a request that has ended is an empty shell."""
        kept: list[Any] = []
        held: list[weakref.ref[Any]] = []

        @WideEvents
        def app(environ: Any, start_response: Any) -> Any:
            kept.append(current())
            error = NotedError("handled")
            held.append(weakref.ref(error))
            wideevents.add_error(error)
            start_response("200 OK", [*TEXT])
            return [b"x"]

        with nothing_collected():
            send(app)
            assert ([each() for each in held], kept[0].sealed) == ([None], True)

    def test_thousands_of_requests_leave_nothing(self, lines: Lines) -> None:
        """No registry, cache or list grows with the number of requests."""
        app, file = answering([b"x"]), TestFileWrapper.app
        head = TestFileWrapper.head(FileWrapper)

        def serve(number: int) -> int:
            for _ in range(number):
                Desk(app).send()
                Desk(file([]), head=dict(head)).send()
            lines.raw.clear()
            gc.collect()
            return len(gc.get_objects())

        serve(100)
        before = serve(100)
        assert serve(2_000) - before < 200


class TestSourceOfTruth:
    """The door is one for all servers: nothing in it is for one of them."""

    def test_no_server_is_named(self) -> None:
        """A server that is not under test here finds the same door."""
        source = Path(sys.modules[WideEvents.__module__].__file__ or "").read_text()
        assert [name for name in ("gunicorn", "waitress", "uwsgi", "mod_wsgi") if name in source.lower()] == []


class Closeless:
    """Be a body that knows its parts, and has nothing to close."""

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"one", b"two"])


class TestClose:
    def test_a_body_without_a_close_may_be_left(self, lines: Lines) -> None:
        """The server closes what it was given before it has asked for any of it: the client has left."""
        body = answering(Closeless())(environ(Ask("GET", "/plain", id="given")), lambda *_: lambda _: None)
        body.close()  # type: ignore[attr-defined]

        assert told(lines.one, "outcome", "client.disconnected") == ["cancelled", True]
