"""Say whom an alert reaches, and when."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from wideevents.errors import ConfigurationError
from wideevents.hours import BusinessHours

DEFAULT = "default"
"""The receiver of what nobody else receives; no team can be called so."""

_ADDRESS = re.compile(r"[^\s@<>,]+@[^\s@<>,]+")
_RELAY = re.compile(r"[^\s:/@]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}")


@dataclass(frozen=True, slots=True)
class Receiver:
    """
    Say where alerts go: `Receiver(webhook="https://...")`, or `Receiver(email="team@example.org")`.

    What a webhook is sent is Alertmanager's JSON; pagers and chats take it. Raise `ConfigurationError` unless exactly
    one of the two is given.
    """

    webhook: str | None = None
    email: str | None = None

    def __post_init__(self) -> None:
        if (self.webhook is None) == (self.email is None):
            raise ConfigurationError(f"{self!r} cannot be used: give it a webhook or an email, and not both.")
        if self.webhook is not None and not _is_url(self.webhook):
            raise ConfigurationError.of("webhook", self.webhook, "a URL that begins with http:// or https://")
        if self.email is not None:
            _check_address("email", self.email)


@dataclass(frozen=True, slots=True)
class Mail:
    """
    Say how Alertmanager sends mail: through *smarthost*, a host with a port, in the name of *sender*.

    Where the relay asks who it is, it says *username*, and what stands in *password_file* on its own machine: a
    password is in no file that is generated. TLS is required, but for a relay on the same machine.
    """

    smarthost: str = "localhost:25"
    sender: str = "alertmanager@localhost"
    username: str | None = None
    password_file: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.smarthost, str) or not _RELAY.fullmatch(self.smarthost):
            raise ConfigurationError.of(
                "smarthost", self.smarthost, 'a host and a port, such as "smtp.example.org:587"'
            )
        _check_address("sender", self.sender)
        given = {"username": self.username, "password_file": self.password_file}
        _check_words("mail", {name: text for name, text in given.items() if text is not None})
        if (self.username is None) != (self.password_file is None):
            raise ConfigurationError(f"{self!r} cannot be used: username and password_file are given both, or neither.")

    @property
    def is_local(self) -> bool:
        """Whether the relay is on Alertmanager's own machine."""
        return self.smarthost.rpartition(":")[0] in {"localhost", "127.0.0.1", "[::1]"}


@dataclass(frozen=True, slots=True)
class Alerts:
    """
    Say whom failures call, and when: `wideevents.configure(alerts=Alerts(...))`.

    - *hours*: when a warning may be delivered. An error always is.
    - *owners*: the team of a route template, or of the name of an event.
    - *runbooks*: where it says what to do, a URL, by route template, name of an event, slug of an exception, or team.
    - *receivers*: where the alerts of a team go. *default* gets what has no team, or a team without a receiver; where
      there is none, all receivers get it.
    - *codeowners*: the path of a CODEOWNERS file, which says whose a file is. By default that of the repository.
    - *mail*: how mail is sent, where a receiver is an address.

    Raise `ConfigurationError` for what cannot be used.
    """

    hours: BusinessHours = field(default_factory=lambda: BusinessHours("mon-fri 09:00-17:00"))
    owners: Mapping[str, str] = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    default: Receiver | None = None
    codeowners: str | os.PathLike[str] | None = None
    mail: Mail = field(default_factory=Mail)

    def __post_init__(self) -> None:
        hint = ' such as BusinessHours("mon-fri 09:00-17:00", tz="Europe/Berlin")'
        _check(BusinessHours, "alerts.hours", self.hours, f"a wideevents.alerts.BusinessHours,{hint}")
        _check(Mail, "alerts.mail", self.mail, "a wideevents.alerts.Mail")
        for name in ("owners", "runbooks", "receivers"):
            object.__setattr__(self, name, _mapping(f"alerts.{name}", getattr(self, name)))
        _check_words("alerts.owners", self.owners)
        for key, url in self.runbooks.items():
            if not _is_url(url):
                raise ConfigurationError.of(
                    f"alerts.runbooks[{key!r}]", url, "a URL that begins with http:// or https://"
                )
        wanted = 'a wideevents.alerts.Receiver, such as Receiver(webhook="https://...")'
        for team, receiver in self.receivers.items():
            _check(Receiver, f"alerts.receivers[{team!r}]", receiver, wanted)
        if DEFAULT in self.receivers:
            raise ConfigurationError.of(
                "alerts.receivers", DEFAULT, "the name of a team; Alerts(default=...) is for all others"
            )
        if self.default is not None:
            _check(Receiver, "alerts.default", self.default, wanted)
        if self.codeowners is not None:
            _check((str, os.PathLike), "alerts.codeowners", self.codeowners, "the path of a CODEOWNERS file")


def _check(kind: type | tuple[type, ...], name: str, given: object, wanted: str) -> None:
    if not isinstance(given, kind) or given == "":
        raise ConfigurationError.of(name, given, wanted)


def _mapping(name: str, given: object) -> Mapping[str, Any]:
    """Return a copy, which stays as it is."""
    if not isinstance(given, Mapping) or not all(_is_word(key) for key in given):
        raise ConfigurationError.of(name, given, "a mapping whose keys are texts in one line, and not empty")
    return dict(given)


def _check_words(name: str, given: Mapping[str, object]) -> None:
    for key, text in given.items():
        if not _is_word(text):
            raise ConfigurationError.of(f"{name}[{key!r}]", text, "text in one line, and not empty")


def _is_word(given: object) -> bool:
    """Tell whether *given* can be a label, and part of a file that is generated."""
    return isinstance(given, str) and given.isprintable() and bool(given.strip())


def _is_url(given: object) -> bool:
    if not isinstance(given, str) or not given.isprintable() or " " in given:
        return False
    try:
        parts = urlsplit(given)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        return False


def _check_address(name: str, given: object) -> None:
    if not isinstance(given, str) or not _ADDRESS.fullmatch(given):
        raise ConfigurationError.of(name, given, 'an address, such as "team@example.org"')
