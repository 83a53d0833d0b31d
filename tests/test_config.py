"""What the config room promises."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pty
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from types import CodeType
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, use_span

import wideevents
from tests.conftest import at_once
from tests.integrations.servers import eventually
from tests.strict import parse_line
from wideevents import Level, Limits, Redaction, config, context, health, testing
from wideevents.errors import ConfigurationError
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.logs.stdlib import Handler
from wideevents.recorder import Recorder
from wideevents.redaction import MARKER
from wideevents.sinks.lines import LinesSink
from wideevents.sinks.memory import MemorySink

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"
OUTPUTS = '"auto", "json", "console", a path, a sink with write(entry) and close(), or several of them'

pytestmark = pytest.mark.usefixtures("reconfigurable")


class NoClose:
    def write(self, event: Event) -> None: ...


def refused(**settings: Any) -> str:
    """Return the sentence with which *settings* are refused; what was configured must stay."""
    before = config.recorder()
    with pytest.raises(ConfigurationError) as error:
        wideevents.configure(**settings)
    assert before is config.recorder()
    return str(error.value)


def event_with(at: Level | None = None, /, **settings: Any) -> list[dict[str, Any]]:
    """Configure the process, let one event of the level *at* happen, and return what was written."""
    sink = MemorySink()
    wideevents.configure(output=sink, **settings)
    with wideevents.event("job") as event:
        wideevents.add_field("user.id", 42)
        if at is not None:
            event.level = at
    return [parse_line(line) for line in sink.lines]


def run(code: str, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run *code* in a Python of its own, which knows of the environment only what is given."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env={"PYTHONPATH": os.getcwd(), "PATH": os.environ["PATH"], **(environment or {})},
        capture_output=True,
        timeout=60,
        check=False,
    )


def on_terminal(code: str) -> bytes:
    """Run *code* in a Python of its own, on a terminal, and return what it shows."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=slave,
        stderr=slave,
        env={"PYTHONPATH": os.getcwd(), "PATH": os.environ["PATH"], "TERM": "xterm"},
    ) as process:
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the terminal is closed
            while chunk := os.read(master, 65_536):
                shown += chunk
    os.close(master)
    assert process.returncode == 0, shown
    return shown


class TestWhatRuns:
    def test_the_four_texts_are_in_every_line(self) -> None:
        """What runs, which release of it, where, and whose it is."""
        (line,) = event_with(service="shop", version="1.4", environment="production", owner="payments")
        names = ("service.name", "service.version", "deployment.environment.name", "owner.team")

        assert [line[name] for name in names] == ["shop", "1.4", "production", "payments"]

    def test_what_is_not_given_is_left_out(self) -> None:
        """Absent means left out, not null; only the name has a default."""
        (line,) = event_with()

        assert line["service.name"] == "unknown_service"
        assert not {"service.version", "deployment.environment.name", "owner.team"} & line.keys()

    @pytest.mark.parametrize("setting", ["service", "version", "environment", "owner"])
    @pytest.mark.parametrize("value", ["", "  \n", 7, 1.4, b"shop", ["shop"], True], ids=repr)
    def test_what_is_no_text_is_refused(self, setting: str, value: object) -> None:
        """The sentence names the setting, the value and what is allowed."""
        expected = f"{setting}={value!r} cannot be used: it must be text that is not empty."

        assert expected == refused(**{setting: value})

    def test_settings_are_named(self) -> None:
        """A call that lists values would break as soon as a setting is added."""
        with pytest.raises(TypeError):
            wideevents.configure("shop")  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="servce"):
            wideevents.configure(servce="shop")  # type: ignore[call-arg]


class TestLevel:
    @pytest.mark.parametrize("level", ["debug", "INFO", Level.WARNING, 40, "error"])
    def test_events_below_it_are_dropped(self, level: Any) -> None:
        """It may be a name in any case, a Level, or a number of the logging module."""
        written = [each for each in Level if event_with(each, level=level)]

        assert [each for each in Level if each >= Level.parse(level)] == written

    def test_info_is_the_default(self) -> None:
        """Debug is for staging, or when asked for."""
        assert [len(event_with(each)) for each in (Level.DEBUG, Level.INFO)] == [0, 1]

    @pytest.mark.parametrize("level", ["loud", "", True, 1.5, [], object], ids=repr)
    def test_what_is_no_level_is_refused(self, level: object) -> None:
        """The sentence names the setting, the value and what is allowed."""
        expected = f"level={level!r} cannot be used: it must be debug, info, warning, error, or a number of the logging"

        assert refused(level=level).startswith(expected)


class TestThreads:
    @staticmethod
    def seen_in_a_thread(**settings: Any) -> list[Event | None]:
        seen: list[Event | None] = []
        wideevents.configure(output=MemorySink(), **settings)
        with wideevents.event("job") as event, ThreadPoolExecutor(1) as pool:
            thread = Thread(target=lambda: seen.append(wideevents.current()))
            thread.start()
            thread.join()
            seen.append(pool.submit(wideevents.current).result())
        assert event.sealed
        return seen

    def test_threads_and_pools_write_into_the_event_that_started_them(self) -> None:
        """It is what people expect, so it is the default."""
        assert all(isinstance(event, Event) for event in self.seen_in_a_thread())

    def test_it_can_be_switched_off(self) -> None:
        """Then threading is as Python has it: what was wrapped before is unwrapped."""
        self.seen_in_a_thread(threads=True)

        assert self.seen_in_a_thread(threads=False) == [None, None]
        assert threading.__file__ == Thread.start.__code__.co_filename

    @pytest.mark.parametrize("threads", ["off", None, 2], ids=repr)
    def test_what_is_neither_on_nor_off_is_refused(self, threads: object) -> None:
        """The text "off" is true in Python; to take it for on would be a surprise that nobody notices."""
        assert refused(threads=threads).startswith(f"threads={threads!r} cannot be used: it must be ")


class TestOpenTelemetry:
    def test_events_take_their_ids_from_the_current_span(self) -> None:
        """If that is asked for; without it nobody looks."""
        span = NonRecordingSpan(SpanContext(0xA7, 0xB7, is_remote=False))
        with use_span(span):
            traces = [event_with(**settings)[0]["trace.id"] for settings in ({}, {"opentelemetry": True})]

        assert [trace == f"{0xA7:032x}" for trace in traces] == [False, True]

    @pytest.mark.parametrize(("opentelemetry", "shown"), [(False, False), (True, False), ("mirror", True)])
    def test_their_fields_are_shown_on_the_span_if_that_is_asked_for(self, opentelemetry: Any, shown: bool) -> None:
        """It costs more than the ids do."""
        with TracerProvider(shutdown_on_exit=False).get_tracer("tests").start_as_current_span("outer") as span:
            event_with(opentelemetry=opentelemetry)

        assert isinstance(span, ReadableSpan)
        assert ("user.id" in (span.attributes or {})) is shown

    def test_a_test_sees_them_too(self) -> None:
        """What is captured is as it would have been written."""
        wideevents.configure(opentelemetry=True, output=MemorySink(), logging=False)
        span = NonRecordingSpan(SpanContext(0xA7, 0xB7, is_remote=False))
        with testing.capture() as events, use_span(span), wideevents.event("job"):
            pass

        assert events.one()["trace.id"] == f"{0xA7:032x}"

    @pytest.mark.parametrize("opentelemetry", [None, 1, "", "Mirror", "yes", b"mirror", ["mirror"]], ids=repr)
    def test_what_is_no_such_setting_is_refused(self, opentelemetry: object) -> None:
        """The sentence names the setting, the value and what is allowed."""
        expected = f'opentelemetry={opentelemetry!r} cannot be used: it must be True, False, or "mirror".'

        assert expected == refused(opentelemetry=opentelemetry)

    def test_nothing_of_it_is_imported_unless_it_is_asked_for(self) -> None:
        """Its import takes a tenth of a second."""
        done = run("""
            import sys, wideevents.context
            wideevents.configure(output="json")
            with wideevents.event("job"):
                wideevents.context.outgoing()
            sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
        """)

        assert done.returncode == 0, done.stderr


class TestRedactAndLimits:
    def test_they_are_used(self) -> None:
        """What is hidden, and how long a line may be."""
        sink = MemorySink()
        redaction, limits = Redaction(keys=("nickname",)), Limits(max_value_length=64)
        wideevents.configure(output=sink, redact=redaction, limits=limits)
        with wideevents.event("job"):
            wideevents.add_fields({"user.nickname": "Bo", "long": "x" * 5_000})

        assert (sink.events[0]["user.nickname"], len(sink.events[0]["long"])) == (MARKER, 64)

    @pytest.mark.parametrize("setting", ["redact", "limits"])
    @pytest.mark.parametrize("value", [True, "strict", {}, Redaction, 16_000], ids=repr)
    def test_anything_else_is_refused(self, setting: str, value: object) -> None:
        """The sentence names the setting, the value and the class."""
        kind = {"redact": "Redaction", "limits": "Limits"}[setting]

        assert f"{setting}={value!r} cannot be used: it must be a wideevents.{kind}." == refused(**{setting: value})


class TestStages:
    def test_they_run_on_every_event_that_passed_the_gate(self) -> None:
        """In their order, with the fields of the service at hand; what is below the level they never see."""
        seen: list[str] = []

        def first(event: Event) -> Event:
            seen.append(f"first {event.static['service.name']}")
            return event

        def second(event: Event) -> Event:
            seen.append(f"second {event.record['user.id']}")
            return event

        event_with(service="shop", stages=[first, second])
        event_with(Level.DEBUG, service="shop", stages=(first, second))
        assert seen == ["first shop", "second 42"]

    def test_a_secret_that_a_stage_adds_is_redacted(self) -> None:
        """They run before the redaction, so that no stage can tell what must not leave the process."""

        def add(event: Event) -> Event:
            event.record.update({"note": f"token {JWT}", "list": [JWT]})
            return event

        (line,) = event_with(stages=[add])
        assert (f"token {MARKER}", [MARKER]) == (line["note"], line["list"])

    def test_what_redacts_and_what_encodes_cannot_be_left_out(self) -> None:
        """If one of them ever fails, the line is lost rather than written with what it may hold."""
        wideevents.configure(output=MemorySink(), stages=[lambda event: event])
        stages = config.recorder().pipeline.stages

        assert [type(stage).__name__ for stage in stages if getattr(stage, "essential", False)] == ["Redact", "Encode"]

    def test_a_stage_drops_an_event_by_none(self) -> None:
        """It is how sampling is done."""
        assert event_with(stages=[lambda _: None]) == []

    def test_a_single_function_will_do(self) -> None:
        """One stage needs no list around it."""
        assert event_with(stages=lambda _: None) == []

    @pytest.mark.parametrize(
        ("stages", "wrong"), [("redact", "'r'"), ([len, 7], "7"), (None, "None"), (7, "7"), ([None], "None")]
    )
    def test_what_cannot_be_called_is_refused(self, stages: object, wrong: str) -> None:
        """The sentence shows the one that is wrong."""
        allowed = "functions that take an event and return it, or None to drop it"

        assert f"stages={wrong} cannot be used: it must be {allowed}." == refused(stages=stages)


class TestOutput:
    @pytest.mark.parametrize("as_path", [str, Path])
    def test_a_path_is_a_file_to_append_to(self, tmp_path: Path, as_path: type) -> None:
        """A text or a path object."""
        file = tmp_path / "events.jsonl"
        for _ in range(2):
            wideevents.configure(output=as_path(file))
            with wideevents.event("job"):
                pass

        assert [parse_line(line)["event.name"] for line in file.read_bytes().splitlines(keepends=True)] == [
            "job",
            "job",
        ]

    def test_several_outputs_get_the_same_line(self, tmp_path: Path) -> None:
        """A file and a sink of one's own, in whatever holds them."""
        file, sink = tmp_path / "events.jsonl", MemorySink()
        several: list[Any] = [[file, sink], (str(file), sink), iter([file, sink]), {file, sink}]
        for outputs in several:
            wideevents.configure(output=outputs)
            with wideevents.event("job"):
                pass

        assert len(sink.lines) == 4
        assert sink.lines == file.read_bytes().splitlines(keepends=True)

    @pytest.mark.parametrize("name", ["auto", "json"])
    def test_standard_output_is_a_name(self, name: str) -> None:
        """Both are lines of JSON on standard output."""
        wideevents.configure(output=name)
        (sink,) = config.recorder().pipeline.sinks

        assert isinstance(sink, LinesSink)

    @pytest.mark.parametrize(
        "output", ["", 7, 1.5, {}, {"a": 1}, [], (), object(), True, NoClose()], ids=lambda value: type(value).__name__
    )
    def test_what_is_no_output_is_refused(self, output: object) -> None:
        """The sentence names the setting, the value and what is allowed."""
        assert f"output={output!r} cannot be used: it must be {OUTPUTS}." == refused(output=output)

    def test_one_that_is_wrong_among_several_is_refused(self) -> None:
        """The sentence shows that one."""
        assert refused(output=[MemorySink(), 7]).startswith("output=7 cannot be used")

    @pytest.mark.parametrize("mode", ["a", "r+", "ab", "ab+"])
    def test_an_open_file_is_refused(self, tmp_path: Path, mode: str) -> None:
        """It has write() and close(), and takes no events; the sentence says to give the path."""
        (tmp_path / "events.jsonl").touch()
        with (tmp_path / "events.jsonl").open(mode) as file:
            assert "of an open file give the path" in refused(output=file)

    def test_an_open_file_among_several_is_refused(self, tmp_path: Path) -> None:
        """The sentence is about that one."""
        with (tmp_path / "events.jsonl").open("a") as file:
            assert "of an open file give the path" in refused(output=[MemorySink(), file])

    def test_standard_output_as_an_object_is_refused(self) -> None:
        """`output=sys.stdout` is the first thing that people try."""
        with open(os.dup(1), "w", encoding="utf-8") as stdout:
            assert "of an open file give the path" in refused(output=stdout)
        assert "of an open file give the path" in refused(output=io.StringIO())

    def test_the_console_is_no_file(
        self, reconfigurable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It shows on standard output, for people, what happened."""
        monkeypatch.chdir(tmp_path)
        wideevents.configure(output="console", logging=False)
        with wideevents.event("job"):
            wideevents.add_field("user.id", 42)

        assert list(tmp_path.iterdir()) == []
        assert "job" in (shown := capsys.readouterr().out)
        assert not shown.startswith("{")

    def test_a_console_without_its_packages_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence names the extra that brings them."""
        monkeypatch.setitem(sys.modules, "wideevents.sinks.console", None)
        with pytest.raises(ConfigurationError):
            wideevents.configure(output="console", logging=False)

    def test_a_console_that_nobody_asked_for_is_done_without(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A terminal gets lines of JSON then, and is told why."""
        monkeypatch.setitem(sys.modules, "wideevents.sinks.console", None)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        wideevents.configure(output="auto", logging=False)

        assert [LinesSink] == [type(sink) for sink in config.recorder().pipeline.sinks]
        assert "Until then lines on the terminal are JSON." in caplog.text

    @pytest.mark.parametrize("packages", ["there", "missing"])
    def test_a_terminal_shows_the_console_if_it_can(self, packages: str) -> None:
        """Where the packages of the console are missing, lines are JSON there, too, and why is told."""
        code = "import sys\n"
        code += "sys.modules['rich'] = None\n" if packages == "missing" else ""
        shown = on_terminal(code + "import wideevents\nwith wideevents.event('job'): pass")

        assert (b'{"timestamp"' in shown) == (packages == "missing")
        assert (b"wideevents[console]" in shown) == (packages == "missing")

    def test_a_named_pipe_that_nobody_reads_is_refused(self, tmp_path: Path) -> None:
        """It would make the start of the service wait for ever."""
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ConfigurationError, match="a file that this process may write"):
            wideevents.configure(output=tmp_path / "pipe")

    def test_a_sink_that_can_be_iterated_is_one_sink(self) -> None:
        """What has write() and close() is a sink, whatever else it can do."""

        class Iterable(MemorySink):
            def __iter__(self) -> Iterator[bytes]:
                return iter(self.lines)

        sink = Iterable()
        wideevents.configure(output=sink)
        with wideevents.event("job"):
            pass

        assert len(sink.lines) == 1

    @pytest.mark.parametrize("name", ["folder", "missing/events.jsonl", "events\0.jsonl"], ids=repr)
    def test_a_path_that_cannot_be_written_is_refused(self, tmp_path: Path, name: str) -> None:
        """At configure time, and not at the first request; the sentence says why."""
        (tmp_path / "folder").mkdir()
        path = str(tmp_path / name)

        assert refused(output=path).startswith(f"output={path!r} cannot be used: it must be a file that this process")

    def test_bytes_are_refused_as_what_was_given(self) -> None:
        """A path of bytes is not read as a list of numbers."""
        assert refused(output=b"events.jsonl").startswith("output=b'events.jsonl' cannot be used")


class TestEnvironment:
    @pytest.fixture
    def environ(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
        """Set every variable that is read, and give the settings that go before it."""
        monkeypatch.setenv("WIDEEVENTS_OUTPUT", str(tmp_path / "environment.jsonl"))
        monkeypatch.setenv("LOG_LEVEL", "warning")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "from-environment")
        monkeypatch.setenv(
            "OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute,service.version=2.0,deployment.environment.name=staging"
        )
        return {"output": tmp_path / "code.jsonl", "level": "info", "service": "from-code", "version": "1.0"}

    @staticmethod
    def events(path: Path) -> list[dict[str, Any]]:
        """Let an event of info and one of error happen, and return what stands in the file at *path*."""
        for level in (Level.INFO, Level.ERROR):
            with wideevents.event(level.label) as event:
                event.raise_level(level)
        return [parse_line(line) for line in path.read_bytes().splitlines(keepends=True)] if path.exists() else []

    def test_it_goes_before_the_default(self, environ: dict[str, Any], tmp_path: Path) -> None:
        """A deployment configures what the code does not."""
        wideevents.configure()
        (line,) = self.events(tmp_path / "environment.jsonl")
        names = ("event.name", "service.name", "service.version", "deployment.environment.name")

        assert [line[name] for name in names] == ["error", "from-environment", "2.0", "staging"]

    def test_code_goes_before_it(self, environ: dict[str, Any], tmp_path: Path) -> None:
        """What the code says was meant; what it does not say is still read."""
        wideevents.configure(**environ)
        info, _ = self.events(tmp_path / "code.jsonl")
        names = ("event.name", "service.name", "service.version", "deployment.environment.name")

        assert [info[name] for name in names] == ["info", "from-code", "1.0", "staging"]
        assert not (tmp_path / "environment.jsonl").exists()

    def test_an_empty_variable_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`LOG_LEVEL= serve` has set nothing."""
        for name in ("LOG_LEVEL", "WIDEEVENTS_OUTPUT", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
            monkeypatch.setenv(name, "")

        assert [len(event_with(level)) for level in (Level.DEBUG, Level.INFO)] == [0, 1]
        wideevents.configure()

    def test_a_level_that_is_none_is_refused_by_its_own_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who reads the sentence finds the variable, and not an argument that nobody gave."""
        monkeypatch.setenv("LOG_LEVEL", "loud")

        assert refused().startswith("LOG_LEVEL='loud' cannot be used: it must be debug, info, warning, error, or a")

    def test_a_number_of_the_logging_module_is_a_level(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The sentence allows one, and a variable can only hold its digits."""
        monkeypatch.setenv("LOG_LEVEL", "30")

        assert [len(event_with(level)) for level in (Level.INFO, Level.WARNING)] == [0, 1]

    @pytest.mark.parametrize("name", ["warn", "WARN", "critical", "Fatal"])
    def test_the_names_of_the_logging_module_are_levels(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """LOG_LEVEL is shared with other libraries, which all take WARN."""
        monkeypatch.setenv("LOG_LEVEL", name)

        assert [len(event_with(level)) for level in (Level.INFO, Level.ERROR)] == [0, 1]

    def test_a_path_that_cannot_be_written_is_refused(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """At configure time, like one that was given in code."""
        monkeypatch.setenv("WIDEEVENTS_OUTPUT", str(tmp_path / "missing" / "events.jsonl"))

        assert "No such file or directory" in refused()


class TestAgain:
    def test_events_in_progress_end_as_they_began(self) -> None:
        """A new configuration is for new events: one that began before it is written where it began."""
        before, after = MemorySink(), MemorySink()
        wideevents.configure(service="before", output=before)
        with wideevents.event("first"):
            wideevents.configure(service="after", output=after)
            wideevents.add_field("late", 1)
            with wideevents.event("second"):
                pass

        assert [(e["event.name"], e["service.name"], e["late"]) for e in before.events] == [("first", "before", 1)]
        assert [(e["event.name"], e["service.name"]) for e in after.events] == [("second", "after")]

    def test_a_decorator_uses_what_is_configured_when_it_runs(self) -> None:
        """Modules are imported before the process is configured."""

        @wideevents.event("job")
        def job() -> None: ...

        sink = MemorySink()
        wideevents.configure(output=sink)
        job()

        assert [event["event.name"] for event in sink.events] == ["job"]

    def test_what_is_refused_changes_nothing(self, tmp_path: Path) -> None:
        """A process goes on as it was configured last, and nothing is left half done."""
        sink = MemorySink()
        wideevents.configure(output=sink, threads=True)
        refused(threads=False, output=[tmp_path / "new.jsonl", 7])
        with wideevents.event("job"):
            thread = Thread(target=lambda: wideevents.add_field("in.thread", "yes"))
            thread.start()
            thread.join()

        assert sink.events[0]["in.thread"] == "yes"


def running(thread: Thread) -> list[CodeType]:
    """Return the code that *thread* is in, the innermost first."""
    frame = sys._current_frames().get(thread.ident or 0)
    codes = []
    while frame is not None:
        codes.append(frame.f_code)
        frame = frame.f_back
    return codes


class TestWithoutConfiguration:
    def test_the_defaults_serve(self) -> None:
        """One line of JSON on standard output, and nothing on standard error."""
        done = run("import wideevents\nwith wideevents.event('job'): wideevents.add_field('user.id', 42)")
        fields = parse_line(done.stdout)

        assert (done.returncode, done.stderr) == (0, b"")
        assert (fields["event.name"], fields["user.id"], fields["service.name"]) == ("job", 42, "unknown_service")

    def test_they_are_made_once_also_by_threads(self) -> None:
        """Whoever needs them first makes them; all get the same."""
        config.use(None, None)  # type: ignore[arg-type]
        made = at_once(*[config.recorder] * 8)

        assert made.count(config.recorder()) == len(made)

    def test_who_waited_for_them_takes_those_that_were_made_meanwhile(self, reconfigurable: None) -> None:
        """One that comes while another makes them must not make its own: events would go two ways."""
        config.use(None, None)  # type: ignore[arg-type]
        asked: list[Recorder] = []
        with config._process.building:
            thread = Thread(target=lambda: asked.append(config.recorder()))
            thread.start()
            eventually(lambda: config._default.__code__ in running(thread), "the thread to wait for its turn")
            wideevents.configure(output=MemorySink(), logging=False)
            made = config.recorder()
        thread.join()

        assert [*asked, config.recorder()] == [made, made]

    def test_a_wrong_environment_is_counted_and_told(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The defaults serve instead, without what is wrong."""
        monkeypatch.setenv("LOG_LEVEL", "verbose")
        config.use(None, None)  # type: ignore[arg-type]
        with wideevents.event("job"):
            pass

        assert health.faults.counts() == {Fault.SETTING: 1}
        assert any("LOG_LEVEL='verbose' cannot be used" in record.getMessage() for record in caplog.records)

    def test_a_wrong_level_in_the_environment_does_not_break_the_work(self) -> None:
        """Nobody has called configure(): telemetry never breaks the work it watches. It is told on the logger."""
        done = run(
            "import wideevents\nwith wideevents.event('job'): print('the work')", environment={"LOG_LEVEL": "verbose"}
        )

        assert (done.returncode, b"the work" in done.stdout.splitlines()) == (0, True)
        assert b"LOG_LEVEL='verbose' cannot be used" in done.stderr

    @pytest.mark.parametrize("closed", [1, 2])
    def test_a_daemon_without_standard_streams_goes_on(self, closed: int) -> None:
        """It may have closed them long before anybody configures anything."""
        other = 3 - closed
        code = (
            f"import os, wideevents\nos.close({closed})\nwith wideevents.event('job'): os.write({other}, b'the work')"
        )
        done = run(code)

        assert done.returncode == 0
        assert b"the work" in done.stdout + done.stderr

    def test_without_a_standard_output_lines_go_nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is the last thing that is tried, and is never refused."""
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", lambda _: os.close(9_999))
            closed = config._whatever_is_open()

        assert (closed, config._whatever_is_open()) == (os.devnull, "json")

    def test_a_closed_standard_output_is_refused_where_somebody_asks_for_it(self) -> None:
        """A sentence, and not a number."""
        done = run("import os, wideevents\nos.close(1)\nwideevents.configure(output='json')")

        assert b"ConfigurationError: Lines cannot be written to the descriptor 1" in done.stderr


class TestLogging:
    def test_it_is_set_up_by_default_and_once(self, reconfigurable: None) -> None:
        """The last configure() counts; one handler of ours stands first."""
        before = list(logging.getLogger().handlers)
        for _ in range(2):
            wideevents.configure(output=MemorySink())
        first, *others = logging.getLogger().handlers

        assert isinstance(first, Handler)
        assert others == before

    def test_it_can_be_left_alone(self, reconfigurable: None) -> None:
        """Also after it was set up."""
        before = list(logging.getLogger().handlers)
        wideevents.configure(output=MemorySink())
        wideevents.configure(output=MemorySink(), logging=False)

        assert before == logging.getLogger().handlers

    def test_it_is_left_alone_by_defaults_that_nobody_asked_for(self) -> None:
        """A library that makes an event of its own does not own the process."""
        code = """
            import logging, sys, wideevents
            hook = sys.excepthook
            with wideevents.event("job"):
                pass
            assert logging.getLogger().handlers == [] and sys.excepthook is hook
        """
        assert run(code).returncode == 0

    def test_its_level_is_that_of_events(self, reconfigurable: None) -> None:
        """One promise, one setting."""
        wideevents.configure(output=MemorySink(), level="error")

        assert logging.getLogger().level == logging.ERROR

    @pytest.mark.parametrize("setting", ["debug_lines", "raising_loggers"])
    @pytest.mark.parametrize("names", ["shop", 7, [7], {"shop": 1}])
    def test_names_of_loggers_are_several(self, setting: str, names: Any) -> None:
        """A single name would be read as one logger for each letter."""
        assert f"{setting}={names!r} cannot be used: it must be a tuple of names of loggers" in refused(
            **{setting: names}
        )

    def test_a_switch_is_true_or_false(self) -> None:
        """Nothing else can be meant."""
        assert "logging='yes' cannot be used: it must be True or False." == refused(logging="yes")

    def test_a_test_leaves_the_logging_module_as_it_was(self, reconfigurable: None) -> None:
        """Also when it makes an application that configures the process."""
        before = list(logging.getLogger().handlers)
        with testing.capture() as events:
            wideevents.configure(service="shop")
            logging.getLogger("shop").warning("low stock")
            (line,) = events.lines
            events.clear()

        assert before == logging.getLogger().handlers
        assert (line["message"], events.lines) == ("low stock", [])

    def test_what_was_set_up_before_a_test_serves_again(self, reconfigurable: None) -> None:
        """With its own handler, in its own place."""
        wideevents.configure(output=(sink := MemorySink()))
        handler = logging.getLogger().handlers[0]
        with testing.capture():
            wideevents.configure(service="shop")
        logging.getLogger("shop").warning("low stock")

        assert handler is logging.getLogger().handlers[0]
        assert sink.logged[0]["message"] == "low stock"


class TestAtExit:
    CODE = """
        import sys, wideevents

        class Sink:
            def __init__(self): self.held = []
            def write(self, event): self.held.append(event.line)
            def close(self): sys.stdout.buffer.write(b"".join(self.held))

        wideevents.configure(output=Sink())
        with wideevents.event("job"):
            pass
    """

    def test_sinks_are_closed(self) -> None:
        """What a sink holds back is written when the process ends."""
        done = run(self.CODE)

        assert parse_line(done.stdout)["event.name"] == "job"
        assert done.stderr == b""

    def test_closing_is_for_what_is_configured_last(self) -> None:
        """A process that has configured nothing has nothing to close."""

        class Sink(MemorySink):
            closed = 0

            def close(self) -> None:
                self.closed += 1

        first, last = Sink(), Sink()
        for sink in (first, last):
            wideevents.configure(output=sink)
        config._close()
        config.use(None, None)  # type: ignore[arg-type]
        config._close()

        assert (first.closed, last.closed) == (0, 1)

    def test_a_process_that_never_wrote_closes_nothing(self) -> None:
        """Importing the package alone leaves no trace."""
        done = run("import wideevents")

        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_an_event_of_another_exit_handler_is_written(self, tmp_path: Path) -> None:
        """Handlers run in the reverse of their order: one that was registered before ours runs after it."""
        code = """
            import atexit, sys
            def last():
                import wideevents
                with wideevents.event("goodbye"):
                    pass
            atexit.register(last)
            import wideevents
            wideevents.configure(output=sys.argv[1])
        """
        done = run(code, str(tmp_path / "events.jsonl"))

        assert done.stderr == b""
        assert json.loads((tmp_path / "events.jsonl").read_bytes())["event.name"] == "goodbye"


class TestDiverted:
    def test_events_go_to_the_sink_instead(self) -> None:
        """Through the stages that are configured; afterwards all is as it was."""
        usual, other = MemorySink(), MemorySink()
        wideevents.configure(output=usual, service="shop")
        before = config.recorder()
        with config.diverted(other), wideevents.event("diverted"):
            pass
        with wideevents.event("usual"):
            pass

        assert [event["event.name"] for event in other.events] == ["diverted"]
        assert [event["service.name"] for event in other.events] == ["shop"]
        assert [event["event.name"] for event in usual.events] == ["usual"]
        assert before is config.recorder()

    def test_a_configuration_inside_is_diverted_too(self, tmp_path: Path) -> None:
        """An application factory under test configures the process itself; nothing is written to its file."""
        other = MemorySink()
        with config.diverted(other):
            wideevents.configure(output=tmp_path / "events.jsonl", service="from-factory")
            with wideevents.event("job"):
                pass

        assert [event["service.name"] for event in other.events] == ["from-factory"]
        assert not (tmp_path / "events.jsonl").exists()

    def test_a_wrong_output_is_refused_all_the_same(self) -> None:
        """A test of the settings themselves sees what production would."""
        with config.diverted(MemorySink()):
            assert refused(output=7).startswith("output=7 cannot be used")

    def test_it_ends_with_an_error_too(self) -> None:
        """A test that fails leaves the next one as it was."""
        before = config.recorder()
        with pytest.raises(KeyError), config.diverted(MemorySink()):
            raise KeyError

        assert before is config.recorder()
        assert context.variable.get() is None


class TestFlight:
    @pytest.mark.parametrize("flight", [7, "", b"flight", ["flight"], object()], ids=type)
    def test_what_is_no_directory_is_refused(self, flight: Any) -> None:
        """In a sentence that says what it may be."""
        with pytest.raises(ConfigurationError, match=r"flight=.* cannot be used: it must be a directory"):
            wideevents.configure(flight=flight, logging=False)
