"""What the reading of files promises."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wideevents.cli import files
from wideevents.cli.files import BLOCK, Follower, backwards, grows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that is not there."""
    return tmp_path / "log"


@pytest.fixture
def follower(path: Path) -> Iterator[Follower]:
    """Give a follower of `path`."""
    made = Follower(str(path))
    yield made
    made.close()


def add(path: Path, text: bytes) -> None:
    """Append to the file at *path*."""
    with path.open("ab") as file:
        file.write(text)


class TestGrows:
    def test_is_true_of_files_and_of_what_is_not_there_yet(self, path: Path) -> None:
        """Neither a pipe nor a folder nor what is compressed can be followed."""
        before = grows(str(path))
        path.touch()
        os.mkfifo(path.with_suffix(".fifo"))
        others = [path.with_suffix(".fifo"), path.parent, path.with_suffix(".gz"), "-", os.devnull]

        assert (before, grows(str(path)), [grows(str(each)) for each in others]) == (True, True, [False] * 5)


class TestBackwards:
    @pytest.mark.parametrize(
        "lines",
        [
            [],
            [b""],
            [b"a"],
            [b"a", b"", b"b"],
            [b"x" * BLOCK, b"y"],
            [b"x" * (3 * BLOCK), b"", b"y" * 100],
            [b"a"] * BLOCK,
        ],
        ids=len,
    )
    def test_are_the_lines_from_the_last_to_the_first(self, path: Path, lines: list[bytes]) -> None:
        """Of any length, with and without a newline at the end."""
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        with path.open("rb") as file:
            whole = list(backwards(file, path.stat().st_size))
            cut = list(backwards(file, path.stat().st_size - 1)) if lines and lines[-1] else whole

        assert (whole, cut) == (lines[::-1], lines[::-1])

    @given(st.lists(st.binary(max_size=4).map(lambda line: line.replace(b"\n", b"")), max_size=9), st.integers(1, 5))
    def test_do_not_depend_on_where_a_block_ends(
        self, tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
    ) -> None:
        """A newline may stand at either side of it."""
        path = tmp_path_factory.getbasetemp() / "backwards"
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
            patch.setattr(files, "BLOCK", size)
            assert list(backwards(file, path.stat().st_size)) == lines[::-1]


class TestFollower:
    def test_begins_with_what_is_there(self, follower: Follower, path: Path) -> None:
        """The last line first; a line without its end is read when that has come."""
        path.write_bytes(b"one\ntwo\nthr")
        there = list(follower.begin())
        before = list(follower.poll())
        add(path, b"ee\nfour\n")

        assert (there, before, list(follower.poll())) == ([b"two", b"one"], [], [b"three", b"four"])

    def test_reads_a_line_that_comes_in_pieces(self, follower: Follower, path: Path) -> None:
        """However many looks it takes."""
        path.touch()
        list(follower.begin())
        read = []
        for piece in (b"a", b"b\n", b"\n", b"c" * BLOCK, b"d" * BLOCK, b"\ne"):
            add(path, piece)
            read.append(list(follower.poll()))

        assert read == [[], [b"ab"], [b""], [], [], [b"c" * BLOCK + b"d" * BLOCK]]

    def test_does_not_need_what_it_began_with(self, follower: Follower, path: Path) -> None:
        """Whoever wants the last line alone leaves the others unread."""
        path.write_bytes(b"one\n" * BLOCK)
        assert next(follower.begin()) == b"one"
        add(path, b"two\n")

        assert list(follower.poll()) == [b"two"]

    def test_notices_a_file_that_appears(self, follower: Follower, path: Path) -> None:
        """And reads it from its beginning."""
        with pytest.raises(FileNotFoundError):
            follower.begin()
        before = list(follower.poll())
        add(path, b"one\n")

        assert (before, list(follower.poll())) == ([], [b"one"])

    def test_goes_on_with_the_file_that_took_its_place(self, follower: Follower, path: Path) -> None:
        """What is still written to the old one just after is read, too, and its half line is not lost."""
        add(path, b"one\n")
        list(follower.begin())
        add(path, b"two\n")
        path.rename(path.with_suffix(".1"))
        gone = list(follower.poll())
        path.write_bytes(b"four\n")
        first = list(follower.poll())
        add(path.with_suffix(".1"), b"three\nhalf")

        assert (gone, first) == ([b"two"], [])
        assert list(follower.poll()) == [b"three", b"half", b"four"]
        add(path, b"five\n")
        assert list(follower.poll()) == [b"five"]

    def test_goes_on_where_the_old_file_comes_back(self, follower: Follower, path: Path) -> None:
        """A file that was moved away and back is no other file, and is not read twice."""
        add(path, b"one\n")
        list(follower.begin())
        path.rename(path.with_suffix(".1"))
        path.write_bytes(b"")
        list(follower.poll())
        path.with_suffix(".1").rename(path)
        read = [list(follower.poll())]
        add(path, b"two\n")
        read.append(list(follower.poll()))
        path.rename(path.with_suffix(".1"))
        path.write_bytes(b"new\n")
        read.append(list(follower.poll()))

        assert [*read, list(follower.poll())] == [[], [b"two"], [], [b"new"]]

    def test_begins_anew_when_the_file_is_cut(self, follower: Follower, path: Path) -> None:
        """As logrotate's copytruncate does; half a line is told, since its end will not come."""
        add(path, b"one\n")
        list(follower.begin())
        add(path, b"two\nha")
        read = list(follower.poll())
        shutil.copy(path, path.with_suffix(".1"))
        os.truncate(path, 0)
        add(path, b"three\n")

        assert (read, list(follower.poll())) == ([b"two"], [b"ha", b"three"])

    def test_skips_the_hole_that_a_cut_leaves(self, follower: Follower, path: Path) -> None:
        """A writer that does not append goes on where it was: before it are zeros."""
        with path.open("wb", buffering=0) as writer:
            writer.write(b"one\n" * BLOCK)
            list(follower.begin())
            os.truncate(path, 0)
            list(follower.poll())
            writer.write(b"two\n")

            assert list(follower.poll()) == [b"two"]

    def test_reads_no_further_than_the_file_reached(self, follower: Follower, path: Path) -> None:
        """A file that grows faster than it is read does not keep the others waiting."""
        add(path, b"one\n")
        list(follower.begin())
        add(path, b"x\n" * BLOCK)
        read = 0
        for _ in follower.poll():
            read += 1
            add(path, b"y" * 9 + b"\n")

        assert read < 2 * BLOCK

    def test_is_closed_before_it_has_begun(self, path: Path) -> None:
        """There may never have been a file."""
        Follower(str(path)).close()
