"""What the settings of alerts promise: what cannot be used is refused where it is given."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from wideevents import alerts
from wideevents.alerts import Alerts, BusinessHours, Mail, Receiver
from wideevents.errors import ConfigurationError

HOURS = 'a wideevents.alerts.BusinessHours, such as BusinessHours("mon-fri 09:00-17:00", tz="Europe/Berlin")'
KEYS = "a mapping whose keys are texts in one line, and not empty"
LINE = "text in one line, and not empty"
RECEIVER = 'a wideevents.alerts.Receiver, such as Receiver(webhook="https://...")'
TEAM = "the name of a team; Alerts(default=...) is for all others"

HOOK = "https://pager.example.org/hooks/7?key=a"


def refusal(kind: Any, **settings: Any) -> str:
    """Return the sentence with which *settings* are refused."""
    with pytest.raises(ConfigurationError) as refused:
        kind(**settings)
    return str(refused.value)


class TestReceiver:
    @pytest.mark.parametrize(
        "webhook", [HOOK, "http://127.0.0.1:9000", "http://[::1]:9000/x", "HTTP://pager/", "http://user:word@pager/x"]
    )
    def test_takes_a_webhook(self, webhook: str) -> None:
        """Any URL that Alertmanager can post to."""
        assert Receiver(webhook=webhook).webhook == webhook

    @pytest.mark.parametrize(
        "webhook",
        ["", "pager", "ftp://pager/x", "http://", "http:///x", "http://pager:x/", "http://pager:0/", "http://[::1/x"],
    )
    def test_refuses_what_is_no_url(self, webhook: str) -> None:
        """Alertmanager would only say so when it is started."""
        assert refusal(Receiver, webhook=webhook) == (
            f"webhook={webhook!r} cannot be used: it must be a URL that begins with http:// or https://."
        )

    @pytest.mark.parametrize("webhook", [1, b"http://pager", "http://pager/a b", "http://pager/\nx", Path("/x")])
    def test_refuses_what_would_break_a_file(self, webhook: Any) -> None:
        """It stands in one line of the configuration."""
        assert "it must be a URL" in refusal(Receiver, webhook=webhook)

    @pytest.mark.parametrize("email", ["team@example.org", "on-call+shop@localhost"])
    def test_takes_an_address(self, email: str) -> None:
        """As it stands behind To."""
        assert Receiver(email=email).email == email

    @pytest.mark.parametrize("email", ["", "team", "team@", "@example.org", "a@b, c@d", "Team <a@b>", "a@b\n", 1])
    def test_refuses_what_is_no_address(self, email: Any) -> None:
        """One, without a name."""
        assert refusal(Receiver, email=email) == (
            f'email={email!r} cannot be used: it must be an address, such as "team@example.org".'
        )

    @pytest.mark.parametrize("settings", [{}, {"webhook": HOOK, "email": "team@example.org"}])
    def test_is_exactly_one_of_the_two(self, settings: dict[str, str]) -> None:
        """A receiver of none would drop alerts silently."""
        assert refusal(Receiver, **settings).endswith("cannot be used: give it a webhook or an email, and not both.")


class TestMail:
    @pytest.mark.parametrize(
        ("smarthost", "local"),
        [("localhost:25", True), ("127.0.0.1:1025", True), ("[::1]:25", True), ("smtp.example.org:587", False)],
    )
    def test_a_relay_is_local_or_not(self, smarthost: str, local: bool) -> None:
        """On the same machine nobody listens in."""
        assert Mail(smarthost).is_local is local

    @pytest.mark.parametrize(
        "smarthost", ["", "smtp.example.org", ":25", "a:b", "smtp://a:25", "a b:25", "a:123456", 25]
    )
    def test_refuses_what_is_no_host_with_a_port(self, smarthost: Any) -> None:
        """Alertmanager has no default for the port."""
        assert refusal(Mail, smarthost=smarthost) == (
            f'smarthost={smarthost!r} cannot be used: it must be a host and a port, such as "smtp.example.org:587".'
        )

    def test_refuses_a_sender_that_is_no_address(self) -> None:
        """The relay would."""
        assert refusal(Mail, sender="Alerts").startswith("sender='Alerts' cannot be used: it must be an address")

    @pytest.mark.parametrize("name", ["username", "password_file"])
    def test_who_says_who_it_is_needs_a_password(self, name: str) -> None:
        """And the other way round."""
        told = refusal(Mail, **{name: "/run/secrets/mail"})

        assert told.endswith("cannot be used: username and password_file are given both, or neither.")

    def test_refuses_an_empty_password_file(self) -> None:
        """A variable of the environment may be empty."""
        told = refusal(Mail, username="wide", password_file=" ")

        assert told == "mail['password_file']=' ' cannot be used: it must be text in one line, and not empty."


class TestAlerts:
    def test_has_a_default_for_everything(self) -> None:
        """Nobody has to say more than they know."""
        settings = Alerts()

        assert settings.hours == BusinessHours("mon-fri 09:00-17:00", tz="UTC")
        assert (settings.owners, settings.runbooks, settings.receivers, settings.default) == ({}, {}, {}, None)

    def test_keeps_a_copy_of_what_it_was_given(self) -> None:
        """It is what it was when it was accepted."""
        owners = {"/checkout": "payments"}
        settings = Alerts(owners=owners)
        owners["/checkout"] = ""

        assert settings.owners == {"/checkout": "payments"}
        with pytest.raises(FrozenInstanceError):
            settings.owners = owners  # type: ignore[misc]

    def test_can_be_sent_to_another_process(self) -> None:
        """As whatever is configured."""
        settings = Alerts(receivers={"payments": Receiver(webhook=HOOK)}, codeowners=Path("CODEOWNERS"))

        assert pickle.loads(pickle.dumps(settings)) == settings

    @pytest.mark.parametrize(
        ("settings", "named", "wanted"),
        [
            ({"hours": "mon"}, "alerts.hours='mon'", HOURS),
            ({"mail": "localhost:25"}, "alerts.mail='localhost:25'", "a wideevents.alerts.Mail"),
            ({"owners": ["payments"]}, "alerts.owners=['payments']", KEYS),
            ({"owners": {"/x": 7}}, "alerts.owners['/x']=7", LINE),
            ({"owners": {"/x": None}}, "alerts.owners['/x']=None", LINE),
            ({"owners": {"/x": "pay\nments"}}, "alerts.owners['/x']='pay\\nments'", LINE),
            (
                {"runbooks": {"/x": "wiki"}},
                "alerts.runbooks['/x']='wiki'",
                "a URL that begins with http:// or https://",
            ),
            ({"receivers": {"payments": HOOK}}, f"alerts.receivers['payments']={HOOK!r}", RECEIVER),
            ({"receivers": {"default": Receiver(webhook=HOOK)}}, "alerts.receivers='default'", TEAM),
            ({"default": HOOK}, f"alerts.default={HOOK!r}", RECEIVER),
            ({"codeowners": 7}, "alerts.codeowners=7", "the path of a CODEOWNERS file"),
            ({"codeowners": ""}, "alerts.codeowners=''", "the path of a CODEOWNERS file"),
        ],
    )
    def test_refuses_what_cannot_be_used(self, settings: dict[str, Any], named: str, wanted: str) -> None:
        """With the setting, what was given, and what is allowed."""
        assert refusal(Alerts, **settings) == f"{named} cannot be used: it must be {wanted}."

    @pytest.mark.parametrize("name", ["owners", "runbooks", "receivers"])
    @pytest.mark.parametrize("key", ["", " ", 7, "/x\n", "/x\x00"])
    def test_refuses_a_key_that_is_no_label(self, name: str, key: Any) -> None:
        """It stands in a file, and on a screen."""
        assert refusal(Alerts, **{name: {key: "http://x"}}).startswith(f"alerts.{name}={{{key!r}: 'http://x'}} cannot")


class TestImport:
    def test_the_names_are_complete_and_sorted(self) -> None:
        """What a user writes stands in one place."""
        assert alerts.__all__ == sorted(alerts.__all__)
        assert all(hasattr(alerts, name) for name in alerts.__all__)

    def test_costs_nobody_what_only_a_command_needs(self) -> None:
        """The configuration of every process imports it."""
        program = "import sys, wideevents.alerts; print([name for name in ('yaml', 'argparse') if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

        assert done.stdout == "[]\n"
