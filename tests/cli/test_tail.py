"""What `tail` promises."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strict import RAW
from wideevents.cli import files, main
from wideevents.cli.files import Follower

PATIENCE = 20.0

EVENT = {
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "event.name": "GET /",
    "event.kind": "request",
    "event.id": "5eb3869374d2f025",
    "duration_ms": 1.5,
    "level": "error",
    "outcome": "failure",
    "http.request.method": "GET",
    "http.route": "/",
    "http.response.status_code": 500,
}
STRUCTLOG = {"timestamp": "2026-01-02T03:04:06Z", "level": "warning", "event": "no stock", "logger": "shop", "sku": 7}
PYTHON_JSON_LOGGER = {"asctime": "2026-01-03 03:04:05,678", "levelname": "INFO", "name": "shop", "message": "hello"}
ECS = {"@timestamp": "2026-01-03T03:04:06.000Z", "log": {"level": "error"}, "message": "gone", "ecs": {"version": "8"}}


def jsonl(*told: object) -> bytes:
    """Return lines of JSON."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in told)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a file with a line of every kind."""
    path = tmp_path / "log"
    path.write_bytes(jsonl(EVENT, STRUCTLOG) + b"no JSON\x1b[2J\n" + jsonl(PYTHON_JSON_LOGGER, ECS))
    return path


@pytest.fixture
def show(capfd: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Give a function that runs `tail` and returns what it printed, without empty rows."""

    def run(*arguments: object, status: int = 0) -> list[str]:
        capfd.readouterr()
        assert main(["tail", *map(str, arguments)]) == status
        return [row for row in capfd.readouterr().out.split("\n") if row]

    return run


class TestShow:
    def test_every_dialect_in_the_order_of_the_file(self, log: Path, show: Callable[..., list[str]]) -> None:
        """With the day above the first line of it."""
        assert show(log) == [
            "── 2026-01-02 ──",
            "03:04:05.678Z error    500 1.50 ms  GET /  failure",
            "  event.id=5eb3869374d2f025",
            "03:04:06.000Z warning  shop  no stock  sku=7",
            "no JSON\\x1b[2J",
            "── 2026-01-03 ──",
            "03:04:05.678  INFO     shop  hello",
            "03:04:06.000Z error    gone",
        ]

    def test_several_files(self, tmp_path: Path, show: Callable[..., list[str]]) -> None:
        """As tail does."""
        for name in "ab":
            (tmp_path / name).write_text(f"of {name}\nmore\n")

        assert show(tmp_path / "a", tmp_path / "b") == [
            f"── {tmp_path / 'a'} ──",
            "of a",
            "more",
            f"── {tmp_path / 'b'} ──",
            "of b",
            "more",
        ]

    def test_a_compressed_file(self, tmp_path: Path, show: Callable[..., list[str]]) -> None:
        """What logrotate leaves can be read as it is."""
        with gzip.open(tmp_path / "log.gz", "wb") as file:
            file.write(b"one\ntwo\n")

        assert (show(tmp_path / "log.gz"), show(tmp_path / "log.gz", "-n", 1)) == (["one", "two"], ["two"])

    @pytest.mark.parametrize("name", [["-"], []])
    def test_the_standard_input(
        self, name: list[str], monkeypatch: pytest.MonkeyPatch, show: Callable[..., list[str]]
    ) -> None:
        """By its name, or where no file is named."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo")))

        assert show(*name) == ["one", "two"]

    def test_the_last_lines_that_match(self, log: Path, show: Callable[..., list[str]]) -> None:
        """The number counts what is shown."""
        last = show(log, "--lines", 1)
        failed = show(log, "-n", 1, "--where", "level!=error", "--where", "level")

        assert last == ["── 2026-01-03 ──", "03:04:06.000Z error    gone"]
        assert failed[-1] == "03:04:05.678  INFO     shop  hello"
        assert show(log, "-n", 0) == []

    def test_a_level_and_above(self, log: Path, show: Callable[..., list[str]]) -> None:
        """Whatever they call it; what has none is left out."""
        assert [row[14:21] for row in show(log, "--level", "warning") if row[2] == ":"] == [
            "error  ",
            "warning",
            "error  ",
        ]
        assert len([row for row in show(log, "--level", "debug") if row[2] == ":"]) == 4
        log.write_bytes(jsonl({"a": 1}, {"level": "loud"}))
        assert show(log, "--level", "debug") == []

    def test_what_meets_every_condition(self, log: Path, show: Callable[..., list[str]]) -> None:
        """By the names in the line, or those that are shown."""
        assert show(log, "-w", "levelname=INFO", "-w", "message=hello")[1:] == ["03:04:05.678  INFO     shop  hello"]
        assert show(log, "-w", "duration_ms>=1", "-w", "sku") == []
        assert len(show(log, "-w", "duration_ms>=1")) == 3

    def test_the_lines_themselves(self, log: Path, show: Callable[..., list[str]]) -> None:
        """For the next program; what is no JSON would break it."""
        lines = [json.loads(row) for row in show(log, "--json")]

        assert lines == [EVENT, STRUCTLOG, PYTHON_JSON_LOGGER, ECS]
        assert show(log, "--json", "-w", "sku") == [json.dumps(STRUCTLOG)]

    def test_colors_where_they_are_asked_for(self, log: Path, show: Callable[..., list[str]]) -> None:
        """Always or never, or as the terminal has it."""
        colored = ["\x1b[31merror" in "\n".join(show(log, "--color", when)) for when in ("always", "never", "auto")]

        assert colored == [True, False, False]

    def test_what_the_encoding_allows(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """And question marks for the rest."""
        (tmp_path / "log").write_text("a 🦆\n")
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
        main(["tail", str(tmp_path / "log")])

        assert written.getvalue() == b"a ?\n"


class TestBadLines:
    @pytest.mark.parametrize(
        ("line", "shown"),
        [
            (b"\xff\xfe bytes", "\\xff\\xfe bytes"),
            (b"zero \x00 inside", "zero \\x00 inside"),
            (b'{"a": "\xff"}', "a=\ufffd"),
            (b'{"message": "two\\nrows \\u001b[31m", "level": "info"}', "info     two\\nrows \\x1b[31m"),
            (b"[1, 2]", "[1, 2]"),
            (b'{"a": ' + b"9" * 400 + b"}", None),
            (b'{"a":' * 50_000, None),
            (b'{"half', '{"half'),
        ],
        ids=lambda line: repr(line)[:20],
    )
    def test_are_shown_and_cost_nothing_else(
        self, tmp_path: Path, show: Callable[..., list[str]], line: bytes, shown: str | None
    ) -> None:
        """The lines around them are there."""
        (tmp_path / "log").write_bytes(b"before\n" + line + b"\r\nafter\n")
        rows = show(tmp_path / "log")

        assert (rows[0], rows[-1], shown in {rows[1], None}) == ("before", "after", True)

    def test_of_ten_megabytes_are_shown(self, tmp_path: Path, show: Callable[..., list[str]]) -> None:
        """A value of that size is elided, and text is shown whole."""
        (tmp_path / "log").write_bytes(jsonl({"message": "x" * 10**7}) + b"y" * 10**7 + b"\nafter\n")
        rows = show(tmp_path / "log", "--color", "never")

        assert (sum(map(len, rows[:-2])) < 1_000, len(rows[-2]), rows[-1]) == (True, 10**7, "after")

    def test_an_empty_file_shows_nothing(self, tmp_path: Path, show: Callable[..., list[str]]) -> None:
        """And is no error."""
        (tmp_path / "log").touch()

        assert show(tmp_path / "log") == []

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
    @given(
        st.lists(
            st.binary(max_size=60)
            | st.dictionaries(
                st.sampled_from(["message", "level", "exc_info", "event.kind", "duration_ms", "log.lines"])
                | st.text(max_size=5),
                st.text(max_size=9) | st.integers() | st.lists(st.text(max_size=3), max_size=2),
            ).map(lambda told: json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        )
    )
    def test_never_reach_the_terminal_raw(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes]
    ) -> None:
        """Nothing but newlines and our colours comes out, whatever goes in."""
        (tmp_path / "log").write_bytes(b"\n".join(lines))
        for color in ("always", "never"):
            written = io.StringIO()
            monkeypatch.setattr(sys, "stdout", written)
            assert main(["tail", "--color", color, str(tmp_path / "log")]) == 0
            bare = re.sub(r"\x1b\[[0-9;]*m", "" if color == "always" else "\x1b", written.getvalue())
            assert RAW.search(bare.replace("\n", "")) is None


class TestComplaints:
    def test_a_missing_file_is_told_and_the_others_are_read(
        self, tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In one sentence each, and in the status."""
        status = main(["tail", str(tmp_path / "no\nne"), str(tmp_path), str(log)])
        said = capsys.readouterr()

        assert (status, "hello" in said.out) == (1, True)
        assert said.err.splitlines() == [
            f"wideevents tail: {tmp_path}/no\\nne cannot be read (No such file or directory)",
            f"wideevents tail: {tmp_path} cannot be read (Is a directory)",
        ]

    @pytest.mark.parametrize(
        "damage", [lambda data: b"no gzip", lambda data: data[:-9], lambda data: data[:10] + b"\xff" * 9]
    )
    def test_a_broken_archive_is_told(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[bytes], bytes]
    ) -> None:
        """It may be no archive, end too soon, or hold what cannot be unpacked."""
        (tmp_path / "log.gz").write_bytes(damage(gzip.compress(b"one\n" * 9)))

        assert main(["tail", str(tmp_path / "log.gz")]) == 1
        assert "log.gz cannot be read (" in capsys.readouterr().err

    def test_an_unreadable_input_has_a_name(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A descriptor may be a folder: `wideevents tail < .`."""

        class Broken(io.BytesIO):
            def __iter__(self) -> Broken:
                raise IsADirectoryError(21, "Is a directory")

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Broken()))

        assert main(["tail"]) == 1
        assert capsys.readouterr().err == "wideevents tail: the standard input cannot be read (Is a directory)\n"

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["-n", "-1"], "'-1' is no number of lines"),
            (["-n", "many"], "'many' is no number of lines"),
            (["-n", "9" * 10], "is no number of lines"),
            (["--level", "loud"], "--level='loud' cannot be used: it must be debug, info, warning, error"),
            (["--where", "=1"], "'=1' is none of key, key=value"),
            (["--color", "blue"], "invalid choice: 'blue'"),
        ],
    )
    def test_wrong_arguments_are_refused(
        self, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In a sentence that says what may stand there."""
        with pytest.raises(SystemExit):
            main(["tail", *arguments])

        assert sentence in capsys.readouterr().err


def add(path: Path, text: bytes) -> None:
    """Append to the file at *path*."""
    with path.open("ab") as file:
        file.write(text)


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start the command as a person does."""
    command = [sys.executable, "-m", "wideevents", "tail", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)


def in_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """Return what the command prints on a real terminal."""
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    master, slave = pty.openpty()
    with open(slave, "w") as terminal, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        assert main(["tail", *map(str, arguments)]) == 0
        shown = os.read(master, 65_536).decode()
    os.close(master)
    return shown


class Follow:
    """Run `tail -f` in a thread, its output going into a pipe, until the reader leaves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
        monkeypatch.setenv("COLUMNS", "400")  # however long the paths are, a title takes one row
        self.reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "w")
        monkeypatch.setattr(sys, "stdout", self.stream)
        self.received = b""
        self.status: int | None = None
        self.expected = 0
        self.thread = threading.Thread(target=self.run, args=(["tail", "-f", *map(str, arguments)],), daemon=True)
        self.thread.start()

    def run(self, arguments: list[str]) -> None:
        self.status = main(arguments)

    def until(self, text: str) -> list[str]:
        """Read until *text* has come, and return all rows that have."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.received.decode():
            assert time.monotonic() < deadline, self.received
            if select.select([self.reading], [], [], 0.1)[0]:
                self.received += os.read(self.reading, 65_536)
        return [row for row in self.received.decode().split("\n") if row]

    def __enter__(self) -> Follow:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the reading end: the command ends, with the status that is expected."""
        os.close(self.reading)
        self.thread.join(PATIENCE)
        self.stream.close()
        assert (self.thread.is_alive(), self.status) == (False, self.expected)


class TestFollow:
    def test_shows_the_last_ten_lines_and_goes_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """And ends when nobody reads any more, though no line comes."""
        path = tmp_path / "log"
        path.write_text("".join(f"line {number}\n" for number in range(30)))
        with Follow(monkeypatch, path) as running:
            running.until("line 29")
            add(path, b"line 30\n")

            assert running.until("line 30") == [f"line {number}" for number in range(20, 31)]

    def test_keeps_conditions(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of what is there, as of what comes."""
        path = tmp_path / "log"
        path.write_bytes(jsonl({"a": 1}, {"a": 2}, {"a": 3}))
        with Follow(monkeypatch, "-n", 1, "-w", "a<=2", path) as running:
            running.until("a=2")
            add(path, jsonl({"a": 4}, {"a": 0}))

            assert running.until("a=0") == ["a=2", "a=0"]

    def test_goes_across_rotations_of_several_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One is renamed and made anew, one is cut, and one appears only then."""
        renamed, cut, late = (tmp_path / name for name in ("renamed", "cut", "late"))
        renamed.write_text("r1\n")
        cut.write_text("c1 and more\n")
        with Follow(monkeypatch, renamed, cut, late) as running:
            running.until("c1")
            renamed.rename(tmp_path / "renamed.1")
            add(renamed, b"r2\n")
            running.until("r2")
            os.truncate(cut, 0)
            add(cut, b"c2\n")
            running.until("c2")
            add(late, b"l1\n")

            assert [row for row in running.until("l1") if "──" not in row] == ["r1", "c1 and more", "r2", "c2", "l1"]

    def test_reads_what_cannot_grow_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A compressed file is read to its end, the other one is followed."""
        (tmp_path / "log.1.gz").write_bytes(gzip.compress(b"old\n"))
        (tmp_path / "log").write_text("new\n")
        with Follow(monkeypatch, tmp_path / "log.1.gz", tmp_path / "log") as running:
            assert [row for row in running.until("new") if "──" not in row] == ["old", "new"]

    def test_notices_without_poll_at_the_next_line_that_nobody_reads(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There is none on Windows."""
        monkeypatch.delattr(select, "poll")
        path = tmp_path / "log"
        path.write_text("one\n")
        with Follow(monkeypatch, path) as running:
            running.until("one")
            threading.Timer(0.5, add, (path, b"two\n")).start()

    def test_tells_of_a_file_that_it_waits_for(self, tmp_path: Path) -> None:
        """In a sentence, once."""
        running = start("-f", tmp_path / "log", stdout=subprocess.PIPE)
        assert running.stderr is not None
        said = running.stderr.readline().decode()
        add(tmp_path / "log", b"one\n")
        assert running.stdout is not None
        assert running.stdout.readline() == b"one\n"
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE)

        assert said == f"wideevents tail: {tmp_path}/log is not there yet; waiting for it\n"

    def test_tells_of_a_file_that_it_may_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """It is followed all the same, since that may change; the status remembers."""

        def refuse(_: Follower) -> None:
            raise PermissionError(13, "Permission denied")

        (tmp_path / "log").write_text("one\n")
        monkeypatch.setattr(Follower, "begin", refuse)  # root may read everything
        with Follow(monkeypatch, tmp_path / "log") as running:
            running.until("one")
            running.expected = 1

        assert capfd.readouterr().err == f"wideevents tail: {tmp_path}/log cannot be read (Permission denied)\n"

    def test_waits_with_an_output_that_is_no_descriptor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The time is all that is known."""
        before = time.monotonic()

        assert not files.reader_is_gone(io.StringIO(), 0.05)
        assert time.monotonic() - before >= 0.05


class TestProcess:
    def test_control_c_ends_it_without_a_traceback(self, log: Path) -> None:
        """With the status that a shell has for it."""
        running = start("-f", log, stdout=subprocess.PIPE)
        assert running.stdout is not None
        while b"gone" not in running.stdout.readline():
            pass
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=PATIENCE)

        assert (running.returncode, said) == (130, b"")

    def test_a_pipe_is_shown_line_by_line(self) -> None:
        """What comes in is seen at once, and not when the pipe is closed."""
        running = start(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(b"one\n")
        running.stdin.flush()
        first = running.stdout.readline()
        rest, said = running.communicate(b"two", timeout=PATIENCE)

        assert (running.returncode, first, rest, said) == (0, b"one\n", b"two\n", b"")

    def test_head_ends_it(self, tmp_path: Path) -> None:
        """Quietly, in the middle of a large file."""
        (tmp_path / "log").write_bytes(b"line\n" * 100_000)
        running = start(tmp_path / "log", stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        _, said = running.communicate(timeout=PATIENCE)

        assert (running.returncode, said) == (0, b"")

    def test_a_terminal_gets_colors_and_nothing_that_drives_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where the lines themselves are asked for: what JSON can escape is escaped."""
        tricky = '{"a":\t"x\u009b\u202e\U000e0041","level":"error"}'
        (tmp_path / "log").write_text(tricky + "\n")

        assert "\x1b[31merror" in in_terminal(monkeypatch, tmp_path / "log")
        assert in_terminal(monkeypatch, "--json", tmp_path / "log") == (
            '{"a": "x\\u009b\\u202e\\udb40\\udc41","level":"error"}\r\n'
        )
