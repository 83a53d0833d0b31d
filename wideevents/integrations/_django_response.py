"""Follow a response of Django's to its last byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wideevents.context import Activation
from wideevents.integrations._body import Collected, Follower, hand_on, hand_on_async
from wideevents.integrations._request import REQUEST_ID, Request, number


class Closing:
    """
    End an event when Django closes its response, or when nobody does, and the response is collected.

    *end* is how it ends. It is one of the response's own closers, and refers to nothing of Django's: a circle would
    keep it from being collected at once.
    """

    __slots__ = ("_activation", "_followed", "end")

    def __init__(self, followed: Request | None = None) -> None:
        self._followed = followed
        self._activation: Activation | None = None
        self.end: Callable[[], object] = bool if followed is None else followed.finish

    def __reduce__(self) -> tuple[type[Closing], tuple[()]]:
        """Become one that ends nothing, where a response is pickled: a cache that stands before the door does that."""
        return Closing, ()

    def begin(self) -> None:
        """Let what is cleaned up for a client that has left be told, too."""
        if self._followed is not None and self._followed.event.fields is not None:
            self._activation = Activation(self._followed.event)
            self._activation.resume()

    def __call__(self) -> None:
        """End the event."""
        if self._activation is not None:
            self._activation.suspend()
            self._activation = None
        self.end()

    def __del__(self) -> None:
        if self._followed is not None and self._followed.event.fields is not None:
            self._followed.finish()


def follow(response: Any, request: Any, followed: Request) -> None:
    """Follow *response* to its last byte."""
    own = response.headers.get(REQUEST_ID)
    if own is None:
        response.headers[REQUEST_ID] = followed.id
    else:
        followed.adopt(own)
    followed.started(response.status_code, number(response.headers.get("Content-Length", "")))
    closing, closers = Closing(followed), response._resource_closers  # noqa: SLF001 - Django's handlers do so, too
    if not response.streaming:
        size = len(response.content)
        followed.measured(size)
        followed.passed(size)
    elif getattr(response, "file_to_stream", None) is None or not request.META.get("wsgi.file_wrapper"):
        closing.end = followed.closed
        closers.insert(0, closing.begin)
        _hand_on(response, hasattr(request, "scope"), followed, closing)
    elif request.method == "HEAD":
        followed.finish()  # none of the file is sent, and some servers close nothing then
    else:
        closing.end = followed.handed_over
    closers.append(closing)


def _hand_on(response: Any, is_asgi: bool, followed: Request, closing: Closing) -> None:
    """Follow the parts of a body; one that is not for its server, such as a file under ASGI, is collected by Django."""

    def made() -> None:
        closing.end = followed.finish

    follower: Follower = followed if response.is_async == is_asgi else Collected(followed, made)
    hand = hand_on_async if response.is_async else hand_on
    response.streaming_content = hand(response.streaming_content, follower)
