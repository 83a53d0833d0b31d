"""What the command `alerts` promises."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.alerts.generated import failed, run
from tests.doctor.conftest import _fresh_logging, alone
from wideevents import cli
from wideevents.alerts import Alerts, BusinessHours, Receiver
from wideevents.alerts.files import ROUTING, RULES, TESTS, files
from wideevents.cli import main
from wideevents.cli.alerts import told

ROOT = Path(cli.__file__).parents[2]
FILES = {RULES, TESTS, ROUTING}

SHOP = """
import wideevents
from wideevents.alerts import Alerts, BusinessHours, Receiver

def create_app():
    hours, pager = BusinessHours("mon-sun 00:00-24:00"), Receiver(webhook="http://127.0.0.1:9/pager")
    wideevents.configure(service="shop", alerts=Alerts(hours, {"/x": "search"}, receivers={"payments": pager}))
    async def app(scope, receive, send): ...
    return app

def create_quiet_app():
    wideevents.configure(service="shop")
    return lambda environ, start_response: []

def create_broken_app():
    wideevents.configure(alerts=Alerts(hours=BusinessHours("mon-fri", tz="Mars/Base")))

def create_rude_app():
    import io, sys
    sys.stdout = sys.stderr = io.StringIO()
    return create_app()

def create_red_app():
    raise LookupError(chr(27) + "[31m")

def create_rude_and_quiet_app():
    create_rude_app()
    return create_quiet_app()
"""

fresh_logging = _fresh_logging
"""Used by every test of this file, as in those of the doctor."""

pytestmark = pytest.mark.usefixtures("shop", "reconfigurable")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with the module of an application."""
    alone()
    (tmp_path / "kiosk.py").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "kiosk", raising=False)


def command(app: str = "create_app", *more: str) -> int:
    """Run the command on an application of the module."""
    return main(["alerts", "--app", f"kiosk:{app}", "--out", "alerts", *more])


class TestAlerts:
    def test_writes_what_prometheus_and_alertmanager_accept(self) -> None:
        """All three files, for the settings of the application."""
        assert command() == 0
        assert {path.name for path in Path("alerts").iterdir()} == FILES

        assert run("promtool", "check", "rules", f"alerts/{RULES}").returncode == 0
        assert run("amtool", "check-config", f"alerts/{ROUTING}").returncode == 0
        assert failed(Path("alerts")) == set()

    def test_tells_what_it_wrote_and_how_to_check_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        """And what people have to know of it."""
        command()

        assert capsys.readouterr().out == (
            "Wrote the alerts of shop to alerts: rules.yml, rules_test.yml and alertmanager.yml.\n"
            "Errors ring at once, at any time.\n"
            "Warnings are delivered mon-sun 00:00-24:00 (UTC), and kept for that 1h if they have to.\n"
            "Without a receiver of their own: search. The default receiver gets what is theirs.\n"
            "There is no default receiver: what is nobody's goes to all of them. Alerts(default=...) changes that.\n"
            "Check them:\n"
            "  promtool check rules alerts/rules.yml\n"
            "  promtool test rules alerts/rules_test.yml\n"
            "  amtool check-config alerts/alertmanager.yml\n"
        )

    def test_writes_over_what_was_there(self) -> None:
        """What was changed by hand is gone: it belongs into the settings."""
        command()
        before = {name: Path("alerts", name).read_bytes() for name in FILES}
        for name in FILES:
            Path("alerts", name).write_text("# mine\n")
        command()

        assert {name: Path("alerts", name).read_bytes() for name in FILES} == before

    def test_the_folder_may_be_anywhere(self, tmp_path: Path) -> None:
        """It is made, and those around it."""
        assert main(["alerts", "--app", "kiosk:create_app", "--out", str(tmp_path / "a" / "b c")]) == 0
        assert {path.name for path in (tmp_path / "a" / "b c").iterdir()} == FILES

    def test_an_application_may_take_the_streams(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What is told is told all the same."""
        assert command("create_rude_app") == 0
        assert capsys.readouterr().out.startswith("Wrote the alerts of shop")


class TestCheck:
    def test_what_is_up_to_date_is_well(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The same settings give the same files."""
        command()
        capsys.readouterr()

        assert command("create_app", "--check") == 0
        assert capsys.readouterr().out == "The files in alerts are up to date.\n"

    @pytest.mark.parametrize("name", sorted(FILES))
    def test_what_has_changed_fails(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        """So that a build tells who forgot to write it; and nothing is written."""
        command()
        Path("alerts", name).write_text("# mine\n")
        capsys.readouterr()

        assert command("create_app", "--check") == 1
        assert capsys.readouterr().out == (
            f"alerts/{name} is not up to date: run the command again, without --check.\n"
        )
        assert Path("alerts", name).read_text() == "# mine\n"

    def test_what_is_not_there_fails(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Each file is named, and none is made."""
        assert command("create_app", "--check") == 1
        assert capsys.readouterr().out.count("is not up to date") == 3
        assert not Path("alerts").exists()


class TestRefusal:
    def test_an_application_that_calls_nobody(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It is told what to set, and nothing is written."""
        assert command("create_quiet_app") == 2
        written, said = capsys.readouterr()

        assert said.startswith("wideevents alerts: Nobody would be called: no receiver is configured. Give one to wide")
        assert written == ""
        assert not Path("alerts").exists()

    def test_an_application_that_takes_the_streams_and_calls_nobody(self, capsys: pytest.CaptureFixture[str]) -> None:
        """What is told is told all the same."""
        assert command("create_rude_and_quiet_app") == 2
        assert capsys.readouterr().err.startswith("wideevents alerts: Nobody would be called")

    def test_nothing_moves_the_cursor(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Whatever the application raised."""
        assert command("create_red_app") == 2
        assert "raised LookupError: \\x1b[31m at kiosk.py:" in capsys.readouterr().err.splitlines()[-1]

    def test_settings_that_cannot_be_used(self, capsys: pytest.CaptureFixture[str]) -> None:
        """With the place in the application, and the sentence."""
        assert command("create_broken_app") == 2
        said = capsys.readouterr().err

        assert 'BusinessHours("mon-fri", tz="Mars/Base")' in said
        assert said.splitlines()[-1].startswith(
            "wideevents alerts: 'kiosk:create_broken_app' cannot be loaded: the factory raised"
        )

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            ([], "whose alerts are they? Give --app MODULE:APP"),
            (["--app", "nowhere:app"], "'nowhere:app' cannot be loaded: there is no module 'nowhere'"),
        ],
    )
    def test_an_application_that_is_not_there(
        self, arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """As by the other commands."""
        assert main(["alerts", *arguments, "--out", "alerts"]) == 2
        assert capsys.readouterr().err.startswith(f"wideevents alerts: {reason}")

    def test_where_to_write_has_to_be_said(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Nothing is written over by accident."""
        with pytest.raises(SystemExit) as ended:
            main(["alerts", "--app", "kiosk:create_app"])

        assert (ended.value.code, "--out" in capsys.readouterr().err) == (2, True)

    def test_a_folder_that_is_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        """In a sentence, and not in a traceback."""
        Path("alerts").write_text("a file")

        assert command() == 2
        assert capsys.readouterr().err.startswith("wideevents alerts: [Errno ")
        assert (command("create_app", "--check"), Path("alerts").read_text()) == (1, "a file")

    def test_a_file_that_is_no_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It is none of ours."""
        command()
        Path("alerts", RULES).write_bytes(b"\xff")

        assert command("create_app", "--check") == 1
        assert f"alerts/{RULES} is not up to date" in capsys.readouterr().out


class TestTold:
    HOOK = Receiver(webhook="http://127.0.0.1:9/pager")

    def rows(self, alerts: Alerts) -> list[str]:
        """Return what is told."""
        return list(told(alerts, "shop", Path("my alerts")))

    def test_where_all_is_said_there_is_no_advice(self) -> None:
        """Only what was written, and how to check it."""
        rows = self.rows(Alerts(owners={"/x": "payments"}, receivers={"payments": self.HOOK}, default=self.HOOK))

        assert rows[1:] == [
            "Errors ring at once, at any time.",
            "Warnings are delivered mon-fri 09:00-17:00 (UTC), and kept for that 65h if they have to.",
            "Check them:",
            "  promtool check rules 'my alerts/rules.yml'",
            "  promtool test rules 'my alerts/rules_test.yml'",
            "  amtool check-config 'my alerts/alertmanager.yml'",
        ]

    def test_long_holidays_need_a_long_memory(self) -> None:
        """Alertmanager forgets what it has told after five days."""
        hours = BusinessHours("mon 09:00-17:00")

        assert "Run Alertmanager with --data.retention=162h or more, or it tells things twice." in self.rows(
            Alerts(hours=hours, default=self.HOOK)
        )

    def test_very_long_holidays_need_a_long_storage(self) -> None:
        """Prometheus stores what it has recorded for fifteen days."""
        days = [date(2026, 8, 1) + timedelta(days=number) for number in range(31)]
        rows = self.rows(Alerts(hours=BusinessHours("mon-fri 09:00-17:00", holidays=days), default=self.HOOK))

        assert [row for row in rows if "Prometheus" in row] == [
            "Run Prometheus with --storage.tsdb.retention.time=761h or more, or it forgets warnings."
        ]

    def test_nothing_is_shown_where_nobody_looks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever started us may have closed the standard output."""
        monkeypatch.setattr(sys, "stdout", None)

        assert command() == 0
        assert {path.name for path in Path("alerts").iterdir()} == FILES


class TestProcess:
    def test_it_is_a_command_like_the_others(self, tmp_path: Path) -> None:
        """In a process of its own, as people run it."""
        arguments = [sys.executable, "-m", "wideevents", "alerts", "--app", "kiosk:create_app", "--out", "alerts"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)

        alerts = Alerts(BusinessHours("mon-sun 00:00-24:00"), {"/x": "search"}, receivers={"payments": TestTold.HOOK})
        assert (done.returncode, done.stderr) == (0, "")
        assert {name: (tmp_path / "alerts" / name).read_text() for name in FILES} == files(alerts, "shop")
