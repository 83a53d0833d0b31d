"""What the stacks room promises."""

from __future__ import annotations

import json
import linecache
import re
import sys
import textwrap
import traceback
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wideevents.frames import Application
from wideevents.stacks import EXCEPTIONS, MEMBERS, MOST, STACK_LENGTH, printed


def nobodys(_: str) -> bool:
    return False


def everybodys(_: str) -> bool:
    return True


def raised(work: Callable[..., object], *arguments: object) -> BaseException:
    """Return what *work* raises, without the frame of this function."""
    try:
        work(*arguments)
    except BaseException as error:
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


def fail(error: BaseException) -> None:
    raise error


def pythons(error: BaseException) -> str:
    """Return what Python prints of *error*, without the marks below its lines."""
    text = "".join(traceback.format_exception(error)).rstrip("\n")
    return unmarked(text)


def unmarked(text: str) -> str:
    return re.sub(r"\n[ |]*[~^]+(?=\n)", "", text)


class Project:
    """Write modules of an application and of libraries, and import them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch

    def add(self, path: str, source: str) -> Any:
        """Return the names of the module whose *source* stands at *path* below the project."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
        names = {"__name__": file.stem, "__file__": str(file)}
        exec(compile(file.read_text(), str(file), "exec"), names)
        return names


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


@pytest.fixture
def call(project: Project) -> Callable[..., str]:
    """Print what is raised by a way through functions: those in capitals are the application's."""
    application = Application()

    def through(way: str) -> str:
        inner: Any = partial(int, "wrong")
        for number, step in reversed([*enumerate(way.split())]):
            path = f"{step}/{number}.py" if step.isupper() else f"site-packages/{step}/{number}.py"
            names = project.add(path, "def step(inner):\n    inner()\n")
            names["__name__"] = step
            inner = partial(names["step"], inner)
        text = printed(raised(inner), application.owns)
        return re.sub(r'File ".*?/(\w+)/\d+\.py", line 2, in step', r"\1", text)

    return through


class TestFormat:
    """Python's own, as far as it is not folded."""

    def test_is_pythons_where_no_frame_is_the_applications(self) -> None:
        """There is nothing that could be told from the rest."""
        error = raised(json.loads, '{"a": ')
        assert printed(error, nobodys) == pythons(error)

    def test_marks_the_frames_of_the_application(self) -> None:
        """The first blank is a mark; below the line Python's own marks show which part of it failed."""
        error = raised(fail, ValueError("wrong"))
        assert printed(error, everybodys).splitlines() == [
            "Traceback (most recent call last):",
            f'> File "{__file__}", line {fail.__code__.co_firstlineno + 1}, in fail',
            "    raise error",
            "ValueError: wrong",
        ]

    def test_shows_the_part_of_the_line_that_failed(self) -> None:
        """Of two brackets in a line one was wrong."""

        def work(row: Any) -> Any:
            return row["price"]["net"] + 1

        text = printed(raised(work, {"price": {}}), everybodys)
        assert '    return row["price"]["net"] + 1\n           ~~~~~~~~~~~~^^^^^^^\n' in text

    def test_says_nothing_of_a_place_for_one_that_was_never_raised(self) -> None:
        """There is no traceback then; and no newline at the end: it is a value in a line."""
        assert printed(ValueError("x"), everybodys) == "ValueError: x"

    @pytest.mark.parametrize("source", ["price = 1 +", "if True:\nprice", "f('a', b=1, 2)"])
    def test_of_a_syntax_error_is_pythons(self, source: str) -> None:
        """It shows where in the text the mistake is."""
        error = raised(compile, source, "rule.py", "exec")
        assert 'File "rule.py", line' in printed(error, nobodys)
        assert printed(error, nobodys) == "".join(traceback.format_exception(error)).rstrip("\n")

    def test_has_the_notes(self) -> None:
        """What `add_note` was given comes after the message."""
        error = raised(fail, ValueError("wrong"))
        error.add_note("in order 7\nof customer 3")
        assert printed(error, nobodys).endswith("ValueError: wrong\nin order 7\nof customer 3")

    def test_has_the_source_of_a_zipped_application(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file is in an archive, and its loader knows it."""
        with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
            archive.writestr("zipped_shop.py", "def pay():\n    raise ValueError('declined')\n")
        monkeypatch.syspath_prepend(str(tmp_path / "app.pyz"))
        text = printed(raised(__import__("zipped_shop").pay), Application().owns)
        monkeypatch.delitem(sys.modules, "zipped_shop")
        assert (
            f"> File \"{tmp_path}/app.pyz/zipped_shop.py\", line 2, in pay\n    raise ValueError('declined')\n" in text
        )

    def test_has_the_source_as_it_is_now(self, project: Project) -> None:
        """A file that was read before is looked at again, as Python does."""
        names = project.add("shop.py", "def work():\n    raise ValueError('old')\n")
        assert "raise ValueError('old')" in printed(raised(names["work"]), everybodys)
        (project.folder / "shop.py").write_text("def work():\n    raise ValueError('now and longer')\n")
        assert "raise ValueError('now and longer')" in printed(raised(names["work"]), everybodys)

    def test_reads_no_source_of_what_is_folded(self, call: Callable[..., str], tmp_path: Path) -> None:
        """It would be kept in memory for as long as the process lives."""
        call("APP first second third last")
        kept = {Path(path).parent.name for path in linecache.cache if str(path).startswith(str(tmp_path))}
        assert kept == {"APP", "last"}


class TestFolding:
    """What libraries do among themselves is told in a line."""

    def test_keeps_the_last_of_a_long_run(self, call: Callable[..., str]) -> None:
        """It is the one that called the application, or where the exception was raised."""
        text = call("flask flask werkzeug flask APP requests urllib3 urllib3 ssl")
        assert unmarked(text).splitlines()[1:-1] == [
            *("  ... 3 frames of flask, werkzeug", "  flask", "    inner()"),
            *("> APP", "    inner()"),
            *("  ... 3 frames of requests, urllib3", "  ssl", "    inner()"),
        ]

    def test_leaves_short_runs(self, call: Callable[..., str]) -> None:
        """A line that says two frames are missing is as long as one of them."""
        text = call("flask flask APP flask APP")
        assert [line for line in text.splitlines()[1:-1] if "inner()" not in line and "^" not in line] == [
            *("  flask", "  flask", "> APP", "  flask", "> APP")
        ]

    def test_folds_three_into_two_and_one(self, call: Callable[..., str]) -> None:
        """The last of them says what the application was called by."""
        text = call("flask werkzeug click APP")
        assert text.splitlines()[1:3] == ["  ... 2 frames of flask, werkzeug", "  click"]

    def test_counts_what_was_repeated(self, project: Project) -> None:
        """A recursion in a library is as many frames as it had."""
        source = "def step(left, inner):\n    return step(left - 1, inner) if left else inner()\n"
        first, second, third = (project.add(f"site-packages/{name}/core.py", source) for name in "abc")
        for name, names in zip("abc", (first, second, third), strict=True):
            names["__name__"] = name

        def own() -> None:
            first["step"](4, partial(second["step"], 0, partial(third["step"], 0, partial(int, "wrong"))))

        text = printed(raised(own), Application().owns)
        assert "\n  ... 6 frames of a, b\n" in text


class TestRecursion:
    @staticmethod
    def deep(number: int) -> int:
        return TestRecursion.deep(number - 1) if number else 1 // 0

    @pytest.mark.parametrize("depth", [1, 3, 4, 5, 400])
    def test_says_how_often_a_line_was_repeated(self, depth: int) -> None:
        """As Python does."""
        error = raised(self.deep, depth)
        assert unmarked(printed(error, everybodys)).replace("> File", "  File") == pythons(error)

    def test_leaves_out_the_middle_of_functions_that_call_each_other(self) -> None:
        """A thousand frames say what fifty do."""

        def ping() -> None:
            pong()

        def pong() -> None:
            ping()

        text = printed(raised(ping), everybodys)
        shown = [line for line in text.splitlines() if line.startswith("> ")]
        folded = re.findall(r"\n  \.\.\. (\d+) frames of tests\n", text)

        assert len(shown) == MOST
        assert len(folded) == 1
        assert int(folded[0]) > 500
        assert shown[0].endswith("in ping")
        assert "RecursionError: maximum recursion depth exceeded" in text.splitlines()[-1]

    def test_keeps_as_many_as_are_printed(self, call: Callable[..., str]) -> None:
        """Up to the limit nothing is left out."""
        assert "frames of" not in call(" ".join(["A", "B"] * (MOST // 2)))
        assert "  ... 1 frame of B\n" in call(" ".join(["A", "B"] * (MOST // 2) + ["A"]))


class TestChains:
    def test_tell_what_it_was_raised_from(self) -> None:
        """What Python prints is what people know how to read."""

        def work() -> None:
            try:
                fail(ConnectionError("timed out"))
            except ConnectionError as error:
                raise ValueError("declined") from error

        error = raised(work)
        assert "\nThe above exception was the direct cause of the following exception:\n" in printed(error, nobodys)
        assert printed(error, nobodys) == pythons(error)

    @pytest.mark.parametrize("suppressed", [False, True])
    def test_tell_what_was_being_handled(self, *, suppressed: bool) -> None:
        """Unless the author said that it does not matter."""

        def work() -> None:
            try:
                fail(ConnectionError("timed out"))
            except ConnectionError:
                error = ValueError("declined")
                error.__suppress_context__ = suppressed
                raise error  # noqa: B904

        error = raised(work)
        assert ("During handling of the above exception" in printed(error, nobodys)) is not suppressed
        assert printed(error, nobodys) == pythons(error)

    def test_of_a_circle_end(self) -> None:
        """Each is told once."""
        first, second = ValueError("first"), TypeError("second")
        first.__cause__, second.__cause__ = second, first
        assert printed(first, nobodys) == pythons(first)

    def test_without_an_end_are_told_in_part(self) -> None:
        """A chain of thousands would fill the line, and take seconds."""
        error = chained(5_000)
        text = printed(error, nobodys)
        assert text.count("KeyError: ") == 20
        assert text.endswith("KeyError: 4999")


def chained(length: int) -> Exception:
    """Return the last of *length* exceptions, each raised from the one before."""
    error: Exception = KeyError(0)
    for number in range(1, length):
        later = KeyError(number)
        later.__cause__ = error
        error = later
    return error


class TestGroups:
    @staticmethod
    def group(*members: Exception) -> ExceptionGroup[Exception]:
        return ExceptionGroup("several", members)

    def test_are_told_as_python_does(self) -> None:
        """With a bar in front, numbered, each with its own traceback, notes and causes."""
        inner = self.group(KeyError("inner"), ValueError("other"))
        chained_member = raised(fail, ValueError("declined"))
        chained_member.__cause__ = raised(fail, ConnectionError("timed out"))
        members: list[Any] = [raised(fail, TypeError("first")), inner, chained_member]
        error = raised(fail, self.group(*members))
        error.add_note("of order 7")

        assert printed(error, nobodys) == pythons(error)
        assert "  +-+---------------- 1 ----------------\n    | Traceback (most recent" in printed(error, nobodys)

    def test_mark_the_frames_of_the_application(self) -> None:
        """Behind the bar."""
        text = printed(raised(fail, self.group(raised(fail, ValueError("wrong")))), everybodys)  # type: ignore[arg-type]
        assert (text.count("\n  | > File "), text.count("\n    | > File ")) == (1, 1)

    @pytest.mark.parametrize("number", [MEMBERS, MEMBERS + 1, MEMBERS + 2, 10_000])
    def test_of_very_many_are_told_in_part(self, number: int) -> None:
        """Python says how many more there are."""
        error = self.group(*(KeyError(each) for each in range(number)))
        assert printed(error, nobodys) == pythons(error)

    def test_in_groups_are_told_down_to_a_depth(self) -> None:
        """Python says where it ends."""
        error: Exception = KeyError()
        for _ in range(15):
            error = self.group(error)
        assert printed(error, nobodys) == pythons(error)

    def test_in_groups_without_an_end_are_told_in_part(self) -> None:
        """A thousand groups of a thousand members would take minutes."""
        error: Exception = KeyError("leaf")
        for _ in range(4):
            error = self.group(*([error] * 100))
        for _ in range(5_000):
            error = self.group(error)
        error = self.group(*(self.group(*(KeyError(each) for each in range(10))) for _ in range(10)))
        text = printed(error, nobodys)
        assert text.count("KeyError: ") + text.count("ExceptionGroup: ") == EXCEPTIONS

    def test_whose_member_was_raised_alone_are_told_without_it(self) -> None:
        """The group is what was being handled when its member was raised: a circle."""
        member = ValueError("member")
        member.__context__ = self.group(member, KeyError("other"))
        text = printed(member, nobodys)
        assert text.count("ValueError: member") == 1
        assert "KeyError: 'other'" in text


class Stop(BaseException):
    """What the code of a hostile object raises."""


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise Stop

    __repr__ = __str__


class Meta(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in {"__module__", "__qualname__", "__name__"}:
            raise Stop
        return super().__getattribute__(name)


class LyingError(Exception, metaclass=Meta):
    """Be of a class that raises whatever it is asked."""


class NotedError(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise Stop


class PretenderError(Exception):
    @property
    def __class__(self) -> type:  # type: ignore[override]
        return ExceptionGroup


class TestHostile:
    """The exception's own code may do anything: the frames are told all the same."""

    @pytest.mark.parametrize(
        ("kind", "last"),
        [
            (UnprintableError, f"{__name__}.UnprintableError: <exception str() failed>"),
            (LyingError, "LyingError: wrong"),
            (NotedError, "NotedError: wrong"),
            (PretenderError, f"{__name__}.PretenderError: wrong"),
        ],
        ids=["unprintable", "lying", "noted", "pretender"],
    )
    def test_exceptions_have_frames_and_a_name(self, kind: type[Exception], last: str) -> None:
        """And a message, if it can be had."""
        lines = printed(raised(fail, kind("wrong")), everybodys).splitlines()
        assert lines[1].endswith("in fail")
        assert lines[-1] == last

    def test_exceptions_are_told_as_causes_too(self) -> None:
        """One of them costs the others nothing."""
        error = raised(fail, ValueError("wrong"))
        error.__cause__ = raised(fail, LyingError("lies"))
        assert "\nLyingError: lies\n\nThe above exception" in printed(error, nobodys)


class TestCut:
    def test_keeps_one_of_the_longest_that_is_kept(self) -> None:
        """Up to the limit nothing is left out."""
        message = "m" * (STACK_LENGTH - len("ValueError: "))
        assert printed(ValueError(message), nobodys) == f"ValueError: {message}"

    def test_leaves_out_the_middle_of_an_endless_one(self) -> None:
        """Its ends say more: where it began, and what it was. It is cut between lines, lest half a secret stay."""
        endless = ValueError("\n".join(f"line {number}" for number in range(STACK_LENGTH)))
        shown = printed(endless, nobodys).split("\n")
        before, after = shown[: shown.index("  ...")], shown[shown.index("  ...") + 1 :]

        assert (before[0], after[-1]) == ("ValueError: line 0", f"line {STACK_LENGTH - 1}")
        assert before[1:] == [f"line {number}" for number in range(1, len(before))]
        assert after == [f"line {number}" for number in range(STACK_LENGTH - len(after), STACK_LENGTH)]
        assert STACK_LENGTH * 0.9 < sum(map(len, shown)) + len(shown) <= STACK_LENGTH + len("\n  ...\n")

    @pytest.mark.parametrize("raising", [True, False], ids=["raised", "not raised"])
    def test_tells_of_one_endless_line_what_it_was(self, *, raising: bool) -> None:
        """A message without any newline, such as a generated statement, does not take the name of its error along."""
        error = ValueError("m" * 2 * STACK_LENGTH)
        shown = printed(raised(fail, error) if raising else error, nobodys)

        assert "ValueError" in shown
        assert len(shown) <= STACK_LENGTH + len("\n  ...\n")
