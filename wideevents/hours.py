"""Know when people are at work, right across holidays and daylight saving."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import chain, pairwise, takewhile
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wideevents.errors import ConfigurationError

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
CALENDAR = timedelta(days=28 * 365.25)
"""After 28 years every date falls on the same weekday again: by then a rule of daylight saving has met them all."""

EXAMPLE = 'days and times, such as "mon-fri 09:00-12:00 13:00-17:00, sat 10:00-14:00"'

BLANKS = ", \t\r\n"

_TIMES = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")


class Stretch(NamedTuple):
    """Hold a part of a day, in minutes of the clock on the wall; the last one is open no more."""

    start: int
    end: int


class Steady(NamedTuple):
    """Hold a part of time, in UTC, in which the clocks of a zone keep one distance to it."""

    begin: datetime
    end: datetime
    offset: timedelta


Week: TypeAlias = tuple[tuple[Stretch, ...], ...]
"""The stretches of each day, Monday first, in their order; none overlaps or touches another."""


@dataclass(frozen=True, slots=True)
class BusinessHours:
    """
    Say when a warning may reach people: `BusinessHours("mon-fri 09:00-17:00", tz="Europe/Berlin")`.

    - *hours*: days, and the times that they are open, by the clock on the wall: "mon-fri 09:00-12:00 13:00-17:00, sat
      10:00-14:00". Days may be listed ("mon, wed 09:00-17:00") and go round the week ("sun-thu"); a day ends at 24:00,
      and what lasts longer goes on with the next day.
    - *tz*: the name of a zone in the IANA database.
    - *holidays*: dates on which all is closed.

    It reads the clock as Alertmanager does: at an hour that daylight saving leaves out nothing is open, and what is
    open at an hour that comes twice is open twice. Raise `ConfigurationError` for what cannot be read.
    """

    hours: str
    tz: str = "UTC"
    holidays: Collection[date] = ()
    week: Week = field(init=False, repr=False)
    _zone: tzinfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "week", _week(self.hours))
        object.__setattr__(self, "_zone", _zone(self.tz))
        object.__setattr__(self, "holidays", _dates(self.holidays))

    def is_open(self, at: datetime) -> bool:
        """
        Tell whether people are at work at *at*.

        Raise `ConfigurationError` for a datetime without a time zone: it is no moment, but many.
        """
        wall = _moment(at).astimezone(self._zone)
        minute = wall.hour * 60 + wall.minute
        return any(start <= minute < end for start, end in self._on(wall.date()))

    def next_open(self, at: datetime) -> datetime:
        """
        Return when people are at work, from *at* on: *at* itself if they are then. It is in the zone of *at*.

        Raise `ConfigurationError` for a datetime without a time zone.
        """
        moment = _moment(at)
        begin, _ = next(self._openings(moment))
        return at if begin <= moment else begin.astimezone(at.tzinfo)

    @property
    def longest_closed(self) -> timedelta:
        """
        The longest time without anybody at work: hours that really elapse, not those that the clock on the wall shows.

        It is 64 hours for Monday to Friday from 9 to 17, 65 where clocks are set back on a Sunday, and more around
        holidays. What waits for people has to wait so long.
        """
        holidays = [datetime.combine(day, time(12), self._zone).astimezone(UTC) for day in self.holidays]
        changes = [later.begin for sooner, later in pairwise(self._years()) if sooner.offset != later.offset]
        return max([self._longest_of_a_week(), *map(self._closed_around, [*holidays, *changes])])

    def _on(self, day: date) -> tuple[Stretch, ...]:
        return () if day in self.holidays else self.week[day.weekday()]

    def _longest_of_a_week(self) -> timedelta:
        """Return the longest closed time of a week without a holiday in which no clock is set."""
        opened = [
            (day * DAY + timedelta(minutes=start), day * DAY + timedelta(minutes=end))
            for day, stretches in enumerate(self.week)
            for start, end in stretches
        ]
        again = (opened[0][0] + WEEK, WEEK)
        return max(later[0] - sooner[1] for sooner, later in pairwise([*opened, again]))

    def _closed_around(self, moment: datetime) -> timedelta:
        """Return the closed time that *moment* is in; the next one, if it is in none."""
        lead = WEEK
        while True:
            openings = pairwise(self._openings(moment - lead))
            (begin, end), (again, _) = next(pair for pair in openings if pair[1][0] > moment)
            if begin <= moment:
                return again - end
            lead *= 2  # closed all that time

    def _openings(self, since: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield when people are at work, in UTC and in order; what touches may come in parts."""
        return chain.from_iterable(map(self._opened, self._steadily(since)))

    def _opened(self, steady: Steady) -> Iterator[tuple[datetime, datetime]]:
        """Yield when they are in a part of time in which the clock on the wall can be reckoned with."""
        begin, end, offset = steady
        midnight = datetime.combine((begin + offset).date(), time(), UTC)
        while midnight < end + offset:
            for start, stop in self._on(midnight.date()):
                opened = max(midnight + timedelta(minutes=start) - offset, begin)
                closed = min(midnight + timedelta(minutes=stop) - offset, end)
                if opened < closed:
                    yield opened, closed
            midnight += DAY

    def _years(self) -> Iterator[Steady]:
        return takewhile(lambda steady: steady.begin < NEW_YEAR + CALENDAR, self._steadily(NEW_YEAR))

    def _steadily(self, since: datetime) -> Iterator[Steady]:
        """Yield all time from *since* on in parts of a day at most, a new one where the clocks are set."""
        begin = since.replace(microsecond=0)  # clocks are set at whole seconds
        while True:
            end, offset = begin + DAY, self._offset(begin)
            if self._offset(end) != offset:
                end = self._change(begin, offset)
            yield Steady(begin, end, offset)
            begin = end

    def _change(self, begin: datetime, offset: timedelta) -> datetime:
        """Return the first second of the day after *begin* with another offset."""
        seconds = range(round(DAY.total_seconds()))
        first = bisect_right(seconds, 0, key=lambda second: self._offset(begin + timedelta(seconds=second)) != offset)
        return begin + timedelta(seconds=first)

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self._zone).utcoffset() or timedelta()


def _moment(at: datetime) -> datetime:
    """Return *at* in UTC; the difference of two datetimes of one zone would leave daylight saving out."""
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise ConfigurationError.of("at", at, "a datetime with a time zone, such as datetime.now(UTC)")
    return at.astimezone(UTC)


def _week(text: str) -> Week:
    """Read days and times: a day after times begins anew."""
    if not isinstance(text, str) or not text.strip(BLANKS):
        raise ConfigurationError.of("hours", text, EXAMPLE)
    week: list[list[Stretch]] = [[] for _ in WEEKDAYS]
    days: list[int] = []
    timed = False
    for word in re.split(r"[\s,]+", re.sub(r"\s*[-–]\s*", "-", text).strip(BLANKS)):
        if ":" in word:
            if not days:
                raise _refused(text, f"no day stands before {word!r}")
            stretch, timed = _stretch(text, word), True
            for day in days:
                week[day].append(stretch)
        else:
            days, timed = [*([] if timed else days), *_days(text, word)], False
    if not timed:
        raise _refused(text, "no times stand behind the last day")
    return tuple(_joined(stretches) for stretches in week)


def _stretch(text: str, word: str) -> Stretch:
    found = _TIMES.fullmatch(word)
    if found is None:
        raise _refused(text, f"{word!r} is not of the form 09:00-17:00")
    hour, minute, last_hour, last_minute = map(int, found.groups())
    stretch = Stretch(hour * 60 + minute, last_hour * 60 + last_minute)
    if max(minute, last_minute) > 59 or stretch.end > 24 * 60:
        raise _refused(text, f"{word!r} is past the end of the hour, or of the day, which is 24:00")
    if stretch.start >= stretch.end:
        raise _refused(text, f"{word!r} ends before it begins: let it end at 24:00, and go on at 00:00 of the next day")
    return stretch


def _days(text: str, word: str) -> list[int]:
    """Return the numbers of the days that *word* names: one, or a range, which may go round the week."""
    first, hyphen, last = word.partition("-")
    begin, end = (_day(text, name) for name in (first, last if hyphen else first))
    return [day % 7 for day in range(begin, end + 1 if begin <= end else end + 8)]


def _day(text: str, name: str) -> int:
    for number, known in enumerate(WEEKDAYS):
        if name.lower() in {known, known[:3]}:
            return number
    raise _refused(text, f"{name!r} is no day of the week")


def _joined(stretches: list[Stretch]) -> tuple[Stretch, ...]:
    """Return *stretches* in their order, what overlaps or touches as one."""
    joined: list[Stretch] = []
    for start, end in sorted(stretches):
        if joined and start <= joined[-1].end:
            joined[-1] = Stretch(joined[-1].start, max(end, joined[-1].end))
        else:
            joined.append(Stretch(start, end))
    return tuple(joined)


def _refused(text: str, reason: str) -> ConfigurationError:
    return ConfigurationError.of("hours", text, f"{EXAMPLE}; {reason}")


def _zone(name: str) -> tzinfo:
    wanted = 'the name of a time zone, such as "Europe/Berlin"'
    if not isinstance(name, str):
        raise ConfigurationError.of("tz", name, wanted)
    if name == "UTC":  # the default must be there where the system knows no zones
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = f"{wanted}; where the system knows none, as Windows, pip install tzdata"
        raise ConfigurationError.of("tz", name, hint) from error


def _dates(given: object) -> tuple[date, ...]:
    wanted = "dates from 1970 to 2999, such as (date(2026, 12, 25),)"
    if isinstance(given, str) or not isinstance(given, Collection):
        raise ConfigurationError.of("holidays", given, wanted)
    for day in given:
        if not isinstance(day, date) or isinstance(day, datetime) or not 1970 <= day.year < 3000:
            raise ConfigurationError.of("holidays", day, wanted)
    return tuple(sorted(set(given)))
