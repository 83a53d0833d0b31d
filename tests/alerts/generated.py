"""What the tests of the generated files share: settings with everything in them, and the tools that read the files."""

from __future__ import annotations

import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from tests.parts import need
from wideevents.alerts import Alerts, BusinessHours, Receiver
from wideevents.alerts.files import RULES, TESTS, files
from wideevents.levels import Urgency

SERVICE = 'the "shop" in C:\\temp {{ é }}'
"""A name that breaks whatever is not escaped."""

TEAM = 'a "b", {c}\\d é'
"""And such a team."""

PAGER, SEARCH = Receiver(webhook="http://127.0.0.1:9/pager"), Receiver(webhook="http://127.0.0.1:9/search")
MAIL = Receiver(email="team@example.org")

ALWAYS = BusinessHours("mon-sun 00:00-24:00")
"""With them a warning is kept for an hour, which is tried quickly."""

FULL = Alerts(
    hours=BusinessHours("sun-thu 09:00-12:00 13:00-24:00, sat 10:00-14:00", "Asia/Kathmandu", (date(2026, 12, 25),)),
    owners={"/carts/<int:cart>": "payments", "nightly": "reports"},
    runbooks={
        "/carts/<int:cart>": "https://wiki.example.org/{{carts}}",
        "payments": 'https://wiki.example.org/?q="pay"',
    },
    receivers={"payments": PAGER, "search": SEARCH, TEAM: MAIL},
    default=PAGER,
)


def generate(folder: Path, alerts: Alerts, service: str = "shop") -> Path:
    """Write the files into *folder*."""
    for name, text in files(alerts, service).items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool of Prometheus or Alertmanager."""
    return subprocess.run([need(program), *arguments], capture_output=True, text=True, check=False, timeout=60)


def failed(folder: Path) -> set[str]:
    """Run the generated unit tests in *folder*, and return the names of those that fail."""
    done = run("promtool", "test", "rules", folder / TESTS)
    names = set(re.findall(r"^ +name: (.*),$", done.stdout + done.stderr, re.MULTILINE))
    assert (done.returncode == 0) is (names == set()), done.stdout + done.stderr
    return names


def only(folder: Path, names: set[str]) -> Path:
    """Leave the unit tests called *names* in the generated file; fail if they are not all there."""
    data = yaml.safe_load((folder / TESTS).read_text(encoding="utf-8"))
    data["tests"] = [test for test in data["tests"] if test["name"] in names]
    assert {test["name"] for test in data["tests"]} == names
    (folder / TESTS).write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder


def recording(folder: Path) -> Path:
    """Leave in *folder* the rules that record: its unit tests find no alert, unless it is from other rules."""
    rules, tests = (yaml.safe_load((folder / name).read_text(encoding="utf-8")) for name in (RULES, TESTS))
    for group in rules["groups"]:
        group["rules"] = [rule for rule in group["rules"] if "record" in rule]
    for look in (look for test in tests["tests"] for look in test["alert_rule_test"]):
        look["exp_alerts"] = []
    for name, data in ((RULES, rules), (TESTS, tests)):
        (folder / name).write_text(yaml.safe_dump(data), encoding="utf-8")
    return folder


def without(path: Path, guard: str, instead: str = "") -> None:
    """Put *instead* of the *guard* in a generated file; fail if it is not there."""
    text = path.read_text(encoding="utf-8")
    changed = re.sub(guard, instead, text)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


def hastened(rules: dict[str, Any]) -> dict[str, Any]:
    """Return *rules* at a faster pace: the cause of a warning is over after seconds. It is kept as long as ever."""
    for group in rules["groups"]:
        if group["name"].endswith(Urgency.BUSINESS_HOURS):
            group["interval"] = "1s"
            for rule in group["rules"]:
                rule["expr"] = rule["expr"].replace("[5m]", "[4s]").replace("offset 5m", "offset 4s")
    return rules


def causes(rules: dict[str, Any]) -> list[str]:
    """Return the expressions that find what warnings are about, whether or not they are still kept."""
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"] if "record" in rule]
