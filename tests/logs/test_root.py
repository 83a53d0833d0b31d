"""What the root room promises: one handler of ours at the root, and everything as it was when that is undone."""

from __future__ import annotations

import io
import logging
import pickle
import sys
from collections.abc import Iterator
from logging.handlers import QueueHandler
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest

import wideevents
from tests.conftest import state
from tests.logs import Logged, bare_root, handler, logger_with, record_of, run
from tests.strict import parse_log_line
from wideevents import config
from wideevents.logs.root import writes_to_console
from wideevents.logs.stdlib import Handler
from wideevents.testing import capture


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Give what `configured` writes."""
    with config.kept():
        yield Logged()


def wrap_all() -> Any:
    """Wrap the method that makes records, as an instrumentation does, and return the wrapper."""
    wrapped = logging.Logger.makeRecord

    def theirs(*args: Any, **named: Any) -> logging.LogRecord:
        return wrapped(*args, **named)

    logging.Logger.makeRecord = theirs  # type: ignore[method-assign]
    return theirs


def configured(logged: Logged, **settings: Any) -> None:
    """Configure the process, the logging module included."""
    wideevents.configure(**{"service": "tests", "output": logged.sink, **settings})


class TestTakingOver:
    @pytest.mark.parametrize("stream", ["stdout", "stderr", "__stdout__", "__stderr__"])
    def test_replaces_a_handler_that_writes_to_the_console(self, logged: Logged, stream: str) -> None:
        """Or every line would be there twice."""
        with bare_root(logging.StreamHandler(getattr(sys, stream))) as root:
            configured(logged)
            root.info("hello")

            assert ["Handler"] == [type(each).__name__ for each in root.handlers]
            configured(logged, logging=False)
        assert ["hello"] == logged.messages()

    def test_leaves_the_others_alone(self, logged: Logged, tmp_path: Path) -> None:
        """A file's, a queue's, a service's, the test runner's."""
        others: list[logging.Handler] = [
            logging.FileHandler(tmp_path / "app.log"),
            QueueHandler(SimpleQueue()),
            logging.StreamHandler(io.StringIO()),
            logging.NullHandler(),
        ]
        with bare_root(*others) as root:
            configured(logged)

            assert others == root.handlers[1:]
            assert isinstance(root.handlers[0], Handler)
            configured(logged, logging=False)
        others[0].close()

    def test_a_file_on_the_console_is_a_file(self) -> None:
        """Somebody named it."""
        made = logging.FileHandler("/dev/null")
        made.close()
        made.stream = sys.stdout  # type: ignore[assignment]

        assert not writes_to_console(made)

    def test_a_handler_that_has_no_stream_yet_is_left_alone(self) -> None:
        """A subclass may open it later."""

        class Late(logging.StreamHandler[Any]):
            def __init__(self) -> None:
                logging.Handler.__init__(self)

        assert not writes_to_console(Late())

    def test_is_first(self, logged: Logged) -> None:
        """What another handler raises must not keep the line from being written."""

        class Broken(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise ValueError("theirs")

        with bare_root(Broken()) as root:
            configured(logged)
            with pytest.raises(ValueError, match="theirs"):
                root.info("hello")
            configured(logged, logging=False)

        assert ["hello"] == logged.messages()

    @pytest.mark.parametrize(("level", "number"), [("debug", 10), ("info", 20), ("warning", 30), ("error", 40)])
    def test_the_root_logger_has_the_level(self, logged: Logged, level: str, number: int) -> None:
        """Lines below it are not even made."""
        with bare_root() as root:
            configured(logged, level=level)
            assert number == root.level
            configured(logged, logging=False)

    def test_debug_lines_are_let_through_where_they_are_kept(self, logged: Logged) -> None:
        """And of other loggers not."""
        with bare_root():
            configured(logged, debug_lines=("shop",))
            enabled = [logging.getLogger(name).isEnabledFor(10) for name in ("shop", "shop.cart", "other", "")]
            configured(logged, logging=False)
            after = logging.getLogger("shop").level

        assert ([True, True, False, False], 0) == (enabled, after)

    def test_debug_lines_of_all_may_be_kept(self, logged: Logged) -> None:
        """The name of the root logger is the empty one; its level is given back all the same."""
        with bare_root(level=33) as root:
            configured(logged, debug_lines=("",))
            with wideevents.event("job"):
                logging.getLogger("any").debug("kept")
                root.error("failed")
            configured(logged, logging=False)

            assert 33 == root.level
        assert [True] == [line.endswith("debug any kept") for line in logged.event()["log.lines"]]

    def test_replaces_a_handler_of_ours(self, logged: Logged) -> None:
        """A dictConfig may have made one before; undone, it is there again."""
        made = Handler(logs=config.logs)
        with bare_root(made) as root:
            configured(logged)
            root.info("hello")
            configured(logged, logging=False)

            assert [made] == root.handlers
        assert ["hello"] == logged.messages()

    def test_twice_is_once(self, logged: Logged) -> None:
        """Whoever configures again has one handler, and one line for each call."""
        with bare_root() as root:
            for _ in range(3):
                configured(logged)
            root.info("hello")
            number = len(root.handlers)
            configured(logged, logging=False)

            assert (1, []) == (number, root.handlers)
        assert ["hello"] == logged.messages()


class TestAnyExtra:
    @pytest.mark.parametrize("key", ["name", "module", "args", "msg", "levelname", "exc_info", "message", "asctime"])
    def test_may_be_called_as_an_attribute_is(self, logged: Logged, key: str) -> None:
        """The logging module raises KeyError, in the middle of the application's work."""
        with bare_root() as root:
            configured(logged)
            root.info("hello", extra={key: "theirs", "a": 1})
            configured(logged, logging=False)

        line = logged.one()
        assert ("hello", "theirs", 1) == (line["message"], line[f"user_fields.{key}"], line["a"])

    def test_an_error_that_is_not_ours_stays(self, logged: Logged) -> None:
        """A factory of records may raise what it likes."""

        def factory(*args: Any, **named: Any) -> logging.LogRecord:
            raise KeyError("theirs")

        with bare_root() as root:
            configured(logged)
            before = logging.getLogRecordFactory()
            logging.setLogRecordFactory(factory)
            try:
                for extra in (None, {}, {"a": 1}):
                    with pytest.raises(KeyError, match="theirs"):
                        root.info("hello", extra=extra)
            finally:
                logging.setLogRecordFactory(before)
            configured(logged, logging=False)

    def test_an_error_without_any_extra_is_not_tried_again(self, logged: Logged) -> None:
        """A factory that fails is asked once, as without us."""
        asked: list[int] = []

        def factory(*args: Any, **named: Any) -> logging.LogRecord:
            asked.append(1)
            raise KeyError("theirs")

        with bare_root() as root:
            configured(logged)
            before = logging.getLogRecordFactory()
            logging.setLogRecordFactory(factory)
            try:
                for extra in (None, {}):
                    with pytest.raises(KeyError, match="theirs"):
                        root.info("hello", extra=extra)
            finally:
                logging.setLogRecordFactory(before)
            configured(logged, logging=False)

        assert 2 == len(asked)

    def test_goes_through_an_adapter(self, logged: Logged) -> None:
        """Whose extras are extras like any."""
        with bare_root() as root:
            configured(logged)
            logging.LoggerAdapter(root, {"name": "Ann"}).info("hello")
            configured(logged, logging=False)

        assert "Ann" == logged.one()["user_fields.name"]


class TestConfiguredAgain:
    def test_no_line_of_another_thread_is_lost(self, logged: Logged, eager_switching: None) -> None:
        """Neither its handler nor its level is away for a moment; nor does the standard library write it instead."""
        over = Event()
        told: list[int] = []

        def tell() -> None:
            while not over.is_set():
                logging.getLogger("shop").info("line", extra={"name": "cart"})
                told.append(1)

        with bare_root():
            configured(logged)
            threads = [Thread(target=tell) for _ in range(2)]
            for thread in threads:
                thread.start()
            for turn in range(200):
                configured(logged, debug_lines=("shop",) if turn % 2 else (), level="info")
            over.set()
            for thread in threads:
                thread.join()
            configured(logged, logging=False)

        assert (len(told) > 200, len(logged.messages())) == (True, len(told))

    def test_at_no_moment_is_anything_of_it_away(self, logged: Logged) -> None:
        """The handler, the level, the method that takes any `extra`, and the one that keeps debug lines."""
        missing: set[str] = set()

        def look(*_: Any) -> None:
            root = logging.getLogger()
            found = {
                "the handler": any(isinstance(each, Handler) for each in root.handlers),
                "the level": root.level == logging.INFO,
                "the level of debug lines": logging.getLogger("shop").level == logging.DEBUG,
                "makeRecord": hasattr(logging.Logger.makeRecord, "__wrapped__"),
                "handle": hasattr(logging.Logger.handle, "__wrapped__"),
            }
            missing.update(name for name, there in found.items() if not there)

        with bare_root(level=35):
            for _ in range(2):  # the first time it was not there yet
                missing.clear()
                sys.setprofile(look)
                configured(logged, debug_lines=("shop",))
                sys.setprofile(None)
            configured(logged, logging=False)

        assert missing == set()

    def test_what_was_there_before_the_first_time_comes_back(self, logged: Logged) -> None:
        """Handlers, levels and methods, whatever the settings in between; what came in between stays."""
        console, mine = logging.StreamHandler(), logging.NullHandler()
        with bare_root(console, level=35) as root:
            before = state()
            configured(logged, debug_lines=("shop", "cart"))
            root.addHandler(mine)
            configured(logged, debug_lines=("cart", "till"), level="warning")
            levels = [logging.getLogger(name).level for name in ("", "shop", "cart", "till")]
            configured(logged)
            configured(logged, logging=False)
            after = state()

            assert [console, mine] == root.handlers
        assert [logging.WARNING, logging.NOTSET, logging.DEBUG, logging.DEBUG] == levels
        assert [logging.NOTSET] * 3 == [logging.getLogger(name).level for name in ("shop", "cart", "till")]
        ours = {"the recorder", "the way of log lines", "the handlers of the root logger"}
        assert {name: before[name] for name in before if name not in ours} == {
            name: after[name] for name in after if name not in ours
        }

    def test_a_level_that_somebody_set_in_between_is_theirs(self, logged: Logged) -> None:
        """It is what is given back."""
        with bare_root(level=35) as root:
            configured(logged)
            root.setLevel(17)
            configured(logged)
            configured(logged, logging=False)

            assert root.level == 17

    def test_what_somebody_wrapped_in_between_stays_between(self, logged: Logged) -> None:
        """Ours goes around it, and is taken off again."""
        before = logging.Logger.makeRecord
        configured(logged)
        theirs = wrap_all()
        configured(logged)
        around = logging.Logger.makeRecord
        configured(logged, logging=False)
        left = logging.Logger.makeRecord
        logging.Logger.makeRecord = before  # type: ignore[method-assign]

        assert (theirs is left, getattr(around, "__wrapped__", None) is theirs) == (True, True)


class TestUndo:
    def test_gives_back_exactly_what_was_there(self, logged: Logged) -> None:
        """Handlers in their order, levels, hooks, what makes records, what shows warnings."""
        handlers = [logging.NullHandler(), logging.StreamHandler(), logging.NullHandler(), logging.StreamHandler()]
        logging.getLogger("shop").setLevel(logging.ERROR)
        with bare_root(*handlers, level=35):
            before = state()
            configured(logged, debug_lines=("shop", "cart"), level="debug")
            during = state()
            configured(logged, logging=False)
            after = state()
        levels = [logging.getLogger(name).level for name in ("shop", "cart")]
        logging.getLogger("shop").setLevel(logging.NOTSET)

        ours = {"the recorder", "the way of log lines"}
        assert {name: before[name] for name in before if name not in ours} == {
            name: after[name] for name in after if name not in ours
        }
        assert ["NullHandler", "StreamHandler"] * 2 == [type(each).__name__ for each in handlers]
        assert [logging.ERROR, logging.NOTSET] == levels
        for name in (
            *("the handlers of the root logger", "the level of the root logger", "Logger.makeRecord"),
            *("the hooks of what nobody caught", "what shows warnings"),
        ):
            assert before[name] != during[name], name

    def test_leaves_what_came_since(self, logged: Logged) -> None:
        """A handler and a level that somebody set meanwhile are theirs."""
        mine, console = logging.NullHandler(), logging.StreamHandler()
        with bare_root(console) as root:
            configured(logged)
            root.addHandler(mine)
            root.setLevel(17)
            configured(logged, logging=False)

            assert ([console, mine], 17) == (root.handlers, root.level)

    def test_leaves_a_root_logger_that_was_set_up_anew(self, logged: Logged) -> None:
        """What was there before belongs to a past that somebody else has ended."""
        console, theirs = logging.StreamHandler(), logging.StreamHandler()
        with bare_root(console) as root:
            configured(logged)
            root.handlers[:] = [theirs]
            configured(logged, logging=False)

            assert [theirs] == root.handlers

    def test_a_handler_that_somebody_removed_stays_away(self, logged: Logged) -> None:
        """Whatever was there when we came."""
        first, second = logging.NullHandler(), logging.NullHandler()
        with bare_root(first, second) as root:
            configured(logged)
            root.removeHandler(first)
            configured(logged, logging=False)

            assert [second] == root.handlers

    def test_what_somebody_wrapped_around_ours_stays(self, logged: Logged) -> None:
        """An instrumentation that came later is not taken off, and goes on working."""
        before = logging.Logger.makeRecord
        configured(logged)
        theirs = wrap_all()
        configured(logged, logging=False)
        left = logging.Logger.makeRecord
        logging.Logger.makeRecord = before  # type: ignore[method-assign]

        assert theirs is left

    def test_can_be_taken_over_again(self, logged: Logged) -> None:
        """As a test does that puts back what it found."""
        with bare_root() as root:
            configured(logged)
            takeover = config._process.takeover
            with config.kept():
                configured(logged, logging=False)
                root.error("lost")
            root.error("written")

            assert takeover is config._process.takeover
            configured(logged, logging=False)
        assert ["written"] == logged.messages()


class TestBesideTheTestRunner:
    def test_caplog_survives(self, logged: Logged, caplog: pytest.LogCaptureFixture) -> None:
        """A test sees the records as ever, and the lines as well."""
        configured(logged)
        logging.getLogger("shop").warning("careful", extra={"user.id": 42})
        configured(logged, logging=False)
        logging.getLogger("shop").warning("after")

        assert ["careful", "after"] == caplog.messages
        assert ["careful"] == logged.messages()

    def test_what_is_captured_is_a_line(self, logged: Logged) -> None:
        """The fixture of this package has the lines of the test, and configures nothing anew afterwards."""
        with bare_root() as root:
            configured(logged)
            with capture() as events:
                root.warning("careful")
            root.warning("after")
            configured(logged, logging=False)

        assert ["careful"] == [line["message"] for line in events.lines]
        assert ["after"] == logged.messages()


CONFIGURE = "import logging, logging.config, sys, wideevents; wideevents.configure(service='shop', output='json');"


class TestBesideOtherConfigurations:
    """In a process of its own: nothing of the test runner's is there."""

    def test_basic_config_before(self) -> None:
        """Its handler on standard error is replaced."""
        ran = run("import logging; logging.basicConfig(); " + CONFIGURE + "logging.warning('hello')")

        assert (["hello"], "") == (ran.messages(), ran.err)

    def test_basic_config_after(self) -> None:
        """It does nothing, since there is a handler."""
        ran = run(CONFIGURE + "logging.basicConfig(format='plain'); logging.warning('hello')")

        assert (["hello"], "") == (ran.messages(), ran.err)

    def test_basic_config_by_force(self) -> None:
        """Then it is theirs, and undoing ours brings nothing back."""
        ran = run(
            CONFIGURE
            + "logging.basicConfig(format='plain %(message)s', force=True); logging.warning('hello');"
            + "wideevents.configure(logging=False, output='json'); logging.warning('again')"
        )

        assert ([], "plain hello\nplain again\n") == (ran.messages(), ran.err)

    def test_shutdown_and_then_a_line(self) -> None:
        """The line is written: there is nothing that could be closed."""
        ran = run(CONFIGURE + "logging.shutdown(); logging.warning('hello')")

        assert (["hello"], "") == (ran.messages(), ran.err)

    @pytest.mark.parametrize("disabling", [True, False])
    def test_a_later_dict_config_without_a_root(self, disabling: bool) -> None:
        """Ours stays; loggers that are disabled are silent, as they would be without us."""
        ran = run(
            CONFIGURE
            + "known = logging.getLogger('known');"
            + f"logging.config.dictConfig({{'version': 1, 'disable_existing_loggers': {disabling}}});"
            + "known.warning('known'); logging.getLogger('new').warning('new')"
        )

        assert (["new"] if disabling else ["known", "new"], "") == (ran.messages(), ran.err)

    @pytest.mark.parametrize("disabling", [True, False])
    def test_a_later_dict_config_with_a_root(self, disabling: bool) -> None:
        """Then the root logger is theirs, as they wrote it, and nothing is there twice."""
        ran = run(
            CONFIGURE
            + "settings = {'version': 1, 'handlers': {'h': {'class': 'logging.StreamHandler'}},"
            + f"'root': {{'handlers': ['h'], 'level': 'INFO'}}, 'disable_existing_loggers': {disabling}}};"
            + "logging.config.dictConfig(settings); logging.info('hello');"
            + "wideevents.configure(logging=False, output='json'); logging.info('again')"
        )

        assert ([], "hello\nagain\n") == (ran.messages(), ran.err)

    def test_configured_again_after_a_dict_config(self) -> None:
        """Whoever is last has it, once."""
        ran = run(
            CONFIGURE
            + "settings = {'version': 1, 'handlers': {'h': {'class': 'logging.StreamHandler'}}};"
            + "settings['root'] = {'handlers': ['h']};"
            + "logging.config.dictConfig(settings); wideevents.configure(output='json'); logging.warning('hello');"
            + "wideevents.configure(logging=False, output='json'); logging.warning('theirs')"
        )

        assert (["hello"], "theirs\n") == (ran.messages(), ran.err)

    def test_a_default_that_serves_leaves_the_logging_module_alone(self) -> None:
        """A library that makes an event of its own does not own the process."""
        ran = run("import logging, wideevents\nwith wideevents.event('job'): logging.warning('theirs')")

        assert ([], "WARNING:root:theirs\n", 1) == (ran.messages(), ran.err, len(ran.all()))


class TestLinesOnStandardOutput:
    def test_is_what_people_see(self) -> None:
        """The line of the documentation, from a process as people start it."""
        ran = run(CONFIGURE + "logging.getLogger('shop').error('failed', extra={'user.id': 42})")
        line = parse_log_line(ran.out)

        assert ("shop", "failed", "error", "page", 42) == tuple(
            line[name] for name in ("service.name", "message", "level", "alert.urgency", "user.id")
        )
        assert "log.logger" in line


class Seeing(logging.Handler):
    """Note what comes."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


class TestDebugLines:
    """Their loggers are enabled for the sake of one event's `log.lines`, and for nothing else."""

    LOGGER = logging.getLogger("shop.debugged")

    def failing(self, logged: Logged, *debug_lines: str) -> tuple[list[str], list[str]]:
        """Return what a handler of the user's saw of work that failed, and what its event tells of it."""
        seen: list[str] = []
        with bare_root(Seeing(seen)):
            configured(logged, debug_lines=debug_lines)
            with wideevents.event("job"):
                self.LOGGER.debug("looked at %d", 7)
                self.LOGGER.error("failed")
            configured(logged, logging=False)
        return seen, [line.partition(" ")[2] for line in logged.event().get("log.lines", [])]

    def test_no_other_handler_sees_them(self, logged: Logged) -> None:
        """A file of the user's does not fill with what nobody asked it to take."""
        assert self.failing(logged, "shop") == (["failed"], ["debug shop.debugged looked at 7"])

    def test_what_nobody_named_is_as_it_was(self, logged: Logged) -> None:
        """Lines below the level are not even made."""
        assert self.failing(logged, "other") == (["failed"], [])

    def test_without_any_no_method_of_loggers_is_touched_for_them(self, logged: Logged) -> None:
        """Off by default, since it costs."""
        before = logging.Logger.handle
        configured(logged)

        assert logging.Logger.handle is before

    def test_filters_of_their_logger_are_asked(self, logged: Logged) -> None:
        """What its owner drops is not kept."""
        refuse = lambda record: "looked" not in record.getMessage()  # noqa: E731
        self.LOGGER.addFilter(refuse)
        told = self.failing(logged, "shop")
        self.LOGGER.removeFilter(refuse)

        assert told == (["failed"], [])

    def test_a_disabled_logger_keeps_nothing(self, logged: Logged) -> None:
        """It says nothing at all, as a dictConfig wanted it."""
        record = self.LOGGER.makeRecord("shop.debugged", 10, "f", 1, "looked", (), None)
        configured(logged, debug_lines=("shop",))
        self.LOGGER.disabled = True
        with wideevents.event("job") as event:
            self.LOGGER.handle(record)
        self.LOGGER.disabled = False

        assert event.held is None

    def test_a_wrapper_of_somebody_elses_over_ours_stays_and_ours_rests(self, logged: Logged) -> None:
        """It is undone from below."""
        original, seen = logging.Logger.handle, []
        configured(logged, debug_lines=("shop",))
        ours = logging.Logger.handle
        logging.Logger.handle = theirs = lambda *given: ours(*given)  # type: ignore[method-assign, assignment]  # noqa: PLW0108
        configured(logged, logging=False)
        with logger_with(Seeing(seen), name="shop.debugged") as logger:
            logger.debug("looked")
        left, logging.Logger.handle = logging.Logger.handle, original  # type: ignore[method-assign]

        assert (left, seen) == (theirs, ["looked"])


class TestOneLineForOneCall:
    def test_a_handler_of_ours_on_the_way_to_the_root_is_no_second_one(self, logged: Logged) -> None:
        """A dictConfig may name one for a logger, and configure() has one at the root."""
        configured(logged)
        with logger_with(handler(), name="shop") as logger, logger_with(handler(), name="shop.cart") as child:
            logger.propagate = child.propagate = True
            child.info("hello")
            logger.info("world")

        assert ["hello", "world"] == logged.messages()

    def test_a_record_that_came_from_elsewhere_is_written(self, logged: Logged) -> None:
        """It was written there, by a handler of ours; here it was not."""
        configured(logged)
        with logger_with(handler(), name="shop") as logger:
            logger.handle(record := record_of())
            logger.handle(record)
            logger.handle(logging.makeLogRecord(pickle.loads(pickle.dumps(record.__dict__))))

        assert ["hello", "hello"] == logged.messages()
