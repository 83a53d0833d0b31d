"""What the hooks room promises: what nobody caught is a line, and whoever else listens is told, too."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests.logs import Logged, bare_root, caught, handler, run
from wideevents.logs import hooks
from wideevents.logs.hooks import Hooks

OWNERS: list[tuple[Any, str]] = [(sys, "excepthook"), (threading, "excepthook"), (sys, "unraisablehook")]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Give what is logged while the hooks are set; all is as it was afterwards."""
    before = [getattr(owner, name) for owner, name in OWNERS]
    with caught() as written, bare_root(handler(), level=logging.INFO), warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        for owner, name in OWNERS:
            setattr(owner, name, getattr(owner, f"__{name}__"))
        yield written
    for (owner, name), hook in zip(OWNERS, before, strict=True):
        setattr(owner, name, hook)


@pytest.fixture
def installed(logged: Logged) -> Iterator[Hooks]:
    """Set the hooks for the test."""
    made = Hooks()
    made.install()
    yield made
    made.undo()


def error() -> tuple[type[BaseException], BaseException, Any]:
    """Return what a hook gets."""
    try:
        raise ValueError("failed")
    except ValueError as raised:
        return type(raised), raised, raised.__traceback__


def in_thread(kind: Any = ValueError, value: Any = None, trace: Any = None, thread: Any = None) -> Any:
    """Return what the hook of threads gets."""
    return threading.ExceptHookArgs((kind, value, trace, thread))


def unraisable(**given: Any) -> Any:
    """Return what the hook of what cannot be raised gets."""
    kind, value, trace = error()
    made = {"exc_type": kind, "exc_value": value, "exc_traceback": trace, "err_msg": None, "object": None}
    return SimpleNamespace(**{**made, **given})


class Broken(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("theirs")


CONFIGURE = """
import logging, logging.config, sys, threading, warnings, wideevents
wideevents.configure(service="shop", output="json")
"""


class TestUncaught:
    def test_ends_the_process_with_a_line(self) -> None:
        """Its exit code is Python's; nothing stands on standard error, where it would be no line."""
        ran = run(CONFIGURE + "raise ValueError('failed')")
        line = ran.one()

        assert (1, "") == (ran.code, ran.err)
        assert ("error", "py.uncaught", "Uncaught exception: ValueError") == (
            line["level"],
            line["log.logger"],
            line["message"],
        )
        assert ("failed", "page") == (line["exception.message"], line["alert.urgency"])
        assert "raise ValueError" in line["exception.stacktrace"] or "<module>" in line["exception.stacktrace"]

    @pytest.mark.parametrize(("statement", "code"), [("sys.exit(3)", 3), ("sys.exit('bye')", 1), ("sys.exit()", 0)])
    def test_an_exit_is_none(self, statement: str, code: int) -> None:
        """The process ends as it says."""
        ran = run(CONFIGURE + statement)

        assert (code, []) == (ran.code, ran.lines())

    def test_ctrl_c_is_none(self) -> None:
        """It is told as Python tells it, and ends by the signal as without us."""
        ran = run(CONFIGURE + "raise KeyboardInterrupt")

        assert ([], True, -2) == (ran.lines(), "KeyboardInterrupt" in ran.err, ran.code)

    def test_ctrl_c_is_left_to_python(
        self, logged: Logged, installed: Hooks, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And so is a subclass of it."""
        for kind in (KeyboardInterrupt, type("Stop", (KeyboardInterrupt,), {})):
            sys.excepthook(kind, kind("stop"), None)

        assert ([], 2) == (logged.all(), capsys.readouterr().err.count("stop"))

    def test_what_is_no_exception_is_told_too(self) -> None:
        """A CancelledError that reached the top ends the process as any other."""
        ran = run(CONFIGURE + "import asyncio\nraise asyncio.CancelledError")

        assert (1, "asyncio.exceptions.CancelledError") == (ran.code, ran.one()["exception.type"])

    def test_in_an_event_is_told_by_both(self) -> None:
        """The event ended with it, and the process did."""
        ran = run(CONFIGURE + "with wideevents.event('job'): raise ValueError('failed')")

        assert ["ValueError", "ValueError"] == [line["error.type"] for line in ran.all()]


class TestInAThread:
    def test_is_a_line(self) -> None:
        """With the name of the thread; the process goes on."""
        ran = run(
            CONFIGURE + "t = threading.Thread(target=lambda: 1 / 0, name='w'); t.start(); t.join(); print(end='')"
        )
        line = ran.one()

        assert (0, "") == (ran.code, ran.err)
        assert ("Uncaught exception in the thread w: ZeroDivisionError", "w") == (line["message"], line["thread.name"])
        assert "lambda" in line["exception.stacktrace"]

    def test_an_exit_is_silent(self) -> None:
        """As Python has it."""
        ran = run(CONFIGURE + "t = threading.Thread(target=sys.exit); t.start(); t.join()")

        assert ([], "") == (ran.lines(), ran.err)

    def test_an_exit_is_left_to_python(self, logged: Logged, installed: Hooks) -> None:
        """Which says nothing of it."""
        threading.excepthook(in_thread(SystemExit))

        assert [] == logged.all()

    def test_a_thread_that_is_gone_is_unknown(self, logged: Logged, installed: Hooks) -> None:
        """And an error that is gone is its class."""
        threading.excepthook(in_thread())

        assert "Uncaught exception in the thread unknown: ValueError" == logged.one()["message"]

    def test_belongs_to_the_event_of_the_thread(self) -> None:
        """A thread that a request started fails in its event: that one raises its level."""
        ran = run(
            CONFIGURE
            + "with wideevents.event('job'):\n    t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join()"
        )
        line, event = ran.all()

        assert (event["event.id"], "error") == (line["event.id"], event["level"])


class TestUnraisable:
    def test_in_del_is_a_warning(self) -> None:
        """All goes on."""
        ran = run(
            CONFIGURE
            + """
            class Cart:
                def __del__(self): raise ValueError("failed")
            Cart()
            logging.warning("on")
            """.replace("\n            ", "\n")
        )
        line, after = ran.lines()

        assert ("warning", "failed", "on", "") == (line["level"], line["exception.message"], after["message"], ran.err)
        assert "Cart.__del__" in line["message"]

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({}, "Exception ignored in: None"),
            ({"err_msg": "Exception ignored on calling ctypes"}, "Exception ignored on calling ctypes: None"),
            ({"exc_value": None}, "Exception ignored in: None"),
        ],
    )
    def test_says_what_python_says(self, logged: Logged, installed: Hooks, given: dict[str, Any], message: str) -> None:
        """Also where little is known."""
        sys.unraisablehook(unraisable(**given))

        assert message == logged.one()["message"]
        assert (given.get("exc_value", 1) is None) is ("exception.type" not in logged.one())

    def test_an_object_that_cannot_be_printed_is_named(self, logged: Logged, installed: Hooks) -> None:
        """It is often half gone."""

        class Gone:
            def __repr__(self) -> str:
                raise ValueError

        sys.unraisablehook(unraisable(object=Gone()))

        assert "Exception ignored in: <unprintable Gone>" == logged.one()["message"]


class TestAsyncio:
    def test_a_task_that_nobody_awaited_is_a_line(self) -> None:
        """The handler of the event loop logs it."""
        ran = run(
            CONFIGURE
            + """
import asyncio, gc
async def fail(): raise ValueError("failed")
async def main():
    asyncio.create_task(fail())
    await asyncio.sleep(0.01)
    gc.collect()
asyncio.run(main())
"""
        )
        line = ran.one()

        assert ("asyncio", "error", "ValueError", "") == (
            *(line[name] for name in ("log.logger", "level", "exception.type")),
            ran.err,
        )

    def test_a_callback_that_fails_is_a_line(self) -> None:
        """The loop goes on."""
        ran = run(
            CONFIGURE
            + """
import asyncio
async def main():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)
    logging.warning("on")
asyncio.run(main())
"""
        )

        assert (["asyncio", "root"], "ZeroDivisionError") == (
            [line["log.logger"] for line in ran.lines()],
            ran.lines()[0]["exception.type"],
        )

    def test_what_main_raises_is_a_line(self) -> None:
        """As without an event loop."""
        ran = run(CONFIGURE + "import asyncio\nasync def main(): raise ValueError('failed')\nasyncio.run(main())")

        assert (1, "failed") == (ran.code, ran.one()["exception.message"])


class TestWarnings:
    def test_are_lines(self) -> None:
        """Of the logger that the logging module has for them."""
        ran = run(CONFIGURE + "warnings.warn('old')")
        line = ran.one()

        assert ("py.warnings", "warning", "") == (line["log.logger"], line["level"], ran.err)
        assert "UserWarning: old" in line["message"]

    def test_that_are_errors_are_raised(self) -> None:
        """The filters hold."""
        ran = run(CONFIGURE + "warnings.simplefilter('error')\ntry: warnings.warn('old')\nexcept UserWarning: pass")

        assert (0, []) == (ran.code, ran.lines())

    def test_that_a_test_records_are_its_own(self, logged: Logged, installed: Hooks) -> None:
        """`pytest.warns` sees them as ever."""
        with pytest.warns(UserWarning, match="old"):
            warnings.warn("old", stacklevel=1)

        assert [] == logged.all()

    def test_captured_before_stay_captured(self, logged: Logged) -> None:
        """Whoever did it undoes it."""
        logging.captureWarnings(capture=True)
        made = Hooks()
        made.install()
        made.undo()
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(capture=False)

        assert "py.warnings" == logged.one()["log.logger"]

    def test_are_captured_again_after_a_block_that_caught_them(self, logged: Logged) -> None:
        """The logging module believes that it has them, and it has not: a test runner does that to every test."""
        with warnings.catch_warnings():
            logging.captureWarnings(capture=True)
        made = Hooks()
        made.install()
        warnings.warn("old", stacklevel=1)
        made.undo()

        assert "py.warnings" == logged.one()["log.logger"]

    def test_undone_after_such_a_block_they_can_be_captured_again(self, logged: Logged) -> None:
        """By the logging module itself."""
        made = Hooks()
        with warnings.catch_warnings():
            made.install()
        made.undo()
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(capture=False)

        assert "py.warnings" == logged.one()["log.logger"]

    def test_shown_by_somebody_else_since_stay_so(self, logged: Logged) -> None:
        """Theirs is not taken away when ours goes."""
        made = Hooks()
        made.install()
        theirs: Callable[..., None] = lambda *_, **__: None  # noqa: E731 - a function without a name of its own
        warnings.showwarning = theirs
        made.undo()
        left = warnings.showwarning
        logging.captureWarnings(capture=False)

        assert theirs is left

    def test_may_be_shown_by_anything(self, logged: Logged) -> None:
        """By what has no module, for example."""

        class Shower:
            __slots__ = ()
            __module__ = property(lambda self: self.missing)  # type: ignore[assignment]

            def __call__(self, *_: Any, **__: Any) -> None: ...

        warnings.showwarning = Shower()
        made = Hooks()
        made.install()
        warnings.warn("old", stacklevel=1)
        made.undo()

        assert "py.warnings" == logged.one()["log.logger"]


class TestSomebodyElsesHook:
    @pytest.mark.parametrize(("owner", "name"), OWNERS)
    def test_that_was_there_is_called_too(self, logged: Logged, owner: Any, name: str) -> None:
        """Sentry's, for example: nothing is taken from it."""
        told: list[Any] = []
        setattr(owner, name, lambda *raised: told.append(raised))
        made = Hooks()
        made.install()
        raised = error() if (owner, name) == OWNERS[0] else (unraisable() if owner is sys else in_thread(*error()),)
        getattr(owner, name)(*raised)
        made.undo()

        assert ([raised], 1) == (told, len(logged.all()))

    @pytest.mark.parametrize(("owner", "name"), OWNERS)
    def test_that_came_since_stays(self, logged: Logged, owner: Any, name: str) -> None:
        """Whoever is on top of ours keeps it under it."""
        made = Hooks()
        made.install()
        theirs: Any = lambda *_: None  # noqa: E731 - a function without a name of its own
        setattr(owner, name, theirs)
        made.undo()

        assert theirs is getattr(owner, name)

    def test_on_top_of_ours_does_not_make_it_two_lines(self, logged: Logged) -> None:
        """Configured twice, with Sentry in between, an error is still one line."""
        told: list[Any] = []
        made = Hooks()
        made.install()
        ours = sys.excepthook

        def theirs(*raised: Any) -> None:
            told.append(raised)
            ours(*raised)

        sys.excepthook = theirs
        made.undo()
        made.install()
        sys.excepthook(*error())
        made.undo()

        assert (1, 1) == (len(told), len(logged.all()))

    def test_under_which_ours_is_idle_has_pythons_own(self, logged: Logged, capsys: pytest.CaptureFixture[str]) -> None:
        """Undone is undone: what ours stood before is called, and no line is written."""
        made = Hooks()
        made.install()
        ours = sys.excepthook
        made.undo()
        ours(*error())

        assert ([], True) == (logged.all(), "ValueError: failed" in capsys.readouterr().err)


class TestWhereALineCannotBeLogged:
    def test_python_tells_it(self, logged: Logged, installed: Hooks, capsys: pytest.CaptureFixture[str]) -> None:
        """A filter that fails must not hide the error."""
        hooks.logger.addFilter(broken := Broken())
        sys.excepthook(*error())
        hooks.logger.removeFilter(broken)

        assert "ValueError: failed" in capsys.readouterr().err

    def test_python_tells_it_where_logging_is_off(
        self, logged: Logged, installed: Hooks, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """`logging.disable()` says nothing of what nobody caught."""
        logging.disable(logging.CRITICAL)
        sys.excepthook(*error())
        logging.disable(logging.NOTSET)

        assert ([], True) == (logged.all(), "ValueError: failed" in capsys.readouterr().err)

    @pytest.mark.parametrize(
        "statement", ["raise ValueError('failed')", "threading.Thread(target=lambda: {}[0]).start()"]
    )
    def test_a_dict_config_that_disables_loggers_does_not_hide_it(self, statement: str) -> None:
        """It disables all that it does not name, by default; nobody means this one."""
        ran = run(CONFIGURE + "logging.config.dictConfig({'version': 1})\n" + statement)

        assert (["py.uncaught"], "") == ([line["log.logger"] for line in ran.lines()], ran.err)

    def test_undone_python_tells_it(self) -> None:
        """As if we had never been there."""
        ran = run(CONFIGURE + "wideevents.configure(output='json', logging=False)\nraise ValueError('failed')")

        assert (1, [], True) == (ran.code, ran.lines(), "ValueError: failed" in ran.err)
