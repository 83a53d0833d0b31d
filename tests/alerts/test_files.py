"""What the generated files promise, besides what stands in them."""

from __future__ import annotations

import importlib
import sys

import pytest
import yaml

from tests.alerts.generated import FULL, SERVICE
from wideevents.alerts import Alerts
from wideevents.alerts.files import ROUTING, RULES, TESTS, files
from wideevents.alerts.routing import routing
from wideevents.alerts.rules import rules
from wideevents.alerts.scenarios import unit_tests
from wideevents.errors import ConfigurationError


class TestFiles:
    def test_hold_what_was_made(self) -> None:
        """To the letter, whatever characters it has."""
        made = files(FULL, SERVICE)

        assert {name: yaml.safe_load(text) for name, text in made.items()} == {
            RULES: rules(FULL, SERVICE),
            TESTS: unit_tests(FULL, SERVICE, RULES),
            ROUTING: routing(FULL),
        }

    def test_say_what_they_are_and_who_wrote_them(self) -> None:
        """Whoever finds one knows where to change it."""
        heads = [text.splitlines()[:2] for text in files(FULL, "shop").values()]

        assert [each[0].startswith("# ") for each in heads] == [True] * 3
        assert {each[1] for each in heads} == {
            "# Written by `python -m wideevents alerts`: change the alerts= of wideevents.configure, and run it again."
        }

    def test_can_be_read(self) -> None:
        """Expressions have their lines, and nothing refers to elsewhere."""
        made = files(FULL, "shop")

        assert (
            "    expr: |\n      group by (service, environment, owner, route) (\n        # It grows.\n" in made[RULES]
        )
        assert [name for name, text in made.items() if "&id" in text] == []

    def test_nobody_to_call_is_refused(self) -> None:
        """Before anything is written."""
        with pytest.raises(ConfigurationError, match="Nobody would be called"):
            files(Alerts(), "shop")

    def test_without_pyyaml_it_is_told_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only who generates files needs it."""
        monkeypatch.delitem(sys.modules, "wideevents.alerts.files")
        monkeypatch.setitem(sys.modules, "yaml", None)

        with pytest.raises(
            ImportError, match=r"wideevents.alerts.files needs PyYAML: pip install 'wideevents\[alerts\]'"
        ):
            importlib.import_module("wideevents.alerts.files")
