"""Say whom an event calls, about what, and where they read what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wideevents import owners
from wideevents.entries import E, Noted, standing
from wideevents.events import Event
from wideevents.fingerprints import digest
from wideevents.frames import Application, Frame
from wideevents.levels import Level
from wideevents.owners import Owners, Place

WARNING = Level.WARNING  # the hot path looks nothing up in an enumeration

KNOWN_LIMIT = 4_096

_varying = re.compile(r"0x[0-9A-Fa-f]+|\b[0-9A-Fa-f]{8,}\b|\d+|'[^']*'|\"[^\"]*\"")
"""What differs between two messages of one log call."""


class Alert:
    """
    Add `owner.team`, and from warning on `alert.fingerprint` and `alert.runbook`; the first stage.

    It comes before what is counted, since the owner is. What the event says itself stays.
    """

    __slots__ = ("_application", "_known", "_owners", "_who")

    def __init__(self, owners: Owners, application: Application, described: Mapping[str, str]) -> None:
        self._owners = owners
        self._application = application
        self._who = [described.get(name, "") for name in ("service.name", "deployment.environment.name")]
        self._known: dict[tuple[str, str], str | None] = {}

    def __call__(self, event: Event) -> Event:
        """Route an event."""
        record = event.record
        if event.level >= WARNING:
            names = [record[name] for name in ("http.route", "event.name") if name in record]
            self._call(record, names, owners.places(self._frames(event.errors), event.handler))
            self._fingerprint(record, record["event.name"], record.get("error.type", ""))
        elif "owner.team" not in record:
            team = self.owner(record.get("http.route") or record["event.name"], event.handler)
            if team is not None:
                record["owner.team"] = team
        return event

    @property
    def default(self) -> str:
        """Who owns what nobody else does, or ""."""
        return self._owners.default or ""

    def line(self, line: E) -> E:
        """Route a log line: one outside any event calls somebody itself."""
        record = line.record
        if line.level >= WARNING and "alert.urgency" in record:
            logger = record["log.logger"]
            self._call(record, [logger], [*owners.places(self._frames(line.errors), None), Place(logger, "")])
            about = f"{record.get('code.function.name', '')} {_varying.sub('#', record['message'])}"
            self._fingerprint(record, logger, about)
        elif "owner.team" not in record and self._owners.default is not None:
            record["owner.team"] = self._owners.default
        return line

    def _call(self, record: dict[str, Any], names: list[str], places: list[Place]) -> None:
        if "owner.team" not in record:
            team = self._owners.team(names, places)
            if team is not None:
                record["owner.team"] = team
        if "alert.runbook" not in record:
            slug = record.get("exception.slug")
            named = names if slug is None else [slug, *names]
            runbook = self._owners.runbook(named, places, record.get("owner.team"))
            if runbook is not None:
                record["alert.runbook"] = runbook

    def _fingerprint(self, record: dict[str, Any], name: str, about: str) -> None:
        # The level is left out: a warning and the error that comes of it are one thing to look at.
        record["alert.fingerprint"] = digest([*self._who, name, record.get("error.fingerprint") or about])

    def owner(self, name: str, handler: object) -> str | None:
        """
        Return who owns what went well: by its name and its handler alone, so that it is looked up once.

        Of the handler the module is remembered, since the function itself may hold its whole application.
        """
        module = getattr(handler, "__module__", None)
        known = (name, module if type(module) is str else "")
        try:
            return self._known[known]
        except KeyError:
            team = self._owners.team([name], owners.places((), handler))
        if len(self._known) < KNOWN_LIMIT:
            self._known[known] = team
        return team

    def _frames(self, errors: tuple[Noted, ...]) -> list[Frame]:
        """Return the frames of the error that the entry stands for."""
        noted = standing(errors)
        return self._application.frames(noted.error) if noted else []
