"""Write what Prometheus and Alertmanager read, as YAML."""

from __future__ import annotations

from typing import Any

from wideevents.alerts.routing import routing
from wideevents.alerts.rules import rules
from wideevents.alerts.scenarios import unit_tests
from wideevents.alerts.settings import Alerts

try:
    import yaml
except ImportError as missing:
    raise ImportError("wideevents.alerts.files needs PyYAML: pip install 'wideevents[alerts]'") from missing

RULES, TESTS, ROUTING = "rules.yml", "rules_test.yml", "alertmanager.yml"
"""The names of the files."""

HEADER = """\
# {what}
# Written by `python -m wideevents alerts`: change the alerts= of wideevents.configure, and run it again.
"""

WHAT = {
    RULES: "Prometheus rules: what calls somebody. Prometheus 2.42 or later; name the file in its rule_files.",
    TESTS: "Unit tests of the rules: promtool test rules rules_test.yml",
    ROUTING: "Alertmanager configuration: who is called, and when. Alertmanager 0.25 or later.",
}


def files(alerts: Alerts, service: str) -> dict[str, str]:
    """
    Return the files for *service*, by their names.

    The same settings give the same bytes. Raise `ConfigurationError` where nobody would be called.
    """
    made = {RULES: rules(alerts, service), TESTS: unit_tests(alerts, service, RULES), ROUTING: routing(alerts)}
    return {name: HEADER.format(what=WHAT[name]) + _dumped(data) for name, data in made.items()}


class _Dumper(yaml.SafeDumper):
    """Write for people: several lines as such, and everything where it belongs, and not by reference to elsewhere."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class calls it so
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _dumped(data: dict[str, Any]) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
