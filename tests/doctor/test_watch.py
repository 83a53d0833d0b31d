"""How the standard streams are watched."""

from __future__ import annotations

import io
import os
import sys

import pytest

from wideevents.doctor.watch import Watch
from wideevents.integrations._printed import capture


class TestWatch:
    def test_streams_are_put_back(self) -> None:
        """What is written afterwards is written."""
        before = (sys.stdout, sys.stderr)
        with Watch() as watch:
            print("during")
        watch.end()

        assert before == (sys.stdout, sys.stderr)
        assert [piece.text for piece in watch.lines()] == ["during"]

    def test_what_was_replaced_meanwhile_stays(self) -> None:
        """It is somebody else's."""
        before, theirs = sys.stdout, io.StringIO()
        with Watch():
            sys.stdout = theirs
        assert sys.stdout is theirs
        sys.stdout = before

    def test_who_keeps_a_stream_goes_on_writing_to_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A library may hold it, and write long after."""

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr(sys, "stdout", terminal := Terminal())
        with Watch():
            kept = sys.stdout
            assert not kept.isatty()
        kept.write("afterwards")

        assert (terminal.getvalue(), kept.isatty(), kept.closed) == ("afterwards", True, False)

    @pytest.mark.parametrize(("all_lines", "heard"), [(True, ["cursed"]), (False, ["cursed", "printed"])])
    def test_what_becomes_lines_is_no_text(self, *, all_lines: bool, heard: list[str]) -> None:
        """Our doors for servers make lines of what is printed, where it goes to lines; the kernel is past them."""
        before = sys.stdout, sys.stderr
        with Watch() as watch:
            capture()
            print("printed")
            os.write(1, b"cursed\n")
            watch.end(all_lines=all_lines)
        sys.stdout, sys.stderr = before

        assert heard == sorted(piece.text for piece in watch.lines())

    def test_what_python_held_back_is_no_part_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It was written before."""
        with os.fdopen(1, "w", closefd=False) as buffered:
            monkeypatch.setattr(sys, "__stdout__", buffered)
            buffered.write("before\n")
            with Watch() as watch:
                buffered.write("during\n")
            monkeypatch.undo()

        assert [piece.text for piece in watch.lines()] == ["during"]
