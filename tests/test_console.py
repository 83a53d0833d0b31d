"""What the console room promises."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import runpy
import struct
import subprocess
import sys
import termios
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from wideevents import console, tracebacks
from wideevents.console import MOST_FIELDS, NARROWEST, WIDEST, Renderer, Screen, encodable

STARTED = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)

REQUEST: dict[str, Any] = {
    "timestamp": STARTED,
    "event.name": "POST /checkout",
    "event.id": "5eb3869374d2f025",
    "event.kind": "request",
    "duration_ms": 184.213,
    "outcome": "success",
    "level": "info",
    "alert.urgency": "none",
    "trace.id": "361374dde2a3f7f26fdcd423db953ced",
    "http.request.method": "POST",
    "http.route": "/checkout",
    "url.path": "/checkout",
    "http.response.status_code": 201,
}
SERVICE = {"service.name": "shop", "service.version": "1.4.2", "process.pid": 81, "service.instance.id": "5f8a06bc"}
FAILURE = {"level": "error", "outcome": "failure", "http.response.status_code": 500, "error.type": "PaymentError"}
LINE: dict[str, Any] = {
    "timestamp": "2026-01-02T03:04:05.690Z",
    "level": "warning",
    "log.logger": "shop.payments",
    "message": "card declined",
    "event.id": "5eb3869374d2f025",
    "trace.id": "361374dde2a3f7f26fdcd423db953ced",
}
SCRIPT = {
    "timestamp": STARTED,
    "event.name": "nightly.report",
    "event.kind": "script",
    "outcome": "success",
    "duration_ms": 192_345.1,
    "level": "info",
}

STACK = """Traceback (most recent call last):
  File "/srv/shop/cart.py", line 3, in total
    return sum(prices)
           ^^^^^^^^^^^
  File "/srv/venv/lib/python3.11/site-packages/shelf/book.py", line 9, in price
    return self.price * self.count
           ~~~~~~~~~~~^~~~~~~~~~~~
  File "/srv/shop/price.py", line 4, in __mul__
    raise PriceError
    ^^^^^^^^^^^^^^^^
shop.PriceError"""

SGR = re.compile(r"\x1b\[[0-9;]*m")
RED, GREEN, YELLOW, CYAN, DIM = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[2m"

plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(sorted({*REQUEST, *LINE, *FAILURE, "exception.message", "exception.stacktrace", "log.lines"}))
mappings: st.SearchStrategy[dict[Any, Any]] = st.dictionaries(
    names | st.text(alphabet=st.characters(exclude_categories=())) | st.integers(),
    plain_values | st.binary() | st.datetimes() | st.just(object()),
    max_size=12,
)


def event(fields: dict[str, Any], *lines: dict[str, Any], width: int = 120, colors: bool = False) -> str:
    """Return what is shown of an event."""
    return Renderer(Screen(width, colors)).event(fields, lines)


def line(fields: dict[str, Any], *, width: int = 120, colors: bool = False) -> str:
    """Return what is shown of a log line."""
    return Renderer(Screen(width, colors)).line(fields)


def rows(text: str) -> list[str]:
    """Return the rows of what is shown, without the empty ones."""
    return [row for row in text.split("\n") if row]


def raised() -> str:
    """Return a traceback with a cause and a frame of a library."""
    try:
        try:
            re.compile("(")
        except re.error as error:
            raise LookupError("no pattern") from error
    except LookupError as error:
        return "".join(traceback.format_exception(error))


class TestHeadline:
    def test_of_a_request_says_what_how_and_how_long(self) -> None:
        """Time, level, status, duration, method and route, in columns."""
        assert rows(event(REQUEST))[0] == "03:04:05.678Z info     201  184 ms  POST /checkout"

    def test_of_anything_else_says_kind_and_name(self) -> None:
        """The columns are the same, so that the names stand below each other."""
        assert rows(event(SCRIPT)) == ["03:04:05.678Z info          3m 12s  script nightly.report"]

    def test_lets_the_time_stand_back_and_the_name_stand_out(self) -> None:
        """The eye finds the request first."""
        head = event(REQUEST, colors=True)

        assert head.startswith(f"{DIM}03:04:05.678Z")
        assert "\x1b[1mPOST /checkout" in head

    def test_names_the_error(self) -> None:
        """It is seen without looking further."""
        assert rows(event(REQUEST | FAILURE))[0] == "03:04:05.678Z error    500  184 ms  POST /checkout  PaymentError"

    @pytest.mark.parametrize(
        ("fields", "note"),
        [
            ({"outcome": "failure"}, "failure"),
            ({"outcome": "failure", "error.type": "500"}, "failure"),
            ({"outcome": "cancelled"}, "cancelled"),
            ({"outcome": "lost"}, "lost"),
            ({"client.disconnected": True}, "client left"),
            ({"error.type": "KeyError"}, "KeyError"),
        ],
    )
    def test_says_what_the_status_does_not(self, fields: dict[str, Any], note: str) -> None:
        """A disconnect, a cancelled task, and an error that was handled are visible."""
        assert rows(event(REQUEST | fields))[0].endswith(f"POST /checkout  {note}")

    def test_of_a_request_without_a_route_has_its_path(self) -> None:
        """A 404 says what was asked for."""
        lost = {key: value for key, value in REQUEST.items() if key != "http.route"} | {"url.path": "/nope"}

        assert rows(event(lost))[0].endswith("POST /nope")
        assert "url.path" not in event(lost)

    @pytest.mark.parametrize(
        ("status", "color"), [(200, GREEN), (304, CYAN), (404, YELLOW), (500, RED), ("odd", None), (100, None)]
    )
    def test_colors_the_status_by_its_class(self, status: object, color: str | None) -> None:
        """What needs a look stands out."""
        head = rows(event(REQUEST | {"http.response.status_code": status, "level": "odd"}, colors=True))[0]

        assert (f"{color}{status}" in head) if color else (SGR.search(head.split("ms")[0].split("odd", 1)[1]) is None)

    @pytest.mark.parametrize(
        ("level", "color"), [("error", RED), ("WARNING", YELLOW), ("info", GREEN), ("debug", DIM), ("critical", RED)]
    )
    def test_colors_the_level(self, level: str, color: str) -> None:
        """Red, yellow, green, and debug stands back."""
        assert f"{color}{level}" in event(REQUEST | {"level": level}, colors=True)


class TestFields:
    def test_of_the_user_stand_first_by_group(self) -> None:
        """The first segment of a name is its group; what stands alone comes first, and the values form a column."""
        mine = {"cart.items": 3, "plan": "STARTER", "user.id": 42, "cart.total": 9.5, "user.note": "a b"}

        assert rows(event(REQUEST | mine))[1:4] == [
            "        plan=STARTER",
            "  cart  items=3  total=9.5",
            '  user  id=42  note="a b"',
        ]

    def test_without_groups_are_not_indented_further(self) -> None:
        """There is no column to stand in."""
        assert rows(event(SCRIPT | {"pages": 3, "report.id": 7}))[1] == "  pages=3  report.id=7"

    def test_named_like_their_group_keep_their_name(self) -> None:
        """`a` beside `a.b` is not a field without a name."""
        assert rows(event(SCRIPT | {"a": 1, "a.b": 2}))[1] == "  a  a=1  b=2"

    def test_of_ours_stand_back_behind_them(self) -> None:
        """They are dim; what the headline says is not said again."""
        text = event(REQUEST | {"ttfb_ms": 3.5, "cart": 1, "url.path": "/checkout/", "error.count": 2}, colors=True)

        assert rows(text)[2] == f"  {DIM}url.path=/checkout/\x1b[0m  {DIM}ttfb_ms=3.5\x1b[0m  {DIM}error.count=2\x1b[0m"

    def test_that_say_nothing_new_are_left_out(self) -> None:
        """A route without parameters is the path, and one error is the one below."""
        assert rows(event(REQUEST | {"error.count": 1, "alert.urgency": "none"}))[1:] == [
            "  event.id=5eb3869374d2f025  trace.id=361374dde2a3f7f26fdcd423db953ced"
        ]

    def test_of_the_process_share_one_dim_row_with_the_ids(self) -> None:
        """They are the same on every event: their values say enough."""
        last = rows(event(REQUEST | SERVICE))[-1]

        assert last == "  event.id=5eb3869374d2f025  trace.id=361374dde2a3f7f26fdcd423db953ced  shop 1.4.2 81"

    def test_shared_with_the_user_are_the_users(self) -> None:
        """What `timer("db")` wrote is theirs to see."""
        assert "  db  duration_ms=1.5  count=2" in rows(event(REQUEST | {"db.duration_ms": 1.5, "db.count": 2}))

    def test_that_are_too_many_are_counted(self) -> None:
        """A screen is no place for ten thousand fields, but it does not hide that there are."""
        many = {f"f{number}": number for number in range(MOST_FIELDS + 1_234)}

        assert ("f499=499" in event(many), "f500=500" in event(many), "+1,234 fields" in event(many)) == (
            True,
            False,
            True,
        )
        assert "+1,234 fields" in line(many)


class TestWidth:
    @pytest.mark.parametrize("width", [40, 80, 120, 200])
    def test_is_kept_by_every_row(self, width: int) -> None:
        """Long values are folded at it, in whatever script, and the rest goes on below the first field."""
        wide = {"user.id": 1, "user.note": "two words " * 9, "user.name": "名" * 90, "url": "x" * 300, "k" * 99: 1}
        stack = {"exception.stacktrace": raised() + "\n" + "é" * 300}
        text = event(REQUEST | SERVICE | wide | FAILURE | stack, LINE | wide, width=width)

        assert max(cell_len(row) for row in rows(text)) <= width
        assert len([row for row in rows(text) if row.startswith("        ")]) >= 3

    def test_is_filled_to_its_end(self) -> None:
        """A field that just fits stands on the row; with one character more it goes to the next."""
        fits = {"a": "x" * 18, "b": "y" * 14}

        assert rows(event(fits, width=40))[-1] == f"  a={'x' * 18}  b={'y' * 14}"
        assert rows(event(fits | {"b": "y" * 15}, width=40))[-2:] == [f"  a={'x' * 18}", f"  b={'y' * 15}"]

    def test_counts_columns_and_not_characters(self) -> None:
        """A Chinese character takes two: a field that does not fit goes to the next row in one piece."""
        assert rows(event({"a": "x" * 20, "b": "名" * 8}, width=40))[-2:] == [f"  a={'x' * 20}", f"  b={'名' * 8}"]

    def test_bounds_what_is_shown_of_a_value(self) -> None:
        """Two rows of it; the rest is counted."""
        assert "… (+760 characters)" in event({"sql": "x" * 1_000}, width=120)

    def test_keeps_every_character_of_a_folded_value(self) -> None:
        """A URL that is broken into two rows is still the URL."""
        text = event({"link": "abcdefghij" * 8}, width=40)

        assert "".join(row.strip() for row in rows(text)[-3:]) == "link=" + "abcdefghij" * 8


class TestError:
    def test_shows_the_traceback_with_its_cause_and_source(self) -> None:
        """All of it that is the application's own, indented below its event."""
        text = event(REQUEST | FAILURE | {"exception.stacktrace": raised()})

        assert '    raise LookupError("no pattern") from error' in text
        assert "  The above exception was the direct cause of the following exception:\n\n" in text
        assert rows(text)[-1] == "  LookupError: no pattern"

    def test_lets_the_frames_of_libraries_stand_back(self) -> None:
        """What somebody can mend is what they see."""
        shown = event({"exception.stacktrace": STACK}, colors=True).split("\n")

        assert [DIM in row for row in shown[1:-2]] == [
            False,
            False,
            False,
            False,
            True,
            True,
            False,
            False,
            False,
            False,
        ]
        assert ["    return sum(prices)", "^^" in shown[4], "~~" in "".join(shown)] == [
            STACK.split("\n")[2],
            True,
            False,
        ]

    def test_is_highlighted(self) -> None:
        """The type of the exception is seen from afar."""
        assert "\x1b[91mLookupError\x1b[0m" in event({"exception.stacktrace": raised()}, colors=True)

    def test_without_a_traceback_is_its_type_and_message(self) -> None:
        """Foreign lines may know no more."""
        gone = {"exception.type": "smtplib.Gone", "exception.message": "closed\nby peer", "exception.stacktrace": " "}

        assert event(SCRIPT | gone).split("\n")[1:] == ["  smtplib.Gone: closed\\nby peer", "", ""]
        assert rows(event(SCRIPT | {"exception.message": "closed", "exception.stacktrace": [1]}))[-1] == "  closed"
        assert len(rows(event(SCRIPT | {"error.type": "500"}))) == 1

    def test_says_why_and_what_to_do(self) -> None:
        """Whoever is on call finds it where they look."""
        told = {"error.why": "402 three times", "error.fix": "replay it", "error.link": "https://runbooks.example/1"}

        assert rows(event(SCRIPT | told))[1:] == [
            "  why   402 three times",
            "  fix   replay it",
            "  link  https://runbooks.example/1",
        ]

    def test_says_where_it_is_written_down_and_nothing_of_whom_it_calls(self) -> None:
        """Who looks at a terminal has been called already."""
        told = {"owner.team": "payments", "alert.runbook": "https://runbooks.example/2", "message": "theirs"}

        assert rows(event(SCRIPT | told))[1:] == ["  message=theirs", "  runbook  https://runbooks.example/2"]

    def test_a_traceback_cannot_forge_a_line(self) -> None:
        """Each of its rows is indented, and drives no terminal."""
        text = event({"exception.stacktrace": "E: x\n03:04:05.678Z info forged\r\n\x1b[2J\tgone\x85!"})

        assert rows(text)[-2:] == ["  03:04:05.678Z info forged", "  \\x1b[2J    gone\\x85!"]


class TestLines:
    def test_of_an_event_stand_under_it(self) -> None:
        """Indented, in their order, and without the ids that the event tells."""
        text = event(REQUEST, LINE | {"attempt": 1} | SERVICE, LINE | {"message": "charged", "level": "info"})

        assert rows(text)[-2:] == [
            "  03:04:05.690Z warning  shop.payments  card declined  attempt=1",
            "  03:04:05.690Z info     shop.payments  charged",
        ]

    def test_alone_say_which_event_they_belong_to(self) -> None:
        """Time, level, logger, message, the user's fields, and the way to the event."""
        assert line(LINE | {"attempt": 1}) == (
            "03:04:05.690Z warning  shop.payments  card declined  attempt=1  event.id=5eb3869374d2f025\n"
        )

    def test_may_have_any_field_that_structlog_treats_in_its_own_way(self) -> None:
        """A user's `exc_info`, `exception`, `stack` or `status` is a field like any other."""
        odd = {"exc_info": "no tuple", "exception": 1, "stack": [], "status": "x", "time": 1, "": 2}

        assert (
            line({"message": "hello"} | odd)
            == 'hello  exc_info="no tuple"  exception=1  stack=[]  status=x  time=1  =2\n'
        )

    def test_without_anything_known_are_their_fields(self) -> None:
        """Any object of JSON is shown; an empty one is an empty row of nothing."""
        assert (line({"a": 1, "b": [2]}), line({})) == ("a=1  b=[2]\n", "")

    def test_show_their_error_below(self) -> None:
        """Further in than the line."""
        failed = {"exception.stacktrace": "Traceback (most recent call last):\nValueError: x"}

        assert rows(line(LINE | failed))[1:] == ["  Traceback (most recent call last):", "  ValueError: x"]

    def test_say_where_they_were_logged_in_a_form_that_editors_open(self) -> None:
        """Path and line, and not three fields."""
        place = {"code.file.path": "/srv/shop/cart.py", "code.line.number": 7, "code.function.name": "add"}

        assert line({"message": "hello"} | place | {"sku": 1}) == "hello  sku=1  /srv/shop/cart.py:7\n"

    def test_name_a_file_of_the_project_from_where_they_are_read(self) -> None:
        """What stands before it is the same on every line."""
        place = {"code.file.path": os.path.join(os.getcwd(), "shop", "cart.py"), "code.line.number": 7}

        assert line({"message": "hello"} | place) == "hello  shop/cart.py:7\n"

    def test_do_not_name_the_file_of_a_library(self) -> None:
        """Its logger says which one it is."""
        place = {"code.file.path": "/srv/lib/python3.11/site-packages/werkzeug/_internal.py", "code.line.number": 97}

        assert line({"message": "hello"} | place) == "hello\n"

    def test_show_the_stack_that_they_asked_for(self) -> None:
        """`stack_info=True` is a traceback, too."""
        stack = 'Stack (most recent call last):\n  File "a.py", line 1, in f'

        assert rows(line({"message": "hello", "code.stacktrace": stack})) == [
            "hello",
            "  Stack (most recent call last):",
            '    File "a.py", line 1, in f',
        ]

    def test_do_not_repeat_the_error_of_their_event(self) -> None:
        """A framework logs what it is about to answer with a 500; another error is shown."""
        failed = {"exception.type": "PriceError", "exception.message": "", "exception.stacktrace": STACK}
        other = {"exception.type": "Other", "exception.stacktrace": "Other: x"}
        text = event(REQUEST | failed, LINE | failed, LINE | failed | other)

        assert (text.count("shop.PriceError"), text.count("card declined"), text.count("    Other: x")) == (1, 2, 1)

    def test_kept_in_the_event_are_shown_once(self) -> None:
        """`log.lines` may hold what stands below with all of its fields."""
        kept = {"log.lines": ["03:04:05 debug shop.cart loaded", "03:04:05 warning shop.payments card declined", 7]}

        assert rows(event(REQUEST | kept, LINE))[-3:] == [
            "  03:04:05 debug shop.cart loaded",
            "  7",
            "  03:04:05.690Z warning  shop.payments  card declined",
        ]
        assert "  03:04:05 warning shop.payments card declined" in rows(event(REQUEST | kept))

    def test_that_are_mere_text_are_made_harmless(self) -> None:
        """And kept whole."""
        assert Renderer(Screen(40)).words("\x1b[31mred\n" + "x" * 99) == "\\x1b[31mred\\n" + "x" * 99 + "\n"

    def test_have_a_title_where_they_come_from_somewhere(self) -> None:
        """A file name may hold anything but a zero."""
        assert Renderer(Screen(40)).title("a\nb") == "── a\\nb ──\n"


class TestAnything:
    @given(mappings, st.lists(mappings, max_size=2), st.integers(40, 130))
    def test_is_shown_without_a_character_that_controls_the_terminal(
        self, fields: dict[Any, Any], lines: list[dict[Any, Any]], width: int
    ) -> None:
        """Only newlines, and colours where there are some; nothing raises."""
        for colors in (False, True):
            renderer = Renderer(Screen(width, colors))
            text = renderer.event(fields, lines) + renderer.line(fields)
            bare = SGR.sub("", text) if colors else text
            assert [c for c in bare if not c.isprintable() and c != "\n" and ord(c) < 0xA0] == []
            assert "\u202e" not in bare

    @given(st.text(alphabet=st.sampled_from('\x1b[]31;m\x9b\r\n\t \u202ea"=/')))
    def test_colors_are_ours_alone(self, value: str) -> None:
        """A value that holds an escape sequence leaves the colours as they are."""
        fields = REQUEST | {"user.name": value, "http.route": value, "level": value, value: 1}
        shown = event(fields, LINE | {"message": value}, colors=True, width=200)

        assert SGR.sub("", shown) == event(fields, LINE | {"message": value}, width=200)

    def test_hostile_objects_are_named_and_no_more(self) -> None:
        """A value whose text raises costs itself alone."""

        class Hostile:
            def __str__(self) -> str:
                raise RuntimeError

        cyclic: list[Any] = []
        cyclic.append(cyclic)

        assert "a=<unprintable Hostile>  b=" in line({"a": Hostile(), "b": cyclic})


class TestEncodable:
    @pytest.mark.parametrize(("encoding", "text"), [("utf-8", "é🦆…"), ("latin-1", "é??"), ("ascii", "???")])
    def test_replaces_what_a_stream_has_no_character_for(self, encoding: str, text: str) -> None:
        """A terminal in an old encoding shows question marks, and raises nothing."""
        with io.TextIOWrapper(io.BytesIO(), encoding=encoding) as stream:
            assert text == encodable("é🦆…", stream)

    def test_takes_a_stream_without_an_encoding_for_utf_8(self) -> None:
        """A StringIO has none."""
        assert encodable("🦆", io.StringIO()) == "🦆"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.TextIOWrapper]:
    """Give a real terminal, 97 columns wide, and an environment that says nothing of it."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 97, 0, 0))
    with open(slave, "w") as stream:
        yield stream
    os.close(master)


class TestScreen:
    def test_of_a_terminal_has_colors(self, terminal: io.TextIOWrapper) -> None:
        """And of a pipe none."""
        assert (Screen.of(terminal).colors, Screen.of(io.StringIO()).colors) == (True, False)

    @pytest.mark.parametrize(
        ("name", "value", "colors"),
        [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False), ("TERM", "unknown", False)],
    )
    def test_honours_what_turns_colors_off(
        self, terminal: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch, name: str, value: str, *, colors: bool
    ) -> None:
        """As https://no-color.org has it, and for terminals that have none."""
        monkeypatch.setenv(name, value)

        assert colors is Screen.of(terminal).colors

    def test_honours_what_turns_them_on(self, terminal: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a pipe, too; but NO_COLOR goes before it."""
        monkeypatch.setenv("FORCE_COLOR", "1")
        forced = Screen.of(io.StringIO()).colors
        monkeypatch.setenv("NO_COLOR", "1")

        assert (forced, Screen.of(io.StringIO()).colors) == (True, False)

    def test_a_choice_goes_before_the_environment(
        self, terminal: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who says always means it."""
        monkeypatch.setenv("NO_COLOR", "1")

        assert (Screen.of(io.StringIO(), "always").colors, Screen.of(terminal, "never").colors) == (True, False)

    @pytest.mark.parametrize(("columns", "width"), [("133", 133), ("3", NARROWEST), ("99999", WIDEST), ("wide", None)])
    def test_takes_its_width_from_columns(
        self, terminal: io.TextIOWrapper, monkeypatch: pytest.MonkeyPatch, columns: str, width: int | None
    ) -> None:
        """Within reason."""
        without = Screen.of(terminal).width
        monkeypatch.setenv("COLUMNS", columns)

        assert (width or without) == Screen.of(terminal).width

    def test_takes_its_width_from_the_terminal(self, terminal: io.TextIOWrapper) -> None:
        """A process whose streams are a terminal sees how wide it is."""
        program = "import sys; from wideevents.console import Screen; sys.exit(Screen.of(sys.stdout).width)"
        done = subprocess.run([sys.executable, "-c", program], stdin=terminal, stdout=terminal, check=False)

        assert done.returncode == 97


class TestImport:
    @pytest.mark.parametrize(("room", "missing"), [(console, "rich.console"), (tracebacks, "rich.syntax")])
    def test_names_the_extra_that_is_missing(
        self, monkeypatch: pytest.MonkeyPatch, room: ModuleType, missing: str
    ) -> None:
        """Whoever has no rich is told what to install."""
        monkeypatch.setitem(sys.modules, missing, None)

        with pytest.raises(ImportError, match=re.escape("console needs rich: pip install 'wideevents[console]'")):
            runpy.run_path(str(room.__file__))
