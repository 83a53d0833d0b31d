"""What business hours promise: right across holidays, time zones and daylight saving."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wideevents import hours
from wideevents.errors import ConfigurationError
from wideevents.hours import BusinessHours, Stretch

WEEK = "mon-fri 09:00-17:00"
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # sets its clocks at midnight
    "Australia/Lord_Howe",  # sets them by half an hour
    "Africa/Casablanca",  # sets them around Ramadan
    "Africa/Cairo",  # sets them on a Friday
    "Asia/Kathmandu",  # is 5:45 ahead
)
NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

MINUTE, QUARTER = timedelta(minutes=1), timedelta(minutes=15)

Plan = dict[int, list[tuple[int, int]]]
"""The stretches of each day of the week, in minutes."""


def open_in_model(plan: Plan, zone: ZoneInfo, holidays: set[date], moment: datetime) -> bool:
    """Look at the clock on the wall, as people do."""
    wall = moment.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    return wall.date() not in holidays and any(start <= minute < end for start, end in plan.get(wall.weekday(), []))


def steps(begin: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    """Walk from *begin* to *end*."""
    while begin < end:
        yield begin
        begin += step


def clock(minute: int) -> str:
    """Write a time of the day."""
    return f"{minute // 60:02}:{minute % 60:02}"


def written(plan: Plan) -> str:
    """Write a plan as people do."""
    days = [f"{NAMES[day]} {' '.join(f'{clock(a)}-{clock(b)}' for a, b in plan[day])}" for day in sorted(plan)]
    return ", ".join(days)


@st.composite
def plans(draw: st.DrawFn, grain: int) -> Plan:
    """Draw stretches that begin and end at multiples of *grain* minutes, also such that overlap."""
    times = st.lists(st.integers(0, 1440 // grain), min_size=2, max_size=2, unique=True).map(sorted)
    stretches = st.lists(times.map(lambda pair: (pair[0] * grain, pair[1] * grain)), min_size=1, max_size=3)
    return draw(st.dictionaries(st.integers(0, 6), stretches, min_size=1))


zones = st.sampled_from(ZONES).map(ZoneInfo)
holidays = st.sets(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=12)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(second=0, microsecond=0)
)


def changes(zone: ZoneInfo) -> list[datetime]:
    """Return when the clocks of *zone* are set in 2026, to the minute."""
    found = []
    for hour in steps(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), timedelta(hours=1)):
        before, after = hour.astimezone(zone), (hour + timedelta(hours=1)).astimezone(zone)
        if before.utcoffset() != after.utcoffset():
            found.append(hour)
    return found


class TestAgainstAModel:
    @settings(max_examples=60)
    @given(plans(1), zones, holidays, st.data())
    def test_is_open_says_what_the_clock_on_the_wall_says(
        self, plan: Plan, zone: ZoneInfo, closed: set[date], data: st.DataObject
    ) -> None:
        """In each minute of the hours around a moment, also around those in which clocks are set."""
        hours = BusinessHours(written(plan), tz=zone.key, holidays=closed)
        around = data.draw(st.one_of(moments, st.sampled_from(changes(zone) or [datetime(2026, 5, 1, tzinfo=UTC)])))
        minutes = list(steps(around - timedelta(hours=6), around + timedelta(hours=6), MINUTE))

        assert [hours.is_open(minute) for minute in minutes] == [
            open_in_model(plan, zone, closed, minute) for minute in minutes
        ]

    @settings(max_examples=60)
    @given(plans(1), zones, holidays, st.data())
    def test_next_open_is_the_first_minute_that_is_open(
        self, plan: Plan, zone: ZoneInfo, closed: set[date], data: st.DataObject
    ) -> None:
        """Whoever waits for it has not passed one before."""
        hours = BusinessHours(written(plan), tz=zone.key, holidays=closed)
        near = st.sampled_from(changes(zone) or [datetime(2026, 5, 1, tzinfo=UTC)])
        moment = data.draw(moments | near.flatmap(lambda at: st.integers(-3000, 300).map(lambda n: at + n * MINUTE)))
        walk = steps(moment, moment + timedelta(weeks=60), MINUTE)

        assert hours.next_open(moment) == next(at for at in walk if open_in_model(plan, zone, closed, at))

    @settings(max_examples=25)
    @given(plans(15), zones, holidays)
    def test_longest_closed_is_the_longest_that_occurs(self, plan: Plan, zone: ZoneInfo, closed: set[date]) -> None:
        """In a year in which clocks were set both ways, and all of the holidays were."""
        walk = list(steps(datetime(2025, 10, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC), QUARTER))
        opened = [at for at in walk if open_in_model(plan, zone, closed, at)]
        longest = max(later - sooner - QUARTER for sooner, later in pairwise(opened))

        assert BusinessHours(written(plan), tz=zone.key, holidays=closed).longest_closed == longest


class TestDaylightSaving:
    @pytest.mark.parametrize(
        ("moment", "expected"),
        [
            ("2026-03-29T00:59", False),  # 01:59, and then it is 03:00
            ("2026-03-29T01:00", True),  # the hour that held the opening is left out
            ("2026-10-25T00:29", False),
            ("2026-10-25T00:30", True),  # 02:30
            ("2026-10-25T01:00", False),  # 02:00 again
            ("2026-10-25T01:30", True),  # 02:30 again
        ],
    )
    def test_an_opening_that_does_not_exist_and_one_that_exists_twice(self, moment: str, expected: bool) -> None:
        """As the clock on the wall has it, and Alertmanager."""
        hours = BusinessHours("sun 02:30-05:00", tz="Europe/Berlin")

        assert hours.is_open(datetime.fromisoformat(moment).replace(tzinfo=UTC)) is expected

    def test_it_opens_when_the_clock_leaves_the_opening_out(self) -> None:
        """At the moment in which it is later than that."""
        hours = BusinessHours("sun 02:30-05:00", tz="Europe/Berlin")
        opening = hours.next_open(datetime(2026, 3, 28, 12, microsecond=500_000, tzinfo=UTC))

        assert opening == datetime(2026, 3, 29, 1, tzinfo=UTC)

    def test_an_hour_that_is_left_out_can_be_all_there_is(self) -> None:
        """Then it is closed until the next week."""
        hours = BusinessHours("sun 02:10-02:50", tz="Europe/Berlin")

        assert hours.next_open(datetime(2026, 3, 24, tzinfo=BERLIN)) == datetime(2026, 4, 5, 2, 10, tzinfo=BERLIN)
        assert hours.longest_closed == timedelta(days=14, minutes=-40, hours=-1)

    @pytest.mark.parametrize(
        ("zone", "longest"), [("UTC", 64), ("Europe/Berlin", 65), ("Australia/Lord_Howe", 64.5), ("Asia/Tokyo", 64)]
    )
    def test_the_longest_weekend_is_the_one_with_an_hour_more(self, zone: str, longest: float) -> None:
        """Hours that pass, and not those that a clock shows."""
        assert BusinessHours(WEEK, tz=zone).longest_closed == timedelta(hours=longest)

    def test_a_day_can_be_left_out(self) -> None:
        """On Samoa no Friday was between Thursday and Saturday, when it went over the date line."""
        hours = BusinessHours("fri-sat 09:00-17:00", tz="Pacific/Apia")
        thursday = datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia"))

        assert hours.next_open(thursday).isoformat() == "2011-12-31T09:00:00+14:00"


class TestLongestClosed:
    @pytest.mark.parametrize(
        ("text", "days", "hours"),
        [
            (WEEK, [], 64),
            (WEEK, [date(2026, 12, 25)], 88),
            (WEEK, [date(2026, 12, 24), date(2026, 12, 25), date(2026, 12, 28)], 136),
            (WEEK, [date(2026, 12, 26)], 64),  # a Saturday
            ("mon-sun 00:00-24:00", [], 0),
            ("mon-sun 00:00-24:00", [date(1990, 5, 1)], 24),
            ("mon-sun 00:00-24:00", [date(2900, 5, 1), date(2900, 5, 2)], 48),
            ("wed 12:00-12:01", [], 7 * 24 - 1 / 60),
            ("mon-fri 09:00-12:00 13:00-17:00, sat 10:00-14:00", [], 43),
        ],
    )
    def test_is_counted_from_the_last_close_to_the_next_opening(
        self, text: str, days: list[date], hours: float
    ) -> None:
        """Around whichever holidays there are."""
        assert BusinessHours(text, holidays=days).longest_closed == timedelta(hours=hours)

    def test_holidays_can_last_for_weeks(self) -> None:
        """Longer than anybody looks back at first."""
        august = [date(2026, 8, day) for day in range(1, 32)]
        closed = datetime(2026, 9, 1, 9, tzinfo=UTC) - datetime(2026, 7, 31, 17, tzinfo=UTC)

        assert BusinessHours(WEEK, holidays=august).longest_closed == closed

    def test_a_holiday_and_a_clock_set_back_add_up(self) -> None:
        """The Friday before the last Sunday of October."""
        hours = BusinessHours(WEEK, tz="Europe/Berlin", holidays=[date(2026, 10, 23)])

        assert hours.longest_closed == timedelta(hours=24 + 65)


class TestMoments:
    @pytest.mark.parametrize("at", [(9, 0), (12, 0), (16, 59, 59, 999_999)])
    def test_a_moment_that_is_open_is_its_own_next_opening(self, at: tuple[int, ...]) -> None:
        """To the microsecond, and the same object."""
        moment = datetime(2026, 7, 1, *at, tzinfo=BERLIN)

        assert BusinessHours(WEEK, tz="Europe/Berlin").next_open(moment) is moment

    @pytest.mark.parametrize(
        ("at", "opened"), [((9, 0, 0), True), ((8, 59, 59), False), ((16, 59, 59), True), ((17, 0, 0), False)]
    )
    def test_the_first_moment_is_open_and_the_last_is_not(self, at: tuple[int, int, int], opened: bool) -> None:
        """Whoever comes at 17:00 has come too late."""
        moment = datetime(2026, 7, 1, *at, tzinfo=BERLIN)

        assert BusinessHours(WEEK, tz="Europe/Berlin").is_open(moment) is opened

    def test_the_zone_of_the_question_is_that_of_the_answer(self) -> None:
        """What people see, and what machines reckon with, is up to who asks."""
        hours = BusinessHours(WEEK, tz="Europe/Berlin")
        tokyo = timezone(timedelta(hours=9))

        assert hours.next_open(datetime(2026, 7, 4, tzinfo=tokyo)).isoformat() == "2026-07-06T16:00:00+09:00"
        assert hours.next_open(datetime(2026, 7, 4, tzinfo=UTC)).isoformat() == "2026-07-06T07:00:00+00:00"

    def test_a_fraction_of_a_second_before_is_not_yet(self) -> None:
        """It opens at the full minute, and not a fraction later."""
        at = datetime(2026, 7, 1, 8, 59, 59, 500_000, tzinfo=UTC)

        assert BusinessHours(WEEK).next_open(at) == datetime(2026, 7, 1, 9, tzinfo=UTC)

    @pytest.mark.parametrize("at", [datetime(2026, 7, 1), date(2026, 7, 1), "2026-07-01", None])
    def test_what_is_no_moment_is_refused(self, at: Any) -> None:
        """A datetime without a zone is another moment in each of them."""
        hours = BusinessHours(WEEK)
        for ask in (hours.is_open, hours.next_open):
            with pytest.raises(
                ConfigurationError, match=r"it must be a datetime with a time zone, such as datetime.now"
            ):
                ask(at)


class TestText:
    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("Mon-Fri 9:00-17:00", WEEK),
            ("  monday - friday  09:00 – 17:00, ", WEEK),
            ("mon,tue, wed thu,fri 09:00-17:00", WEEK),
            ("mon-fri 13:00-17:00 09:00-13:00", WEEK),
            ("mon-fri 09:00-14:00,12:00-17:00,10:00-11:00", WEEK),
            ("mon-wed 09:00-17:00 thu-fri 09:00-17:00", WEEK),
            ("fri-mon 10:00-24:00", "fri 10:00-24:00, sat 10:00-24:00, sun 10:00-24:00, mon 10:00-24:00"),
            ("sun-sat 00:00-24:00", "mon-sun 00:00-24:00"),
            ("sat-sat 10:00-11:00", "sat 10:00-11:00"),
        ],
    )
    def test_days_and_times_can_be_written_in_many_ways(self, text: str, same: str) -> None:
        """Commas and blanks separate; what overlaps or touches is one."""
        assert BusinessHours(text).week == BusinessHours(same).week

    def test_a_week_is_known_day_by_day(self) -> None:
        """In minutes, in their order."""
        week = BusinessHours("sat-sun 10:00-12:00, mon 13:00-17:30 00:00-01:00").week

        weekend = (Stretch(600, 720),)
        assert week == ((Stretch(0, 60), Stretch(780, 1050)), (), (), (), (), weekend, weekend)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "it must be days and times, such as"),
            (" , ", "it must be days and times, such as"),
            (None, "it must be days and times, such as"),
            (9, "it must be days and times, such as"),
            ("mon-fri", "no times stand behind the last day"),
            ("mon 09:00-17:00, tue", "no times stand behind the last day"),
            ("09:00-17:00", "no day stands before '09:00-17:00'"),
            ("fry 09:00-17:00", "'fry' is no day of the week"),
            ("mon-fry 09:00-17:00", "'fry' is no day of the week"),
            ("mon- 09:00-17:00", "no day stands before 'mon-09:00-17:00'"),
            ("mo-fr 09:00-17:00", "'mo' is no day of the week"),
            ("mon-fri 9-17", "'9' is no day of the week"),
            ("mon-fri 09:00", "'09:00' is not of the form 09:00-17:00"),
            ("mon-fri 09:00-17:0", "'09:00-17:0' is not of the form 09:00-17:00"),
            ("mon-fri 09:00-17:60", "'09:00-17:60' is past the end of the hour, or of the day, which is 24:00"),
            ("mon-fri 09:60-17:00", "'09:60-17:00' is past the end of the hour"),
            ("mon-fri 09:00-24:01", "'09:00-24:01' is past the end of the hour, or of the day"),
            ("mon-fri 22:00-06:00", "'22:00-06:00' ends before it begins: let it end at 24:00, and go on at 00:00"),
            ("mon-fri 09:00-09:00", "'09:00-09:00' ends before it begins"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, text: Any, reason: str) -> None:
        """With the word that it is about, and what can be read."""
        with pytest.raises(ConfigurationError) as refused:
            BusinessHours(text)

        assert str(refused.value).startswith(f"hours={text!r} cannot be used: it must be days and times, such as ")
        assert reason in str(refused.value)

    def test_the_default_needs_no_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a system has none, all is there but the zones."""
        monkeypatch.setattr(hours, "ZoneInfo", None)

        assert BusinessHours("mon-fri 09:00-17:00").is_open(datetime(2026, 11, 23, 9, tzinfo=UTC))

    @pytest.mark.parametrize("tz", ["Europe/Nowhere", "Europe", "", "../etc/passwd", "/etc/passwd", "zone.tab", "a\0b"])
    def test_an_unknown_zone_is_refused(self, tz: str) -> None:
        """With what to do where the system has no database of them."""
        with pytest.raises(ConfigurationError) as refused:
            BusinessHours(WEEK, tz=tz)

        assert str(refused.value) == (
            f'tz={tz!r} cannot be used: it must be the name of a time zone, such as "Europe/Berlin"; where the system '
            "knows none, as Windows, pip install tzdata."
        )

    @pytest.mark.parametrize("tz", [None, UTC, BERLIN, 1])
    def test_a_zone_is_given_by_its_name(self, tz: Any) -> None:
        """Alertmanager has to know it, too."""
        with pytest.raises(ConfigurationError, match="it must be the name of a time zone"):
            BusinessHours(WEEK, tz=tz)

    @pytest.mark.parametrize(
        ("given", "named"),
        [
            (["2026-12-25"], "'2026-12-25'"),
            ([datetime(2026, 12, 25)], "datetime.datetime(2026, 12, 25, 0, 0)"),
            ([date(2026, 12, 25), date(206, 12, 26)], "datetime.date(206, 12, 26)"),
            ([date(3000, 1, 1)], "datetime.date(3000, 1, 1)"),
            ([date(1969, 12, 31)], "datetime.date(1969, 12, 31)"),
            (date(2026, 12, 25), "datetime.date(2026, 12, 25)"),
            ("2026-12-25", "'2026-12-25'"),
            (None, "None"),
        ],
    )
    def test_what_is_no_holiday_is_refused(self, given: Any, named: str) -> None:
        """A datetime is no day, and a year of three digits a slip of the hand."""
        with pytest.raises(ConfigurationError) as refused:
            BusinessHours(WEEK, holidays=given)

        assert str(refused.value) == (
            f"holidays={named} cannot be used: it must be dates from 1970 to 2999, such as (date(2026, 12, 25),)."
        )


class TestValue:
    def test_holidays_are_in_order_and_there_once(self) -> None:
        """So that what is generated from them is always the same."""
        hours = BusinessHours(WEEK, holidays=[date(2026, 12, 26), date(2026, 1, 1), date(2026, 12, 26)])

        assert hours.holidays == (date(2026, 1, 1), date(2026, 12, 26))

    def test_two_of_the_same_are_equal_and_none_changes(self) -> None:
        """It can be shared, kept in a set, and sent to another process."""
        hours = BusinessHours(WEEK, tz="Europe/Berlin", holidays=(date(2026, 12, 25),))

        assert {hours, pickle.loads(pickle.dumps(hours))} == {BusinessHours(hours.hours, hours.tz, hours.holidays)}
        assert repr(hours) == (
            "BusinessHours(hours='mon-fri 09:00-17:00', tz='Europe/Berlin', holidays=(datetime.date(2026, 12, 25),))"
        )
        with pytest.raises(FrozenInstanceError):
            hours.tz = "UTC"  # type: ignore[misc]
