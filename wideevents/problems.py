"""Answer with an error that explains itself: problem details for HTTP (RFC 9457)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from wideevents.errors import WideError
from wideevents.exceptions import attribute, explained
from wideevents.values import text

CONTENT_TYPE = "application/problem+json"
BLANK = "about:blank"
"""The type of a problem that says no more than its status (RFC 9457, 4.2.1)."""

_is_reference = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]+").fullmatch  # RFC 3986, 2


@dataclass(frozen=True, slots=True)
class Problem:
    """Hold an answer: its *status*, and the members of its body."""

    status: int
    members: dict[str, str | int]

    @property
    def headers(self) -> dict[str, str]:
        """The headers that it goes out with."""
        return {"Content-Type": CONTENT_TYPE}

    @property
    def body(self) -> bytes:
        """The members as JSON; in ASCII, since a text may hold what UTF-8 cannot."""
        return json.dumps(self.members).encode("ascii")


def problem(error: BaseException, instance: str | None, redact: Callable[[str], str]) -> Problem | None:
    """
    Return the answer to *error*, or None where its message was not written for who reads answers.

    An error explains itself if it is a `WideError`, which is a 500 without a status of its own, or if it has a status
    of 400 to 599 and one of `why`, `fix` and `link`. A `code` is not enough: clients of other services raise errors
    with a status and a code, and mean what they were answered. The message, which is the `detail`, and these four are
    told, redacted; all else that it holds is for the event. *instance* is a URI of the occurrence.
    """
    told = explained(error)
    explains = issubclass(type(error), WideError) or not told.keys() <= {"error.code"}
    status = _status(error) if explains else None
    if status is None:
        return None
    link = redact(told.get("error.link", BLANK))
    members: dict[str, str | int | None] = {
        "type": link if _is_reference(link) else BLANK,
        "title": _title(status),
        "status": status,
        "detail": redact(text(error)),
        "instance": instance,
    }
    members |= {name: redact(told.get(f"error.{name}", "")) for name in ("code", "why", "fix")}
    return Problem(status, {name: value for name, value in members.items() if value})


def _status(error: BaseException) -> int | None:
    """Return the status that *error* asks for; True is none, and a member of `HTTPStatus` is one."""
    status = attribute(error, "status")
    if issubclass(type(status), int) and 400 <= status <= 599:  # type: ignore[operator]
        return int(status)  # type: ignore[call-overload,no-any-return]
    return int(HTTPStatus.INTERNAL_SERVER_ERROR) if issubclass(type(error), WideError) else None


def _title(status: int) -> str:
    """Return the phrase of a status; one that is not registered is what the first of its class is (RFC 9110, 15)."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return HTTPStatus(status // 100 * 100).phrase
