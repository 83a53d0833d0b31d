"""What the door for structlog promises."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars

import wideevents
from tests.logs import Logged, caught
from tests.strict import parse_log_line
from wideevents import config, health
from wideevents.health import Fault
from wideevents.integrations import structlog as door
from wideevents.integrations.logging import Handler

OWN_FILE = __file__


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    """Leave structlog without a configuration and without bound values."""
    yield
    structlog.reset_defaults()
    clear_contextvars()


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Configure both for one test, and give what was written."""
    with caught() as lines:
        door.configure()
        yield lines


def here() -> int:
    """Return the number of the line that calls."""
    return sys._getframe(1).f_lineno


class TestLine:
    def test_it_is_that_of_the_logging_module(self, reconfigurable: None) -> None:
        """Who reads the stream cannot tell which library a line went through."""
        with caught(logging=True) as lines:
            door.configure()
            logging.getLogger("shop").warning("low stock", extra={"product.id": 7, "left": 0.5})
            structlog.get_logger("shop").warning("low stock", **{"product.id": 7, "left": 0.5})
        through_logging, through_structlog = lines.all()

        assert through_logging.keys() == through_structlog.keys()
        differing = {name for name, value in through_logging.items() if value != through_structlog[name]}
        assert differing <= {"timestamp", "code.line.number", "uptime_s"}

    def test_it_carries_what_was_given(self, logged: Logged) -> None:
        """The text, the level, the fields and the name."""
        structlog.get_logger("shop.cart").info("added %d to %s", 3, "cart", user="ann", items=[1, 2])
        line = logged.one()

        assert (line["message"], line["level"], line["log.logger"]) == ("added 3 to cart", "info", "shop.cart")
        assert (line["user"], line["items"], line["alert.urgency"]) == ("ann", [1, 2], "none")

    @pytest.mark.parametrize(
        ("method", "level"),
        [("info", "info"), ("warn", "warning"), ("warning", "warning"), ("error", "error"), ("critical", "error")],
    )
    def test_each_method_has_its_level(self, logged: Logged, method: str, level: str) -> None:
        """CRITICAL is error: both page a person."""
        getattr(structlog.get_logger(), method)("said")

        assert level == logged.one()["level"]

    def test_a_number_is_a_level_too(self, logged: Logged) -> None:
        """`log.log(logging.WARNING, ...)` is a warning."""
        structlog.get_logger().log(logging.WARNING, "said %s", "it")

        assert (logged.one()["level"], logged.one()["message"]) == ("warning", "said it")

    def test_below_the_level_is_nothing(self, logged: Logged) -> None:
        """Debug is for staging, or when asked for."""
        structlog.get_logger().debug("said")

        assert logged.all() == []

    def test_secrets_are_hidden(self, logged: Logged) -> None:
        """By the key, and by the value, in the text too."""
        structlog.get_logger().info("token=abcdef123456", password="hunter2", card={"number": "4111111111111111"})
        line = logged.one()

        assert line["message"] == "token=[redacted]"
        assert (line["password"], line["card.number"]) == ("[redacted]", "[redacted]")

    def test_names_of_ours_go_to_the_users_fields(self, logged: Logged) -> None:
        """Structlog's users may call a field as they like: nothing is lost."""
        structlog.get_logger().info("said", message="m", level=3, timestamp="t", name="n", args=(1,), logger="own")
        line = logged.one()

        assert (line["message"], line["user_fields.message"], line["user_fields.level"]) == ("said", "m", 3)
        assert (line["user_fields.timestamp"], line["name"], line["args"]) == ("t", "n", [1])

    @pytest.mark.parametrize("message", [3, None, b"bytes", ["a"], {"a": 1}])
    def test_anything_can_be_said(self, logged: Logged, message: Any) -> None:
        """What is no text becomes one."""
        structlog.get_logger().info(message)

        assert isinstance(logged.one()["message"], str)

    @pytest.mark.parametrize(("text", "args"), [("%d", ("x",)), ("%s %s", (1,)), ("%(a)s", (1,)), ("none", (1, 2))])
    def test_arguments_that_do_not_fit_stand_beside_the_text(
        self, logged: Logged, text: str, args: tuple[Any, ...]
    ) -> None:
        """Structlog raises TypeError into the application; ours tells both."""
        structlog.get_logger().warning(text, *args, n=1)
        line = logged.one()

        assert (line["message"], line["log.arguments"], line["n"]) == (text, list(args), 1)

    def test_a_mapping_fills_in_by_name(self, logged: Logged) -> None:
        """As structlog has it."""
        structlog.get_logger().info("%(a)s and %(b)s", {"a": 1, "b": 2})

        assert logged.one()["message"] == "1 and 2"

    def test_an_argument_whose_text_raises_costs_nothing_else(self, logged: Logged) -> None:
        """Not even when it raises what is no Exception."""

        class Hostile:
            def __str__(self) -> str:
                raise KeyboardInterrupt

        structlog.get_logger().info("it is %s", Hostile(), field=Hostile())
        line = logged.one()

        assert (line["message"], line["log.arguments"]) == ("it is %s", ["<unprintable Hostile>"])
        assert line["field"] == "<unprintable Hostile>"


class TestPlace:
    def test_it_is_where_the_call_stands(self, logged: Logged) -> None:
        """Neither structlog nor we stand between."""
        number = here() + 1
        structlog.get_logger().info("said")
        line = logged.one()

        assert (line["code.file.path"], line["code.line.number"]) == (OWN_FILE, number)
        assert line["code.function.name"] == "test_it_is_where_the_call_stands"

    def test_it_is_where_an_async_call_stands(self, logged: Logged) -> None:
        """Structlog runs it in a pool."""

        async def say() -> None:
            await structlog.get_logger("shop").ainfo("said %s", "it")

        asyncio.run(say())
        line = logged.one()

        assert (line["code.file.path"], line["code.function.name"], line["message"]) == (OWN_FILE, "say", "said it")

    def test_a_logger_without_a_name_has_that_of_its_module(self, logged: Logged) -> None:
        """As `logging.getLogger(__name__)` would be called."""
        structlog.get_logger().info("said")

        assert logged.one()["log.logger"] == __name__

    def test_a_name_that_is_no_text_becomes_one(self, logged: Logged) -> None:
        """A line has a name of a logger, whatever it was made of."""
        structlog.get_logger(7).info("said")

        assert logged.one()["log.logger"] == "7"


class TestEvent:
    def test_a_line_carries_the_ids_of_its_event_and_does_not_alert(self, logged: Logged) -> None:
        """The event alerts, once."""
        with wideevents.event("job") as event:
            structlog.get_logger().error("failed")
        line = logged.one()

        assert (line["event.id"], line["trace.id"]) == (event.id, event.trace_id)
        assert "alert.urgency" not in line

    def test_the_event_knows_of_it(self, logged: Logged) -> None:
        """Its level, how many, and what the last error said."""
        with wideevents.event("job"):
            log = structlog.get_logger()
            log.warning("first")
            log.error("second")
            log.info("third")
        event = logged.event()

        assert (event["level"], event["log.count.warning"], event["log.count.error"]) == ("error", 1, 1)
        assert event["log.last_error"] == "second"

    def test_what_is_bound_is_in_the_line(self, logged: Logged) -> None:
        """By `bind`, and by `bind_contextvars`; what the call itself gives goes before."""
        bind_contextvars(tenant="acme", shown=1)
        structlog.get_logger().bind(cart=7).info("said", shown=2)
        line = logged.one()

        assert (line["tenant"], line["cart"], line["shown"]) == ("acme", 7, 2)

    def test_lines_below_the_level_are_kept_for_the_worst(self, reconfigurable: None) -> None:
        """`debug_lines` names loggers; an event that ends well forgets them."""
        with caught(debug_lines=("shop",)) as logged:
            door.configure()
            for outcome in ("well", "badly"):
                with wideevents.event(outcome):
                    structlog.get_logger("shop.cart").debug("looked at %d", 7, token="secret")
                    structlog.get_logger("other").debug("not this one")
                    if outcome == "badly":
                        structlog.get_logger("other").error("failed")
        well, badly = logged.sink.events

        assert "log.lines" not in well
        assert [line.partition(" ")[2] for line in badly["log.lines"]] == ["debug shop.cart looked at 7"]
        assert logged.messages() == ["failed"]


class TestErrors:
    def test_the_one_being_handled_is_told(self, logged: Logged) -> None:
        """`exception` is an error with its stack."""
        try:
            raise ValueError("password=hunter2")
        except ValueError:
            structlog.get_logger().exception("failed")
        line = logged.one()

        assert (line["level"], line["error.type"], "exc_info" in line) == ("error", "ValueError", False)
        assert line["exception.message"] == "password=[redacted]"
        assert "hunter2" not in line["exception.stacktrace"]

    @pytest.mark.parametrize("form", ["itself", "tuple"])
    def test_one_that_is_given_is_told(self, logged: Logged, form: str) -> None:
        """As `exc_info`, in each of its forms."""
        error = KeyError("gone")
        given = error if form == "itself" else (KeyError, error, None)
        structlog.get_logger().warning("failed", exc_info=given)

        assert logged.one()["exception.message"] == "'gone'"

    def test_one_that_is_false_is_told(self, logged: Logged) -> None:
        """An exception that holds others may be as long as they are many."""

        class Several(Exception):  # noqa: N818 - its name is of no matter
            def __len__(self) -> int:
                return 0

        structlog.get_logger().warning("failed", exc_info=Several("none"))

        assert logged.one()["exception.message"] == "none"

    def test_without_one_there_is_none(self, logged: Logged) -> None:
        """`exc_info=True` outside any handler says nothing."""
        structlog.get_logger().warning("failed", exc_info=True)

        assert "error.type" not in logged.one()

    def test_a_stack_that_was_asked_for_is_told(self, logged: Logged) -> None:
        """It ends at the call."""
        structlog.get_logger().info("said", stack_info=True)
        stack = logged.one()["code.stacktrace"]

        assert "test_a_stack_that_was_asked_for_is_told" in stack.splitlines()[-2]
        assert stack.startswith(("  File ", "..."))

    def test_what_a_processor_has_rendered_stays(self, logged: Logged) -> None:
        """A chain of one's own may have formatted the exception before."""
        structlog.get_logger().info("said", exception="Traceback ...", stack="Stack ...")
        line = logged.one()

        assert (line["exception.stacktrace"], line["code.stacktrace"]) == ("Traceback ...", "Stack ...")


class TestThroughLogging:
    def test_it_takes_the_way_of_the_logging_module(self, reconfigurable: None) -> None:
        """Its handlers and filters see the line; any field may be given."""
        seen: list[logging.LogRecord] = []
        with caught(logging=True) as logged:
            logging.getLogger("shop").addFilter(lambda record: seen.append(record) or True)  # type: ignore[func-returns-value]
            door.configure(through_logging=True)
            bind_contextvars(tenant="acme")
            number = here() + 1
            structlog.get_logger("shop").warning("low %s", "stock", name="n", module=2)
            logging.getLogger("shop").filters.clear()
        line = logged.one()

        assert [record.getMessage() for record in seen] == ["low stock"]
        assert (line["user_fields.name"], line["user_fields.module"], line["tenant"]) == ("n", 2, "acme")
        assert (line["code.file.path"], line["code.line.number"]) == (OWN_FILE, number)

    def test_its_loggers_decide_what_is_said(self, reconfigurable: None) -> None:
        """Their levels are asked, and arguments that do not fit are told."""
        logger = logging.getLogger(__name__)
        with caught() as logged:
            door.configure(through_logging=True)
            logger.addHandler(handler := Handler())
            logger.propagate = False  # the test runner's own handler raises for such arguments
            logger.setLevel(logging.INFO)
            structlog.get_logger().debug("not said")
            structlog.get_logger().info("%d", "x", exc_info=ValueError("v"))
            logger.removeHandler(handler)
            logger.propagate = True
        line = logged.one()

        assert (line["message"], line["log.arguments"], line["error.type"]) == ("%d", ["x"], "ValueError")
        assert line["log.logger"] == __name__


class TestOwnChain:
    def chain(self, *processors: Any, bytes_: bool = False) -> Any:
        """Configure structlog with a chain of its user's, and return the file that it writes to."""
        file = io.BytesIO() if bytes_ else io.StringIO()
        factory = structlog.BytesLoggerFactory if bytes_ else structlog.PrintLoggerFactory
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(), *processors],
            wrapper_class=structlog.make_filtering_bound_logger(20),
            logger_factory=factory(file),  # type: ignore[arg-type]
        )
        return file

    def test_the_renderer_gives_our_line(self, logged: Logged) -> None:
        """To a logger of structlog's; what its processors added is not told twice."""
        file = self.chain(door.JSONRenderer())
        structlog.get_logger().warning("said", password="x", a=1)
        line = parse_log_line(file.getvalue().encode())

        assert (line["message"], line["password"], line["a"], line["level"]) == ("said", "[redacted]", 1, "warning")
        assert not [name for name in line if name.startswith("user_fields")]

    def test_the_renderer_gives_bytes(self, logged: Logged) -> None:
        """BytesLogger is structlog's fastest."""
        file = self.chain(door.JSONRenderer(as_bytes=True), bytes_=True)
        structlog.get_logger().warning("said")

        assert parse_log_line(file.getvalue())["message"] == "said"

    def test_an_event_counts_a_line_once(self, logged: Logged) -> None:
        """Also where both processors stand in the chain."""
        file = self.chain(door.add_event, door.JSONRenderer())
        with wideevents.event("job") as event:
            structlog.get_logger().error("failed")
        line = parse_log_line(file.getvalue().encode())

        assert (line["event.id"], logged.event()["log.count.error"]) == (event.id, 1)
        assert "user_fields.event.id" not in line
        assert logged.event()["level"] == "error"

    def test_the_ids_are_there_for_any_renderer(self, logged: Logged) -> None:
        """Who keeps a renderer of their own can still join the lines."""
        seen: list[dict[str, Any]] = []
        self.chain(door.add_event, lambda _, __, event_dict: seen.append(dict(event_dict)) or "")
        with wideevents.event("job") as event:
            event.request_id = "abc"
            structlog.get_logger().info("said")
        structlog.get_logger().info("outside")
        inside, outside = seen

        assert (inside["event.id"], inside["trace.id"], inside["http.request.id"]) == (event.id, event.trace_id, "abc")
        assert "event.id" not in outside
        assert inside.keys() - outside.keys() == {"event.id", "trace.id", "http.request.id"}

    def test_what_is_not_known_is_left_out(self, logged: Logged) -> None:
        """Work that is no request has no id of one."""
        seen: list[dict[str, Any]] = []
        self.chain(door.add_event, lambda _, __, event_dict: seen.append(dict(event_dict)) or "")
        with wideevents.event("job"):
            structlog.get_logger().info("said")

        assert "http.request.id" not in seen[0]

    def test_a_method_by_its_old_name_is_a_warning(self, logged: Logged) -> None:
        """Other wrappers hand the name on as it was called."""
        line = door.JSONRenderer()(None, "warn", {"event": "said"})

        assert parse_log_line(f"{line}\n".encode())["level"] == "warning"

    def test_the_name_that_a_processor_added_is_used(self, logged: Logged) -> None:
        """`add_logger_name` writes it under "logger"."""
        file = self.chain(lambda _, __, event_dict: {**event_dict, "logger": "shop"}, door.JSONRenderer())
        structlog.get_logger().info("said")

        assert parse_log_line(file.getvalue().encode())["log.logger"] == "shop"


class TestAtOnce:
    def test_threads_lose_nothing(self, logged: Logged) -> None:
        """Every line is there, whole, with the id of its own event."""
        ids: dict[str, str] = {}

        def work(name: str) -> None:
            with wideevents.event(name) as event:
                ids[name] = event.id
                for _ in range(50):
                    structlog.get_logger().warning(name)

        threads = [threading.Thread(target=work, args=(f"job{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = logged.all()

        assert len(lines) == 8 * 50
        assert all(line["event.id"] == ids[line["message"]] for line in lines)
        assert all(event["log.count.warning"] == 50 for event in logged.sink.events)

    def test_a_sink_that_logs_does_not_recurse(self, reconfigurable: None) -> None:
        """What it says is written a few times, and then counted."""

        class Talking:
            def write(self, entry: Any) -> None:
                structlog.get_logger().info("I wrote")

            def close(self) -> None: ...

        wideevents.configure(output=Talking(), logging=False)
        door.configure()
        structlog.get_logger().info("said")

        assert health.faults.counts()[Fault.RECURSION] == 1
        assert config.logs().loggers.level.label == "info"
