"""What the command `recover` promises."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import Written
from tests.flight import files, in_file, killed, opened
from tests.strict import parse_line
from wideevents.cli import main
from wideevents.flight import Flight
from wideevents.recorder import Recorder

pytestmark = pytest.mark.usefixtures("reconfigurable")


@pytest.fixture
def lost(recorder: Recorder, tmp_path: Path) -> list[str]:
    """Lose three events, and give their ids."""
    recorder.flight = flight = Flight(tmp_path / "flight")
    killed(lambda: [opened(recorder, f"job {number}", number=number) for number in range(3)])
    return [fields["event.id"] for fields in in_file(flight)]


def told(raw: bytes | str) -> list[Any]:
    """Return the numbers of the events in lines, each of which is checked."""
    lines = raw.encode() if isinstance(raw, str) else raw
    return [parse_line(line)["number"] for line in lines.splitlines(keepends=True)]


def line(event_id: str) -> bytes:
    """Return what an output might have."""
    event = {"timestamp": "2026-01-02T03:04:05Z", "event.id": event_id, "event.kind": "task", "duration_ms": 1.0}
    return orjson.dumps(event) + b"\n"


@pytest.mark.usefixtures("lost")
class TestRecover:
    def test_the_lines_go_to_the_standard_output(self, tmp_path: Path) -> None:
        """And how many there were to the other one."""
        command = [sys.executable, "-m", "wideevents", "recover", str(tmp_path / "flight")]
        first, second = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2))

        assert (told(first.stdout), first.stderr) == ([0, 1, 2], "wideevents recover: 3 events\n")
        assert (second.stdout, second.stderr) == ("", "wideevents recover: 0 events\n")

    def test_they_are_appended_to_a_file(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Where it is asked for; - is the standard output again."""
        output = tmp_path / "lines"
        assert main(["recover", str(tmp_path / "flight"), "--output", str(output)]) == 0

        assert told(output.read_bytes()) == [0, 1, 2]
        assert capfd.readouterr() == ("", "wideevents recover: 3 events\n")

    def test_the_standard_output_can_be_asked_for(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever the environment says."""
        monkeypatch.setenv("WIDEEVENTS_OUTPUT", str(tmp_path / "lines"))
        assert main(["recover", str(tmp_path / "flight"), "--output", "-"]) == 0

        assert told(capfd.readouterr().out) == [0, 1, 2]

    def test_the_environment_says_where_they_go(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As it does for the application."""
        monkeypatch.setenv("WIDEEVENTS_OUTPUT", str(tmp_path / "lines"))
        assert main(["recover", str(tmp_path / "flight")]) == 0

        assert told((tmp_path / "lines").read_bytes()) == [0, 1, 2]

    def test_what_is_in_other_files_is_passed_over(
        self, tmp_path: Path, lost: list[str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Also where they were rotated and compressed."""
        (tmp_path / "a").write_bytes(b"plain text\n" + line("f" * 16) + line(lost[0]))
        with gzip.open(tmp_path / "b.gz", "wb") as file:
            file.write(line(lost[2]))
        known = [str(tmp_path / "a"), str(tmp_path / "b.gz")]
        assert main(["recover", str(tmp_path / "flight"), "--lines", *known]) == 0

        shown = capfd.readouterr()
        assert (told(shown.out), shown.err) == ([1], "wideevents recover: 1 event\n")
        assert list((tmp_path / "flight").iterdir()) == []

    def test_files_that_cannot_be_read_are_refused(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Before anything is written: nothing is lost, or told twice, because of a wrong name."""
        assert main(["recover", str(tmp_path / "flight"), "--lines", str(tmp_path / "nothing")]) == 2

        assert "nothing" in capfd.readouterr().err
        assert len(list((tmp_path / "flight").iterdir())) == 1

    def test_an_output_that_cannot_be_written_is_refused(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """With the sentence of the setting."""
        assert main(["recover", str(tmp_path / "flight"), "--output", str(tmp_path)]) == 2

        assert "output=" in capfd.readouterr().err

    def test_a_directory_is_not_made(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """There is nothing in it to recover."""
        assert main(["recover", str(tmp_path / "nothing")]) == 2

        assert capfd.readouterr().err.startswith("wideevents recover: DIR=")
        assert not (tmp_path / "nothing").exists()

    def test_the_living_are_left_alone(
        self, recorder: Recorder, written: Written, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Their events are in progress."""
        event = opened(recorder, number=7)
        command = [sys.executable, "-m", "wideevents", "recover", str(tmp_path / "flight")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        recorder.finish(event)

        assert told(done.stdout) == [0, 1, 2]
        assert isinstance(recorder.flight, Flight)
        assert len(files(recorder.flight)) == 1
        assert written.one()["number"] == 7
