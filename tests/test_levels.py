"""What the levels room promises."""

from __future__ import annotations

import logging

import pytest

from wideevents.errors import ConfigurationError
from wideevents.levels import Level, Urgency


class TestParse:
    @pytest.mark.parametrize("name", ["warning", "WARNING", "Warning", "wArNiNg"])
    def test_takes_a_name_in_any_case(self, name: str) -> None:
        """A level is found by its name, however that is written."""
        assert Level.parse(name) == Level.WARNING

    @pytest.mark.parametrize("level", list(Level))
    def test_takes_every_level_by_its_label_and_by_itself(self, level: Level) -> None:
        """What stands in a line can be given back as a setting, and a level is one already."""
        assert (Level.parse(level.label), Level.parse(level)) == (level, level)

    @pytest.mark.parametrize("name", ["CRITICAL", "critical", "Critical", "FATAL", "fatal", "Fatal"])
    def test_takes_what_logging_calls_critical_as_an_error(self, name: str) -> None:
        """There is nothing above an error: both page a person."""
        assert Level.parse(name) == Level.ERROR

    @pytest.mark.parametrize(
        ("name", "level"),
        [
            ("WARN", Level.WARNING),
            (" Info\n", Level.INFO),
            ("25", Level.INFO),
            ("050", Level.ERROR),
        ],
    )
    def test_takes_what_people_write_into_an_environment(self, name: str, level: Level) -> None:
        """A short form, a space too many, or the number as text."""
        assert Level.parse(name) == level

    def test_takes_a_number_of_the_logging_module(self) -> None:
        """A number is a level, rounded down."""
        assert [Level.parse(number) for number in (logging.DEBUG, 25, logging.ERROR)] == [
            Level.DEBUG,
            Level.INFO,
            Level.ERROR,
        ]

    @pytest.mark.parametrize(
        "wrong",
        ["", "loud", "2x", "-1", "9" * 5_000, "²", None, True, 2.0, b"info", ["info"], {}, object],
        ids=lambda wrong: repr(wrong)[:20],
    )
    def test_refuses_anything_else_in_a_sentence(self, wrong: object) -> None:
        """A wrong level fails where it is given, and the sentence names the setting, the value and what is allowed."""
        with pytest.raises(ConfigurationError) as refused:
            Level.parse(wrong, setting="LOG_LEVEL")  # type: ignore[arg-type]

        assert str(refused.value) == (
            f"LOG_LEVEL={wrong!r} cannot be used: it must be debug, info, warning, error, or a number of the logging "
            f"module."
        )

    def test_calls_the_setting_level_unless_told_otherwise(self) -> None:
        """The sentence speaks of `level`, the argument of configure()."""
        with pytest.raises(ConfigurationError, match=r"^level='loud' "):
            Level.parse("loud")


class TestFromNumber:
    @pytest.mark.parametrize(
        ("number", "level"),
        [
            (-1, Level.DEBUG),
            (0, Level.DEBUG),
            (10, Level.DEBUG),
            (19, Level.DEBUG),
            (20, Level.INFO),
            (25, Level.INFO),
            (29, Level.INFO),
            (30, Level.WARNING),
            (39, Level.WARNING),
            (40, Level.ERROR),
            (50, Level.ERROR),
            (10**6, Level.ERROR),
        ],
    )
    def test_rounds_down(self, number: int, level: Level) -> None:
        """A custom level is the one below it; CRITICAL is error, and all below info is debug."""
        assert Level.from_number(number) is level


class TestLevel:
    def test_has_the_numbers_of_the_logging_module(self) -> None:
        """A level can be compared with a log record's."""
        numbers = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
        assert [int(level) for level in Level] == numbers

    def test_is_ordered(self) -> None:
        """An error matters more than a warning, and so on down."""
        assert sorted([Level.ERROR, Level.DEBUG, Level.WARNING, Level.INFO]) == list(Level)

    def test_has_a_label_in_lower_case(self) -> None:
        """The label is what stands in a line."""
        assert [level.label for level in Level] == ["debug", "info", "warning", "error"]

    def test_says_whom_it_may_wake(self) -> None:
        """An error pages, a warning waits for the morning, info is a record, debug is there on request."""
        assert {level.label: level.urgency for level in Level} == {
            "error": Urgency.PAGE,
            "warning": Urgency.BUSINESS_HOURS,
            "info": Urgency.NONE,
            "debug": Urgency.ON_REQUEST,
        }
