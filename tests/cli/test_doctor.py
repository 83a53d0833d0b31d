"""What the command `doctor` promises."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.doctor.conftest import _fresh_logging, alone
from wideevents import cli
from wideevents.cli import doctor, main

ROOT = Path(cli.__file__).parents[2]
HEALTHY, ILL = "tests.doctor.shops:create_app", "tests.doctor.shops:create_ill_app"

fresh_logging = _fresh_logging
"""Used by every test of this file, as in those of the doctor."""

pytestmark = pytest.mark.usefixtures("runner")


@pytest.fixture
def runner() -> None:
    """Take the handlers of the test runner away."""
    alone()


@pytest.fixture(autouse=True)
def _screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a screen of a known width, and a path that stays."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    logging.getLogger("gunicorn.error").handlers.clear()


class TestDoctor:
    def test_all_is_well(self, capsys: pytest.CaptureFixture[str]) -> None:
        """In a sentence, and with the status 0."""
        assert main(["doctor", "--app", HEALTHY]) == 0
        assert (
            capsys.readouterr().out == f"{HEALTHY}: GET / was answered with 200 OK, and left one event.\nAll is well.\n"
        )

    def test_what_is_wrong_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Errors first; what it is, why it matters, how to mend it, and nothing that moves the cursor."""
        assert main(["doctor", "--app", ILL]) == 1
        told = capsys.readouterr().out

        assert told.index("ERRORS: ") < told.index("  handler-missing\n    wideevents' handler is gone from the root")
        assert f"{place('basicConfig')} called basicConfig(force=True)." in " ".join(told.split())
        assert told.index("    why   Log lines are not where") < told.index("    fix   Configure the logging module")
        assert told.index("    fix   ") < told.index("WARNINGS: ") < told.index("  plain-output\n")
        assert f"    {place('print(')} wrote '\\x1b[31mhello', to standard output.\n" in told
        assert max(len(line) for line in told.splitlines()) <= 100

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The same for programs, and the same status."""
        assert main(["doctor", "--app", ILL, "--json", "--path", "/?page=2"]) == 1
        told = json.loads(capsys.readouterr().out)

        assert {**told, "findings": []} == {
            "app": ILL,
            "path": "/?page=2",
            "status": "200 OK",
            "events": 1,
            "findings": [],
        }
        assert [(each["slug"], each["severity"]) for each in told["findings"]] == [
            ("handler-missing", "error"),
            ("plain-output", "warning"),
        ]
        assert all(each[part] for each in told["findings"] for part in ("what", "why", "fix"))

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ([], "which application is to be examined? Give --app MODULE:APP"),
            (["--app", "nowhere:app"], "'nowhere:app' cannot be loaded: there is no module 'nowhere'"),
            (["--app", HEALTHY, "--gunicorn", "nowhere.py"], "gunicorn cannot read 'nowhere.py': 'nowhere.py' doesn't"),
        ],
    )
    def test_what_cannot_be_examined_is_refused(
        self, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """With the status 2."""
        assert main(["doctor", *arguments]) == 2
        captured = capsys.readouterr()

        assert (captured.out, f"wideevents doctor: {reason}" in captured.err) == ("", True)

    def test_what_the_application_raised_is_shown(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The traceback first, then the sentence."""
        assert main(["doctor", "--app", "tests.doctor.shops:fail"]) == 2
        captured = capsys.readouterr()

        assert captured.err.splitlines()[1:3] == [
            f'  File "{ROOT / "tests/doctor/shops.py"}", line {place("LookupError").split(":")[1]}, in fail',
            '    raise LookupError("no database")',
        ]
        assert captured.err.endswith(f"the factory raised LookupError: no database at {place('LookupError')}.\n")

    def test_gunicorn_is_taken_into_account(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Its configuration may name the application."""
        (tmp_path / "conf.py").write_text(f"wsgi_app = {HEALTHY!r}\n")
        assert main(["doctor", "--gunicorn", str(tmp_path / "conf.py")]) == 1
        told = capsys.readouterr().out

        assert "The logger 'gunicorn.error' has a StreamHandler" in told
        assert told.startswith(f"{HEALTHY}: GET / was answered")

    def test_what_is_printed_becomes_lines_by_our_logger_class(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Then it is no finding; and the answer itself is printed."""
        (tmp_path / "conf.py").write_text("logger_class = 'wideevents.integrations.gunicorn.Logger'\n")
        arguments = ["--app", "tests.doctor.shops:create_loud_app", "--gunicorn", str(tmp_path / "conf.py")]
        assert main(["doctor", *arguments]) == 0
        told = capsys.readouterr().out
        assert told.endswith("All is well.\n")

        assert main(["doctor", *arguments[:2]]) == 1
        assert "plain-output" in capsys.readouterr().out

    def test_without_gunicorn_it_is_told_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Only who asks for it needs it."""
        monkeypatch.delitem(sys.modules, "wideevents.doctor.gunicorn", raising=False)
        monkeypatch.setitem(sys.modules, "gunicorn.app.base", None)

        assert main(["doctor", "--app", HEALTHY, "--gunicorn", "conf.py"]) == 2
        assert "--gunicorn needs gunicorn" in capsys.readouterr().err

    def test_an_application_without_an_event(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The first sentence says what happened."""
        assert main(["doctor", "--app", "wsgiref.simple_server:demo_app"]) == 1
        assert "GET / was answered with 200 OK, and left no event." in capsys.readouterr().out

    def test_nothing_moves_the_cursor(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Whatever was asked for, or answered."""
        main(["doctor", "--app", "wsgiref.simple_server:demo_app", "--path", "/\x1b[31m"])
        told = capsys.readouterr().out

        assert (told.count("GET /\\x1b[31m"), "\x1b" in told) == (2, False)


class Terminal(io.StringIO):
    """A screen."""

    def isatty(self) -> bool:
        return True


class TestColours:
    def test_an_answer_on_a_terminal_is_coloured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Rich knows which colours the terminal has."""
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stdout", terminal := Terminal())
        main(["doctor", "--app", HEALTHY])

        assert "\x1b[32mAll is well.\x1b[0m\n" in terminal.getvalue()

    def test_on_a_terminal_there_are_colours(self) -> None:
        """Where rich is there, and NO_COLOR is not."""
        assert "\x1b[1;31m" in on_terminal({"TERM": "xterm"})

    @pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
    def test_who_wants_none_has_none(self, environment: dict[str, str]) -> None:
        """As with every other tool."""
        shown = on_terminal({"TERM": "xterm", **environment})

        assert ("handler-missing" in shown, "\x1b[" in shown) == (True, False)

    def test_without_rich_there_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is an extra; the command works without."""
        monkeypatch.setitem(sys.modules, "rich.console", None)
        spec = importlib.util.spec_from_file_location("doctor_without_rich", doctor.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)

        assert module.Console is None


class TestExample:
    def test_the_example_of_the_project_is_healthy(self, tmp_path: Path) -> None:
        """In a process of its own, as people run it; nothing but the answer is written."""
        command = [sys.executable, "-m", "wideevents", "doctor", "--app", "examples.flask_app:create_app()"]
        environment = {**os.environ, "SHOP_DATABASE": str(tmp_path / "shop.sqlite3")}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("and left one event.\nAll is well.\n")


def place(words: str) -> str:
    """Return where *words* stand in the applications that are examined here."""
    rows = (ROOT / "tests/doctor/shops.py").read_text().splitlines()
    return f"tests/doctor/shops.py:{next(number for number, row in enumerate(rows, 1) if words in row)}"


def on_terminal(environment: dict[str, str]) -> str:
    """Run the command on a terminal, and return what it shows."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "wideevents", "doctor", "--app", ILL]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=slave, stderr=slave, env={"PATH": os.environ["PATH"], **environment}
    ) as process:
        os.close(slave)
        shown = b""
        with suppress(OSError):  # EIO: the terminal is closed
            while chunk := os.read(master, 65_536):
                shown += chunk
    os.close(master)
    assert process.returncode == 1, shown
    return shown.decode()


class TestWithoutStandardOutput:
    def test_nothing_is_shown(self) -> None:
        """The exit status says enough."""
        doctor._show([doctor.Piece("All is well.\n", "well")], None)
