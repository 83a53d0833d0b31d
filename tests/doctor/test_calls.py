"""
Which calls are noted.

Frames are made and handed over here: what runs inside a profile function is not measured by coverage.
"""

from __future__ import annotations

import inspect
import logging
import logging.config
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from wideevents.doctor.calls import Calls, noted

DOOR = """
def __call__(self, environ, inner):
    return inner(inspect.currentframe())
"""


def door(name: str) -> Callable[..., Any]:
    """Return the call of a door that stands in the module *name*."""
    space: dict[str, Any] = {"__name__": name, "inspect": inspect}
    exec(DOOR, space)
    called: Callable[..., Any] = space["__call__"]
    return called


def through(calls: Calls, doors: list[tuple[str, str]]) -> None:
    """Go through *doors*, of a name and a mount each, one inside the other."""
    if not doors:
        return
    (name, mount), *inner = doors

    def enter(frame: FrameType) -> None:
        calls.note(frame, "call", None)
        through(calls, inner)
        calls.note(frame, "c_call", len)
        calls.note(frame, "return", None)

    door(name)(None, {"SCRIPT_NAME": mount}, enter)


class StoppedError(Exception):
    """Say that a function was called, before it does anything."""


def set_up(function: Callable[..., Any], *arguments: Any, **named: Any) -> Calls:
    """Note the call of *function*, and none of what it does."""
    calls = Calls()

    def hook(frame: FrameType, what: str, argument: Any) -> None:
        if frame.f_code is function.__code__ and not frames:
            frames.append(frame)
            raise StoppedError

    frames: list[FrameType] = []
    sys.setprofile(hook)
    try:
        function(*arguments, **named)
    except StoppedError:
        pass
    finally:
        sys.setprofile(None)
    calls.note(frames[0], "call", None)
    return calls


class TestDoors:
    def test_a_door_is_noted_with_the_one_around_it(self) -> None:
        """At the same mount they stand around one application."""
        calls = Calls()
        through(calls, [("wideevents.integrations.wsgi", ""), ("wideevents.integrations.flask", "")])
        through(calls, [("wideevents.integrations.wsgi", "")])

        assert [(passage.door, passage.around) for passage in calls.passages] == [
            ("wideevents.integrations.wsgi", None),
            ("wideevents.integrations.flask", "wideevents.integrations.wsgi"),
            ("wideevents.integrations.wsgi", None),
        ]

    def test_a_door_of_a_mounted_application_stands_for_itself(self) -> None:
        """It is another application."""
        calls = Calls()
        through(calls, [("wideevents.integrations.wsgi", ""), ("wideevents.integrations.flask", "/inner")])

        assert [passage.around for passage in calls.passages] == [None, None]

    def test_what_was_entered_before_is_left_without_a_word(self) -> None:
        """The noting began inside it."""
        calls = Calls()
        door("wideevents.integrations.wsgi")(None, {}, lambda frame: calls.note(frame, "return", None))

        assert calls.passages == []

    def test_others_are_no_doors(self) -> None:
        """Whatever they are called."""
        calls = Calls()
        through(calls, [("shop.middleware", "")])
        frame = inspect.currentframe()
        assert frame is not None
        calls.note(frame, "call", None)

        assert calls.passages == []


class TestSetups:
    def test_who_forces_is_noted(self) -> None:
        """It disables no logger."""
        (setup,) = set_up(logging.basicConfig, force=True).setups

        assert (setup.function, setup.disables) == ("basicConfig(force=True)", False)
        assert str(setup).startswith("tests/doctor/test_calls.py:")

    def test_who_does_not_changes_nothing(self) -> None:
        """Root has handlers already."""
        assert set_up(logging.basicConfig).setups == []

    def test_dict_config_disables_unless_it_is_told(self) -> None:
        """As its documentation says."""
        assert set_up(logging.config.dictConfig, {"version": 1}).setups[0].disables
        assert not set_up(logging.config.dictConfig, {"disable_existing_loggers": False}).setups[0].disables

    def test_file_config_disables_unless_it_is_told(self) -> None:
        """By an argument of its own."""
        assert set_up(logging.config.fileConfig, "log.ini").setups[0].disables
        assert not set_up(logging.config.fileConfig, "log.ini", disable_existing_loggers=False).setups[0].disables


class TestNoted:
    def test_a_profiler_goes_on_afterwards(self) -> None:
        """It is set aside for the block."""

        def profile(frame: FrameType, what: str, argument: Any) -> None:
            pass

        sys.setprofile(profile)
        try:
            with noted() as calls:
                set_up_quietly()
            assert sys.getprofile() is profile
        finally:
            sys.setprofile(None)

        assert [setup.function for setup in calls.setups] == ["dictConfig()"]


def set_up_quietly() -> None:
    """Set up nothing."""
    logging.config.dictConfig({"version": 1, "incremental": True, "disable_existing_loggers": False})
