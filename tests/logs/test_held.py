"""What the room for held lines promises: lines that are kept with their event, few and small."""

from __future__ import annotations

import logging
import signal
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wideevents
from tests.conftest import at_once
from tests.logs import Logged, caught, handler, logger_with
from tests.logs.test_lines import JWT
from wideevents import Level
from wideevents.logs import held
from wideevents.logs.held import BYTES, CUT, LINES, READ, keep
from wideevents.stages.encode import Limits

NOON = datetime(2026, 1, 2, 12, 0, 0, 5, tzinfo=UTC)


def kept(*words: str, level: Level = Level.DEBUG) -> list[str]:
    """Return what is kept of *words*, each of which is said in one event."""
    with caught(), wideevents.event("job") as event:
        for each in words:
            keep(event, NOON, level, each)
        return list(event.held or ())


def size(lines: list[str]) -> int:
    """Return the bytes that *lines* take."""
    return sum(len(line.encode("utf-8", "replace")) for line in lines)


def flown(*calls: tuple[Any, ...], level: int = logging.ERROR, names: tuple[str, ...] = ("shop",)) -> Logged:
    """Log *calls* at the level debug in one event, and then something at *level*; return what was written."""
    with caught(debug_lines=names) as logged, logger_with(handler()) as shop, wideevents.event("job"):
        for message, *args in calls:
            shop.debug(message, *args)
        shop.log(level, "the end")
    return logged


class TestALine:
    @pytest.mark.parametrize("level", list(Level))
    def test_is_time_level_logger_and_message(self, level: Level) -> None:
        """What a person reads, in the order in which they read it."""
        assert [f"12:00:00.000005 {level.label} shop paid"] == kept("shop paid", level=level)

    @pytest.mark.parametrize("secret", [f"token {JWT}", "password=hunter2hunter2"])
    def test_is_redacted_when_it_is_kept(self, secret: str) -> None:
        """No secret waits in memory."""
        (line,) = kept(f"shop {secret} end")

        assert "[redacted]" in line
        assert secret.rsplit("=", maxsplit=1)[-1].rsplit(maxsplit=1)[-1] not in line

    def test_is_cut_to_what_may_be_kept(self) -> None:
        """Its beginning stays, and it says that there was more."""
        (line,) = kept("m" * (BYTES + 1))

        assert (BYTES, True) == (len(line), line.endswith("m" + CUT))

    def test_of_just_that_size_is_whole(self) -> None:
        """Nothing is cut that fits."""
        room = BYTES - len("12:00:00.000005 debug ")
        (whole,), (cut,) = kept("m" * room), kept("m" * (room + 1))

        assert (False, True) == (whole.endswith(CUT), cut.endswith(CUT))

    def test_is_cut_between_characters(self) -> None:
        """Bytes are counted, and no character is broken."""
        (line,) = kept("\u20ac" * BYTES)

        assert BYTES - 3 < size([line]) <= BYTES
        assert line.removesuffix(CUT).endswith("\u20ac")

    def test_beyond_what_is_looked_at_is_not_kept(self) -> None:
        """A secret that starts there is not looked for."""
        (line,) = kept("m" * (READ - 4) + f" {JWT}")

        assert JWT[:8] not in line

    def test_that_is_full_of_secrets_tells_no_half_of_one(self) -> None:
        """What is looked at ends with a word, or the half of a secret that remains would be no secret to us."""
        for shift in range(0, 100, 7):
            (line,) = kept("m" * shift + f" {JWT}" * 500)

            assert line.removesuffix(CUT).split()[3:] == ["[redacted]"] * (len(line.split()) - 3)


class TestHowMuch:
    def test_is_kept_in_order(self) -> None:
        """As it was said."""
        assert ["a", "b", "c"] == [line[-1] for line in kept("a", "b", "c")]

    def test_the_newest_lines_stay(self) -> None:
        """What led to the end is at the end."""
        lines = kept(*(str(number) for number in range(LINES + 5)))

        assert (LINES, "5", str(LINES + 4)) == (len(lines), lines[0].split()[-1], lines[-1].split()[-1])

    def test_the_newest_bytes_stay(self) -> None:
        """A long line costs the oldest ones, and no more of them than it must."""
        lines = kept(*(f"{number} {'m' * 1_100}" for number in range(10)))

        assert ["7", "8", "9"] == [line.split()[2] for line in lines]
        assert BYTES - 1_200 < size(lines) <= BYTES

    def test_exactly_what_fits_stays(self) -> None:
        """The limit itself is allowed."""
        half = "m" * (BYTES // 2 - len("12:00:00.000005 debug "))

        assert (2, 1) == (len(kept(half, half)), len(kept(half, half + "m")))

    def test_nothing_is_kept_of_what_was_not_said(self) -> None:
        """An event without lines costs nothing."""
        assert [] == kept()

    @given(st.lists(st.text(max_size=3_000), max_size=12))
    def test_is_bounded_whatever_is_said(self, words: list[str]) -> None:
        """Within the bytes, and never empty where something was said."""
        lines = kept(*words)

        assert size(lines) <= BYTES
        assert bool(words) is bool(lines)

    def test_threads_may_keep_lines_at_once(self, eager_switching: None) -> None:
        """None of them fails, and the bound holds."""
        with caught(), wideevents.event("job") as event:

            def work() -> None:
                for number in range(300):
                    keep(event, NOON, Level.DEBUG, f"{number} {'m' * 4_000}")

            at_once(*[work] * 4)
            lines = list(event.held or ())

        assert 1 == len(lines)

    def test_no_line_of_a_thread_is_lost_at_the_beginning(self, eager_switching: None) -> None:
        """The first lines may come from several threads."""
        for _ in range(100):
            with caught(), wideevents.event("job") as event:
                at_once(*[lambda event=event: keep(event, NOON, Level.DEBUG, "m")] * 4)  # type: ignore[misc]

                assert 4 == len(event.held or ())

    def test_a_signal_handler_may_keep_one_in_between(self) -> None:
        """It runs in the middle of another line of its own thread."""
        with caught(), wideevents.event("job") as event:
            before = signal.signal(signal.SIGALRM, lambda *_: keep(event, NOON, Level.DEBUG, "signal"))
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            try:
                until = time.monotonic() + 0.5
                while time.monotonic() < until:
                    keep(event, NOON, Level.DEBUG, "m" * 30)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)
            lines = list(event.held or ())

        assert BYTES - 200 < size(lines) <= BYTES  # the line in the middle may have dropped one more


class TestFromTheLogger:
    def test_lines_come_with_an_event_that_failed(self) -> None:
        """They are there for the one that needs them."""
        logged = flown(("looked in %s", "the cart"), ("paid",))

        shown = [line.split(" ", 1)[1] for line in logged.event()["log.lines"]]
        assert ["debug shop looked in the cart", "debug shop paid"] == shown

    def test_lines_are_not_written_themselves(self) -> None:
        """No line is told twice."""
        assert ["the end"] == flown(("paid",)).messages()

    def test_lines_are_thrown_away_where_all_is_well(self) -> None:
        """Most events need none."""
        assert "log.lines" not in flown(("paid",), level=logging.WARNING).event()

    def test_a_message_is_formatted_when_it_is_logged(self) -> None:
        """What changes afterwards does not change what was said."""
        cart = ["book"]
        with caught(debug_lines=("shop",)) as logged, logger_with(handler()) as shop, wideevents.event("job"):
            shop.debug("cart: %s", cart)
            cart.clear()
            shop.error("empty")

        assert logged.event()["log.lines"][0].endswith("shop cart: ['book']")

    def test_other_loggers_are_written_as_ever(self) -> None:
        """Only the named ones are kept."""
        assert ["paid", "the end"] == flown(("paid",), names=("cart",)).messages()

    def test_outside_any_event_they_are_gone(self) -> None:
        """There is nothing to keep them with, and the next event has nothing to do with them."""
        with caught(debug_lines=("shop",)) as logged, logger_with(handler()) as shop:
            shop.debug("lost")
            with wideevents.event("job"):
                shop.error("failed")

        assert (["failed"], False) == (logged.messages(), "log.lines" in logged.event())

    def test_an_event_has_its_own(self) -> None:
        """What one keeps is not told by the next, nor by the one around it."""
        with caught(debug_lines=("shop",)) as logged, logger_with(handler()) as shop, wideevents.event("outer"):
            shop.debug("outside")
            with wideevents.event("inner"):
                shop.debug("inside")
                shop.error("failed")

        (line,) = (event["log.lines"] for event in logged.sink.events if event["event.name"] == "inner")
        assert [True] == [each.endswith("inside") for each in line]

    def test_bad_arguments_are_kept(self) -> None:
        """The format string is there, where it does not fit."""
        (line,) = flown(("%d items", "three")).event()["log.lines"]

        assert line.endswith("debug shop %d items")

    def test_they_are_off_by_default(self) -> None:
        """Nobody pays for what they did not ask for."""
        with caught(level="info") as logged, logger_with(handler()) as shop:
            with wideevents.event("job") as event:
                shop.debug("paid")
                assert event.held is None
            assert "log.lines" not in logged.event()

    def test_they_are_let_go_with_the_event(self) -> None:
        """What a thread still holds is an empty shell."""
        with caught(debug_lines=("shop",)), logger_with(handler()) as shop:
            with wideevents.event("job") as event:
                shop.debug("paid")
            assert event.held is None

    def test_they_are_the_first_to_be_trimmed(self) -> None:
        """A line stays within its size; the newest stay."""
        with (
            caught(debug_lines=("shop",), limits=Limits(max_bytes=2_048)) as logged,
            logger_with(handler()) as shop,
            wideevents.event("job"),
        ):
            for number in range(60):
                shop.debug("%s %d", "m" * 20, number)
            shop.error("failed")

        (line,) = logged.sink.events
        assert ["log.lines"] == line["event.trimmed"]
        assert line["log.lines"][-1].endswith(" 59")

    def test_the_limits_are_those_that_are_documented(self) -> None:
        """100 lines, 4 KiB."""
        assert (100, 4_096) == (held.LINES, held.BYTES)
