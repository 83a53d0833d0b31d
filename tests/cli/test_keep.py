"""What the command `keep` promises."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from wideevents.cli import main
from wideevents.signatures import SECRET, Signer

OURS = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the secret of the environment."""
    monkeypatch.setenv(SECRET, OURS)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, float]:
    """Return the value of the header that was printed, which is good, and for how many seconds it is."""
    assert main(["keep", *arguments]) == 0
    name, _, value = capsys.readouterr().out.removesuffix("\n").partition(": ")
    assert (name, Signer((OURS,)).accepts(value)) == ("X-Wideevents-Keep", True)
    return value, int(value.partition(".")[0]) - time.time()


class TestKeep:
    def test_prints_the_header(self, capsys: pytest.CaptureFixture[str]) -> None:
        """As one line, which curl takes as it is."""
        _, seconds = printed(capsys, "--for", "2h")

        assert 7_190 < seconds <= 7_201

    def test_is_good_for_a_quarter_of_an_hour(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Where nothing else is said."""
        _, seconds = printed(capsys)

        assert 890 < seconds <= 901

    def test_signs_with_the_first_of_several(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The new one, while the old one is still good."""
        monkeypatch.setenv(SECRET, f"{OURS} {OURS[::-1]}")
        value, _ = printed(capsys)

        assert Signer((OURS[::-1],)).accepts(value) is False

    @pytest.mark.parametrize("given", ["", "short"])
    def test_needs_a_secret(
        self, given: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It says which variable it looks for, prints nothing, and ends with the status of wrong arguments."""
        monkeypatch.setenv(SECRET, given)

        assert main(["keep"]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.startswith("wideevents keep: "), SECRET in said.err) == ("", True, True)

    def test_signs_for_a_week_at_most(self, capsys: pytest.CaptureFixture[str]) -> None:
        """In a sentence."""
        assert main(["keep", "--for", "8d"]) == 2
        assert "at most 604800, a week" in capsys.readouterr().err

    @pytest.mark.parametrize("arguments", [["--for", "soon"], ["--for", "0s"], ["--secret", OURS]])
    def test_refuses_what_it_does_not_know(self, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        """A secret least of all: arguments stand in the list of processes."""
        with pytest.raises(SystemExit) as ended:
            main(["keep", *arguments])

        assert (ended.value.code, "usage: wideevents keep" in capsys.readouterr().err) == (2, True)

    def test_is_a_command(self) -> None:
        """`python -m wideevents keep`, with the environment that it is run in."""
        done = subprocess.run(
            [sys.executable, "-m", "wideevents", "keep"], capture_output=True, text=True, check=True, timeout=60
        )

        assert done.stdout.startswith("X-Wideevents-Keep: ")
