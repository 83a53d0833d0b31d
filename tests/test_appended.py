"""What the appended room promises."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path
from threading import Thread

import pytest

from wideevents.appended import Appended


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a path in a folder of its own."""
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "events.jsonl"


class TestFollow:
    def test_a_file_that_stays_is_not_opened_again(self, path: Path) -> None:
        """Most looks find nothing."""
        file = Appended(path)
        os.write(file.descriptor, b"{}\n")

        assert (file.follow(), path.read_bytes()) == (False, b"{}\n")

    def test_one_that_was_moved_is_opened_under_the_same_number(self, path: Path) -> None:
        """A thread that is about to write has that number in its hands."""
        file = Appended(path)
        before, number = os.listdir("/dev/fd"), file.descriptor
        path.rename(path.with_suffix(".1"))

        assert (file.follow(), file.follow(), file.descriptor) == (True, False, number)
        assert path.stat().st_ino == os.fstat(number).st_ino
        assert before == os.listdir("/dev/fd")

    def test_a_program_that_is_started_inherits_neither(self, path: Path) -> None:
        """It would keep the file open."""
        file = Appended(path)
        found = [os.get_inheritable(file.descriptor)]
        path.unlink()
        file.follow()

        assert [*found, os.get_inheritable(file.descriptor)] == [False, False]

    def test_a_number_that_somebody_else_has_by_now_is_theirs(self, path: Path) -> None:
        """They are neither redirected nor closed."""
        file = Appended(path)
        number = file.descriptor
        os.close(number)
        reader, writer = os.pipe()
        taken = {reader, writer}
        if number not in taken:
            os.dup2(writer, number)
            taken.add(number)
        file.follow()

        assert file.descriptor not in taken
        del file
        gc.collect()
        for each in taken:
            os.close(each)

    def test_one_that_cannot_be_opened_is_kept_as_long_as_it_has_a_name(self, path: Path) -> None:
        """Then its lines can be found."""
        file = Appended(path)
        path.rename(other := path.with_suffix(".1"))
        path.mkdir()
        kept = file.follow()
        other.unlink()

        assert kept is False
        with pytest.raises(IsADirectoryError):
            file.follow()

    def test_a_pipe_that_has_a_name_is_what_it_is(self, path: Path) -> None:
        """Its reader has it open, whatever becomes of the name."""
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        file = Appended(path)
        path.unlink()

        assert (file.follow(), path.exists(), file.is_torn()) == (False, False, False)
        os.close(reader)


class TestTorn:
    @pytest.mark.parametrize(
        ("content", "torn"), [(b"", False), (b"{}\n", False), (b"{}\n{", True), (b"{", True)], ids=repr
    )
    def test_it_is_one_that_does_not_end_in_a_newline(self, path: Path, content: bytes, torn: bool) -> None:
        """An empty one has no end yet."""
        path.write_bytes(content)

        assert Appended(path).is_torn() is torn

    def test_one_that_is_being_written_to_is_none(self, path: Path) -> None:
        """Another process is in the middle of its line, and will end it."""
        path.write_bytes(b"{")
        growing = [True]

        def grow() -> None:
            with path.open("ab", buffering=0) as other:
                while growing:
                    other.write(b" ")
                    time.sleep(0.001)

        writing = Thread(target=grow)
        writing.start()
        found = Appended(path).is_torn()
        growing.clear()
        writing.join()

        assert found is False

    def test_one_that_is_gone_is_none(self, path: Path) -> None:
        """Nor is one that may be written to and not read."""
        file = Appended(path)
        path.unlink()

        assert not file.is_torn()


class TestOpening:
    def test_the_descriptor_is_closed_with_it(self, path: Path) -> None:
        """A process that opens again and again keeps none."""
        before = os.listdir("/dev/fd")
        file = Appended(path)
        during = os.listdir("/dev/fd")
        del file
        gc.collect()

        assert (len(during), os.listdir("/dev/fd")) == (len(before) + 1, before)

    @pytest.mark.parametrize("given", [7.5, "zero\0byte", "missing/events.jsonl"], ids=repr)
    def test_what_cannot_be_opened_is_an_error(self, given: str) -> None:
        """And leaves nothing behind."""
        before = os.listdir("/dev/fd")
        with pytest.raises((OSError, TypeError, ValueError)):
            Appended(given)

        assert before == os.listdir("/dev/fd")
