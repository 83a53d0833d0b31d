"""What the commands have in common."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from wideevents import cli
from wideevents.cli import main

PROGRAM = Path(cli.__file__).parents[1] / "__main__.py"


class TestMain:
    def test_runs_the_command_and_returns_its_status(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """0 where all went well, 1 where something did not."""
        (tmp_path / "log").write_text("hello\n")

        assert main(["tail", str(tmp_path / "log")]) == 0
        assert main(["tail", str(tmp_path / "none")]) == 1
        assert capsys.readouterr().out == "hello\n"

    def test_takes_the_arguments_of_the_process(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`python -m wideevents` ends with the status of the command."""
        (tmp_path / "log").write_text("hello\n")
        monkeypatch.setattr(sys, "argv", ["wideevents", "tail", str(tmp_path / "log")])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(PROGRAM), run_name="__main__")

        assert (ended.value.code, capsys.readouterr().out) == (0, "hello\n")

    def test_does_nothing_when_it_is_imported(self) -> None:
        """A tool that walks over the package must not run a command."""
        assert "main" in runpy.run_path(str(PROGRAM), run_name="wideevents.__main__")

    @pytest.mark.parametrize("arguments", [[], ["nonsense"], ["tail", "--nonsense"]])
    def test_refuses_what_it_does_not_know(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        """With the usage, and the status that argparse has for it."""
        with pytest.raises(SystemExit) as ended:
            main(arguments)

        assert (ended.value.code, "usage: wideevents" in capsys.readouterr().err) == (2, True)

    def test_tells_which_commands_there_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each with what it does."""
        with pytest.raises(SystemExit):
            main(["--help"])
        said = capsys.readouterr().out
        with pytest.raises(SystemExit):
            main(["tail", "--help"])

        assert [
            name for name, does in cli.COMMANDS.items() if not re.search(f"^  {name} +{does}$", said, re.MULTILINE)
        ] == []
        assert "--follow" in capsys.readouterr().out

    def test_every_command_has_a_room(self) -> None:
        """A name in the table is enough to add one."""
        rooms = Path(cli.__file__).parent

        assert [name for name in cli.COMMANDS if not (rooms / f"{name}.py").exists()] == []

    def test_a_missing_extra_is_told_in_a_sentence(self) -> None:
        """Without a traceback, with what to install."""
        program = "import sys; sys.modules['rich'] = sys.modules['rich.console'] = None; sys.argv = ['', 'tail']; "
        program += "from wideevents.cli import main; sys.exit(main())"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

        assert (done.returncode, done.stderr) == (
            1,
            "wideevents tail: wideevents.console needs rich: pip install 'wideevents[console]'\n",
        )

    def test_an_import_that_fails_costs_no_traceback(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A command whose room is broken does not break the others."""
        monkeypatch.setitem(cli.COMMANDS, "broken", "is not there")

        assert main(["broken"]) == 1
        assert capsys.readouterr().err == "wideevents broken: No module named 'wideevents.cli.broken'\n"

    def test_a_reader_who_left_is_no_error(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """`wideevents tail log | head` ends as soon as head has enough, and Python does not complain at its end."""
        (tmp_path / "log").write_text("hello\n" * 10)
        reading, writing = os.pipe()
        os.close(reading)
        stream = io.TextIOWrapper(os.fdopen(writing, "wb"))
        monkeypatch.setattr(sys, "stdout", stream)

        assert main(["tail", str(tmp_path / "log")]) == 0
        stream.close()

    def test_an_interrupt_ends_it_quietly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ctrl-C is how one ends a command that follows: with the status that a shell has for it."""

        class Impatient(io.StringIO):
            def flush(self) -> None:
                raise KeyboardInterrupt

        monkeypatch.setattr(sys, "stdout", Impatient())

        assert main(["tail", os.devnull]) == 130


class TestStandardOutput:
    def test_it_need_not_be_there(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Whoever started us may have closed it."""
        monkeypatch.setattr(sys, "stdout", None)

        assert main(["doctor", "--app", "nowhere:app"]) == 2
        assert "nowhere" in capsys.readouterr().err
