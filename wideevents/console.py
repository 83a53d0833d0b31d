"""Show events and log lines to people: calm text, aligned, and harmless to the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from io import StringIO
from typing import Any, TextIO, TypeAlias

from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter

from wideevents import exceptions
from wideevents.fields import NAMES, SHARED
from wideevents.legible import clock, harmless, lasting, quoted, words
from wideevents.tracebacks import LIBRARY, OURS, rows
from wideevents.values import text as text_of

try:
    from rich.console import Console
    from rich.text import Text
except ImportError as missing:
    raise ImportError("wideevents.console needs rich: pip install 'wideevents[console]'") from missing

Fields: TypeAlias = Mapping[str, Any]
Pairs: TypeAlias = list[tuple[str, Any]]

NARROWEST, WIDEST = 40, 500
MOST_FIELDS = 500
GAP = 2
LABEL_WIDTH = 20
TIME_WIDTH, LEVEL_WIDTH, STATUS_WIDTH, DURATION_WIDTH = 13, 7, 3, 7

KEY, LABEL, GOOD, NOTE, ERROR = "cyan", "bold cyan", "green", "yellow", "red"

PROCESS = ("service.name", "service.version", "deployment.environment.name", "host.name", "process.pid", "thread.name")
"""What a person may want to know of the process: the values say enough, in this order."""

IN_HEADLINE = frozenset(
    {
        "timestamp",
        "event.name",
        "event.kind",
        "level",
        "outcome",
        "duration_ms",
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "client.disconnected",
    }
)
IN_ERROR = frozenset({*exceptions.NAMES, "exception.handled"})
ADVICE = ("error.why", "error.fix", "error.link", "alert.runbook")
DULL = frozenset(
    {
        "alert.fingerprint",
        "alert.runbook",
        "alert.urgency",
        "ecs.version",
        "flask.blueprint",
        "flask.endpoint",
        "framework.name",
        "framework.version",
        "http.request.id",
        "in_flight",
        "log.count.error",
        "log.count.warning",
        "owner.team",
        "sentry.event_id",
        "process.runtime.version",
        "server.address",
        "service.instance.id",
        "uptime_s",
        "url.scheme",
        "user_agent.original",
        "vcs.ref.head.revision",
    }
)
"""What says nothing to whoever looks at the screen; it is in the line of JSON."""

IDS = ("event.id", "trace.id")
OF_EVENT = IN_HEADLINE | IN_ERROR | DULL | {*PROCESS, *IDS, "log.lines"}
LINE_COLUMNS = {"timestamp": "time", "level": "level", "log.logger": "logger", "message": "message"}
PLACE = ("code.file.path", "code.line.number")
STACKS = ("code.stacktrace", "exception.stacktrace")
OF_LINE = IN_ERROR | DULL | {*LINE_COLUMNS, *PROCESS, *PLACE, *STACKS, "code.function.name", "trace.id"}


@dataclass(frozen=True, slots=True)
class Screen:
    """Say what the reader's terminal takes: characters in a line, and colours or none."""

    width: int = 80
    colors: bool = False

    @classmethod
    def of(cls, stream: TextIO, color: str = "auto") -> Screen:
        """
        Look at the terminal behind *stream*, and at `NO_COLOR`, `FORCE_COLOR`, `TERM` and `COLUMNS`.

        *color* is auto, always or never; the last two leave the environment out of it.
        """
        terminal = Console(file=stream)
        seen = terminal.color_system is not None and not terminal.no_color
        width = min(max(terminal.width, NARROWEST), WIDEST)
        return cls(width, {"always": True, "never": False}.get(color, seen))


def encodable(text: str, stream: TextIO) -> str:
    """Return *text* with a question mark for whatever the encoding of *stream* has no character for."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


class Page:
    """Lay pieces of text out in lines of a width."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lines: list[Text] = []
        self._console = Console(
            file=StringIO(),
            width=screen.width,
            force_terminal=screen.colors,
            color_system="standard" if screen.colors else None,
            no_color=False,
            legacy_windows=False,
        )

    def flow(self, pieces: Iterable[Text], indent: int, hang: int) -> None:
        """
        Begin a line at column *indent*; pieces that do not fit into it go on at column *hang*, folded if need be.

        Without pieces there is no line.
        """
        line, empty = Text(" " * indent), True
        for piece in pieces:
            room = self._screen.width - line.cell_len - (0 if empty else GAP)
            if piece.cell_len > room and not empty:
                self._lines.append(line)
                line, empty = Text(" " * hang), True
                room = self._screen.width - hang
            if piece.cell_len <= room:
                line.append(" " * (0 if empty else GAP)).append_text(piece)
            else:
                line = self._fold(line, piece, hang)
            empty = False
        if not empty:
            self._lines.append(line)

    def _fold(self, line: Text, piece: Text, hang: int) -> Text:
        """Break a piece that is longer than a line; return the line that its end stands in."""
        first, *others = piece.wrap(self._console, self._screen.width - max(hang, line.cell_len), overflow="fold")
        line.append_text(first)
        for other in others:
            self._lines.append(line)
            line = Text(" " * hang).append_text(other)
        return line

    def text(self) -> str:
        """Return what was laid out, every line with its newline, and no other character that controls a terminal."""
        with self._console.capture() as capture:
            for line in self._lines:
                line.rstrip()
                self._console.print(line, soft_wrap=True, highlight=False)
        return capture.get()


class Renderer:
    """
    Make text of the fields of events and log lines.

    Whatever the fields hold, nothing is raised, and no control character comes out but the newlines and colours that
    are made here: a value can neither forge a line nor drive the terminal.
    """

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self._value_length = screen.width * 2
        self._sentence_length = screen.width * 6
        self._head = ConsoleRenderer(columns=columns(screen.colors))

    def event(self, fields: Fields, lines: Sequence[Fields] = ()) -> str:
        """Return an event: headline, fields, error, the log *lines* of the same work under it, and an empty line."""
        page = Page(self.screen)
        page.flow([self._headline(fields), *self._notes(fields)], 0, TIME_WIDTH + 1)
        self._groups(page, [(text_of(key), value) for key, value in fields.items() if not is_ours(key)])
        self._ours(page, fields)
        self._error(page, fields, GAP)
        self._told(page, fields, lines)
        error = _error_of(fields)
        for each in lines:
            repeats = error != (None, None) and _error_of(each) == error
            told = {key: value for key, value in each.items() if key not in IN_ERROR} if repeats else each
            self._line(page, told, GAP, OF_LINE | {"event.id"})
        return page.text() + "\n"

    def line(self, fields: Fields) -> str:
        """Return a log line: `time level logger message key=value ...`, then its error."""
        page = Page(self.screen)
        self._line(page, fields, 0, OF_LINE)
        return page.text()

    def words(self, text: str) -> str:
        """Return a line that is nothing but text, all of it."""
        return harmless(text) + "\n"

    def title(self, text: str) -> str:
        """Return a line that says what the lines below it have in common."""
        page = Page(self.screen)
        page.flow([Text(f"── {harmless(text)} ──", OURS)], 0, 0)
        return page.text()

    def _styled(self, **told: str) -> Text:
        """Let structlog give columns their styles."""
        return Text.from_ansi(self._head(None, "", told))

    def _headline(self, fields: Fields) -> Text:
        return self._styled(
            time=clock(fields.get("timestamp", "")),
            level=words(fields.get("level", ""), 9),
            status=words(fields.get("http.response.status_code", ""), 9),
            duration=lasting(fields.get("duration_ms", "")),
            what=self._what(fields),
        )

    def _what(self, fields: Fields) -> str:
        """Return method and route of a request, or its path where no route was found; else kind and name."""
        if "http.request.method" in fields:
            parts = [fields["http.request.method"], fields.get("http.route") or fields.get("url.path", "")]
        else:
            parts = [fields.get("event.kind", ""), fields.get("event.name", "")]
        return " ".join(words(part, self._value_length) for part in parts)

    def _notes(self, fields: Fields) -> list[Text]:
        """Return what the headline has to say beyond the status: how it failed, or that the client left."""
        outcome = words(fields.get("outcome", ""), 20)
        notes = []
        kind = words(fields.get("error.type", ""), self._value_length)
        if kind and not kind.isdecimal():
            notes.append(Text(kind, ERROR if outcome == "failure" else NOTE))
        elif outcome == "failure":
            notes.append(Text(outcome, ERROR))
        if outcome not in {"", "success", "failure"}:
            notes.append(Text(outcome, NOTE))
        if fields.get("client.disconnected") is True:
            notes.append(Text("client left", NOTE))
        return notes

    def _groups(self, page: Page, pairs: Pairs) -> None:
        """Lay out the user's own fields: what stands alone first, then a row for each group of names."""
        groups: dict[str, Pairs] = {}
        for key, value in pairs[:MOST_FIELDS]:
            groups.setdefault(key.partition(".")[0], []).append((key, value))
        rows = {label: group for label, group in groups.items() if len(group) > 1}
        column = GAP + min(max((len(label) + GAP for label in rows), default=0), LABEL_WIDTH)
        alone = [self._pair(*pair) for group in groups.values() if len(group) == 1 for pair in group]
        page.flow([*alone, *more(pairs)], column, column)
        for label, group in rows.items():
            name = Text(f"{words(label, self._value_length):<{column - GAP - GAP}}", LABEL)
            page.flow([name, *(self._pair(key[len(label) + 1 :] or key, value) for key, value in group)], GAP, column)

    def _ours(self, page: Page, fields: Fields) -> None:
        """Lay out what wideevents added, and then what is true of the whole process, without letting it stand out."""
        ours = [(key, value) for key, value in fields.items() if is_ours(key) and key not in OF_EVENT]
        seen = {"url.path": fields.get("http.route", fields.get("url.path")), "error.count": 1}
        page.flow([self._dim(*pair) for pair in ours if pair[1] != seen.get(pair[0], pair)], GAP, GAP)
        ids = [self._dim(key, fields[key]) for key in IDS if key in fields]
        process = " ".join(quoted(fields[key], 40) for key in PROCESS if key in fields)
        page.flow([*ids, *([Text(process, OURS)] if process else [])], GAP, GAP)

    def _pair(self, key: str, value: object) -> Text:
        return Text.assemble((f"{words(key, self._value_length)}=", KEY), quoted(value, self._value_length))

    def _dim(self, key: str, value: object) -> Text:
        return Text(self._pair(key, value).plain, OURS)

    def _line(self, page: Page, fields: Fields, indent: int, hidden: Set[str]) -> None:
        told = {column: fields[name] for name, column in LINE_COLUMNS.items() if name in fields}
        head = {column: words(value, self._sentence_length) for column, value in told.items()}
        if "time" in head:
            head["time"] = clock(told["time"])
        shown = [(text_of(key), value) for key, value in fields.items() if key not in hidden]
        shown.sort(key=lambda pair: is_ours(pair[0]))
        pairs = [self._dim(*pair) if is_ours(pair[0]) else self._pair(*pair) for pair in shown[:MOST_FIELDS]]
        place = ":".join(words(fields[key], self._value_length) for key in PLACE if key in fields)
        # As editors and people call a file of the project; a library's own is of no use to them.
        place = "" if LIBRARY.search(place) else place.removeprefix(f"{os.getcwd()}{os.sep}")
        pieces = [
            *([self._styled(**head)] if head else []),
            *pairs,
            *more(shown),
            *([Text(place, OURS)] if place else []),
        ]
        page.flow(pieces, indent, indent + TIME_WIDTH + 1)
        self._error(page, fields, indent + GAP)

    def _error(self, page: Page, fields: Fields, indent: int) -> None:
        """Lay out the traceback, or what is known of the error without one; then what to do about it."""
        stacks = [stack if isinstance(stack, str) else "" for stack in map(fields.get, STACKS)]
        message = fields.get("exception.message")
        for stack in stacks:
            for row in rows(stack) if stack.strip() else []:
                page.flow([row], indent, indent + 4)
        if not stacks[-1].strip() and message is not None:
            kind = fields.get("exception.type", fields.get("error.type"))
            told = [words(part, self._sentence_length) for part in (kind, message) if part is not None]
            page.flow([Text(": ".join(told), ERROR)], indent, indent + 4)
        for name in ADVICE:
            if name in fields:
                label = Text(f"{name.partition('.')[2]:<4}", LABEL)
                page.flow([label, Text(words(fields[name], self._sentence_length))], indent, indent + 6)

    def _told(self, page: Page, fields: Fields, lines: Sequence[Fields]) -> None:
        """Lay out `log.lines`, without those that stand below with all of their fields."""
        told = fields.get("log.lines")
        below = tuple(f"{text_of(each.get('log.logger'))} {text_of(each.get('message'))}" for each in lines)
        for each in told if isinstance(told, list) else []:
            row = text_of(each)
            if not row.endswith(below):
                page.flow([Text(words(row, self._sentence_length), OURS)], GAP, GAP + 4)


def _error_of(fields: Fields) -> tuple[object, object]:
    """Return what says which error it was: the same one has a longer stack where more frameworks have seen it."""
    return fields.get("exception.type"), fields.get("exception.message")


def columns(colors: bool) -> list[Column]:
    """Return what a headline and a log line have in common: columns of a fixed width, then those that vary."""
    styles = ConsoleRenderer.get_default_column_styles(colors)
    levels = ConsoleRenderer.get_default_level_styles(colors) | {"debug": styles.timestamp}
    classes = {"2": levels["info"], "3": styles.kv_key, "4": levels["warning"], "5": levels["error"]}

    def column(key: str, style: Callable[[str], str], form: str = "", after: str = "") -> Column:
        def formatted(key: str, value: object) -> str:
            told = str(value)
            return KeyValueColumnFormatter(None, style(told), styles.reset, str, postfix=after)(key, format(told, form))

        return Column(key, formatted)

    return [
        column("", lambda _: ""),
        column("time", lambda _: styles.timestamp, f"<{TIME_WIDTH}"),
        column("level", lambda level: levels.get(level.lower(), ""), f"<{LEVEL_WIDTH}", " "),
        column("status", lambda status: classes.get(status[:1], ""), f">{STATUS_WIDTH}"),
        column("duration", lambda _: "", f">{DURATION_WIDTH}", " "),
        column("logger", lambda _: styles.logger_name, after=" "),
        column("what", lambda _: styles.bright),
        column("message", lambda _: ""),
    ]


def is_ours(key: object) -> bool:
    """Tell whether a field was named by wideevents, and not by its user."""
    return key in NAMES and (key not in SHARED or key in DULL)


def more(pairs: Pairs) -> list[Text]:
    """Return a note that says how many fields are too many to be shown."""
    left = len(pairs) - MOST_FIELDS
    return [Text(f"+{left:,} fields", NOTE)] if left > 0 else []
