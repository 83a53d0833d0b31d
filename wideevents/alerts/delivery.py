"""Post alerts to Alertmanager at once, and again and again where it does not answer."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from wideevents.alerts.direct import Alert
from wideevents.alerts.outbox import Held, Outbox
from wideevents.errors import ConfigurationError
from wideevents.legible import words

PATH = "/api/v2/alerts"

REFUSED = frozenset({400, 413, 422})
"""Statuses that say the alerts are wrong: to try again is of no use. Any other failure may pass."""

ANSWER_S = 5.0
"""Seconds in which Alertmanager has to answer."""

TICK_S = 1.0
SHORTEST_S, LONGEST_S = 0.25, 15.0
"""Seconds between two attempts: twice as long each time, and never more than this."""

ALLOWED = "the URL of Alertmanager, as http://127.0.0.1:9093"


class Answer(NamedTuple):
    """Hold what Alertmanager answered."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """
    Know where alerts are posted; *authorization* is a header, which is shown to nobody.

    No proxy of the environment is asked: Alertmanager stands in the same network.
    """

    host: str
    port: int | None = None
    prefix: str = ""
    secure: bool = False
    authorization: str = field(default="", repr=False)

    @classmethod
    def at(cls, url: str) -> Alertmanager:
        """
        Read a *url*: its path is what Alertmanager's `--web.external-url` has, a user and a password may stand in it.

        Raise `ConfigurationError` for one that cannot be used.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            (parts.hostname or "").encode("idna")
        except ValueError:
            raise _unusable(url) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise _unusable(url)
        if not url.isascii() or not url.isprintable() or " " in url:
            raise _unusable(url)
        prefix = parts.path.rstrip("/").removesuffix(PATH)
        return cls(parts.hostname, port, prefix, parts.scheme == "https", _authorization(parts))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"http{'s' if self.secure else ''}://{host}{port}{self.prefix}"

    def post(self, alerts: list[dict[str, Any]]) -> Answer:
        """Post *alerts*; raise `OSError` or `HTTPException` where no answer comes."""
        kind = HTTPSConnection if self.secure else HTTPConnection
        connection = kind(self.host, self.port, timeout=ANSWER_S)
        headers = {"Content-Type": "application/json", "User-Agent": "wideevents", "Connection": "close"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        try:
            connection.request("POST", self.prefix + PATH, json.dumps(alerts).encode("ascii"), headers)
            response = connection.getresponse()
            told = response.read(1_000).decode("utf-8", "replace").strip()
            return Answer(response.status, words(f"{response.status} {told or response.reason}", 200))
        finally:
            connection.close()


class Courier:
    """
    Deliver what is in the *outbox*, in a thread of its own; *tell* takes sentences for people.

    Whoever reads the log is never held up. While Alertmanager does not answer, alerts wait, and it is told once.
    """

    def __init__(self, outbox: Outbox, target: Alertmanager, tell: Callable[[str], None]) -> None:
        self.trouble = ""
        self._outbox = outbox
        self._target = target
        self._tell = tell
        self._news = threading.Event()
        self._closing = threading.Event()
        self._over = threading.Event()
        self._delay = SHORTEST_S
        self._thread = threading.Thread(target=self._work, name="wideevents-alert", daemon=True)
        self._thread.start()

    def send(self, alert: Alert) -> None:
        """Take an alert to be delivered."""
        if self._outbox.add(alert):
            self._news.set()

    def close(self, seconds: float) -> list[Alert]:
        """Try to deliver what is left for as long as that, and return what was not delivered."""
        self._closing.set()
        self._news.set()
        self._thread.join(seconds)
        self._over.set()
        return self._outbox.waiting

    def _work(self) -> None:
        while not self._over.is_set():
            self._news.clear()
            is_last = self._closing.is_set()
            batch = self._outbox.take(final=is_last)
            if batch:
                self._deliver(batch)
            elif is_last:
                return
            else:
                self._news.wait(TICK_S)

    def _deliver(self, batch: list[Held]) -> None:
        """Post a batch; where its alerts are refused together each gets a chance of its own."""
        try:
            answer = self._target.post(self._outbox.posted(batch))
        except (OSError, HTTPException) as error:
            self._wait_out(getattr(error, "strerror", None) or str(error) or type(error).__name__)
            return
        if answer.status in REFUSED:
            self._divide(batch, answer)
        elif answer.status // 100 != 2:
            self._wait_out(f"it answered {answer.reason}")
        else:
            self._outbox.delivered(batch)
            self._recover()

    def _divide(self, batch: list[Held], answer: Answer) -> None:
        if len(batch) > 1:
            for held in batch:
                self._deliver([held])
            return
        self._outbox.refuse(batch[0])
        self._tell(f"Alertmanager refused an alert, {batch[0].alert.summary}: {answer.reason}")

    def _wait_out(self, trouble: str) -> None:
        """Tell a new trouble, and wait before the next attempt, less long when it is the end."""
        if not self.trouble:
            self._tell(f"{self._target} cannot be reached ({trouble}); alerts wait, and are tried again")
        self.trouble = trouble
        if self._closing.is_set():
            self._over.wait(min(self._delay, TICK_S))
        else:
            self._closing.wait(self._delay)
        self._delay = min(2 * self._delay, LONGEST_S)

    def _recover(self) -> None:
        if self.trouble:
            self._tell(f"{self._target} is back")
        self.trouble = ""
        self._delay = SHORTEST_S


def _authorization(parts: SplitResult) -> str:
    if parts.username is None:
        return ""
    named = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(named.encode()).decode()


def _unusable(url: str) -> ConfigurationError:
    """Refuse a URL; a password in it is not repeated."""
    before, at, after = url.rpartition("@")
    shown = f"{before.partition('://')[0]}://[redacted]@{after}" if at else url
    return ConfigurationError.of("--alertmanager", shown, ALLOWED)
