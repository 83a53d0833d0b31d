"""What `alert` promises."""

from __future__ import annotations

import gzip
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.stand_ins import Troubled, nobody, troubled
from tests.alerts.test_direct import EVENT, LINE
from tests.integrations.servers import environment, eventually
from tests.parts.alerting import Alertmanager, Webhook, alertmanager, webhook
from wideevents.cli import alert, main
from wideevents.legible import moment

PATIENCE = 20.0


def ago(seconds: float) -> str:
    """Return a time in the past, as a line tells it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def event(fingerprint: str, seconds: float = 0.0, **fields: Any) -> bytes:
    """Return the line of an error that ended so long ago."""
    told = {**EVENT, "timestamp": ago(seconds), "duration_ms": 0, "alert.fingerprint": fingerprint, **fields}
    return json.dumps(told).encode() + b"\n"


def fingerprints(server: Troubled) -> list[str]:
    """Return what was posted, in its order."""
    return [each for body in server.fingerprints() for each in body]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give a file with two events that call somebody, one that does not, and a line of each kind."""
    path = tmp_path / "log"
    warning = {"alert.urgency": "business_hours", "level": "warning"}
    inside = {"level": "error", "message": "declined", "event.id": "5eb3869374d2f025"}
    path.write_bytes(
        event("a")
        + event("b", **warning)
        + event("c", **{"alert.urgency": "none", "level": "info"})
        + json.dumps(inside).encode()
        + b"\nno JSON\n"
        + json.dumps({**LINE, "alert.fingerprint": "d"}).encode()
        + b"\n"
    )
    return path


@pytest.fixture
def server() -> Iterator[Troubled]:
    """Give a server that takes everything."""
    with troubled() as running:
        yield running


class TestLines:
    def test_that_call_somebody_are_posted(
        self, log: Path, server: Troubled, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Events and lines outside any event; a line inside one alerts by its event. What is no JSON is counted."""
        status = main(["alert", "--alertmanager", server.url, str(log)])

        assert (status, fingerprints(server)) == (0, ["a", "b", "d"])
        assert capfd.readouterr() == ("", "wideevents alert: passed over 1 line that is no JSON\n")

    def test_of_several_files_one_of_them_compressed(self, tmp_path: Path, server: Troubled) -> None:
        """In their order."""
        with gzip.open(tmp_path / "old.gz", "wb") as file:
            file.write(event("a"))
        (tmp_path / "new").write_bytes(event("b"))
        main(["alert", "--alertmanager", server.url, str(tmp_path / "old.gz"), str(tmp_path / "new")])

        assert fingerprints(server) == ["a", "b"]

    @pytest.mark.parametrize("name", [["-"], []])
    def test_of_the_standard_input(self, name: list[str], server: Troubled, monkeypatch: pytest.MonkeyPatch) -> None:
        """By its name, or where no file is named."""
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(event("a") + event("b"))))
        main(["alert", "--alertmanager", server.url, *name])

        assert fingerprints(server) == ["a", "b"]

    def test_of_the_same_fingerprint_are_one_alert(self, tmp_path: Path, server: Troubled) -> None:
        """A storm rings once."""
        (tmp_path / "log").write_bytes(event("a", 9) + event("a") * 1_000)
        main(["alert", "--alertmanager", server.url, str(tmp_path / "log")])

        assert {len(body) for body in server.bodies} == {1}
        assert len(server.bodies) <= 3
        assert server.bodies[-1][0]["startsAt"] < ago(8)

    def test_empty_and_illegible_ones_cost_nothing(
        self, tmp_path: Path, server: Troubled, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Whatever they hold. An empty line is not told."""
        bad = [b"\xff\xfe", b'{"alert.urgency": "page"', b"[1]", b'{"a":' * 9_000, b"\0", b"", b"  "]
        (tmp_path / "log").write_bytes(b"\n".join(bad) + b"\n" + event("a"))
        status = main(["alert", "--alertmanager", server.url, str(tmp_path / "log")])

        assert (status, fingerprints(server)) == (0, ["a"])
        assert capfd.readouterr().err == "wideevents alert: passed over 4 lines that are no JSON\n"

    def test_may_hold_anything(self, tmp_path: Path, server: Troubled) -> None:
        """A log may be written by anybody."""
        (tmp_path / "log").write_bytes(
            b'{"alert.urgency": "page", "duration_ms": NaN, "timestamp": 1e999, "alert.fingerprint": "\\ud800"}\n'
            b'{"alert.urgency": ["page"]}\n{"alert": {"urgency": "page", "fingerprint": "nested"}, "timestamp": true}\n'
        )

        assert main(["alert", "--alertmanager", server.url, str(tmp_path / "log")]) == 0
        assert fingerprints(server) == ["\\ud800", "nested"]


class TestSince:
    @pytest.mark.parametrize("given", ["90s", "1.5m", ""], ids=["seconds", "minutes", "moment"])
    def test_leaves_out_what_is_older(self, tmp_path: Path, server: Troubled, given: str) -> None:
        """It counts when an event ended; a line that does not tell is not left out."""
        given = given or ago(90)
        untold = {name: value for name, value in EVENT.items() if name != "timestamp"}
        long = event("long", 100, duration_ms=60_000)
        (tmp_path / "log").write_bytes(event("old", 100) + long + event("new", 80) + json.dumps(untold).encode())
        main(["alert", "--alertmanager", server.url, "--since", given, str(tmp_path / "log")])

        assert fingerprints(server) == ["long", "new", EVENT["alert.fingerprint"]]

    def test_is_everything_by_default(self, tmp_path: Path, server: Troubled) -> None:
        """Who gives a file wants it read."""
        (tmp_path / "log").write_bytes(event("old", 10_000_000))
        main(["alert", "--alertmanager", server.url, str(tmp_path / "log")])

        assert fingerprints(server) == ["old"]

    @pytest.mark.parametrize(
        ("given", "length"), [("90s", 90), ("1.5m", 90), ("2h", 7_200), ("1d", 86_400), (" 1s ", 1)]
    )
    def test_a_time_has_a_unit(self, given: str, length: float) -> None:
        """Seconds, minutes, hours or days."""
        assert alert.duration(given) == length


class TestLifetimes:
    def lasts(self, server: Troubled, log: Path, *options: str) -> list[float]:
        """Return how long each alert is to last, in seconds."""
        main(["alert", "--alertmanager", server.url, *options, str(log)])
        ends = [moment(each["endsAt"]) for body in server.bodies for each in body]
        return [round((end - datetime.now(UTC)).total_seconds(), -1) for end in ends if end is not None]

    def test_an_error_for_some_quiet_a_warning_past_the_weekend(self, log: Path, server: Troubled) -> None:
        """Alertmanager would drop a warning that resolves before the hours open: 64 hours of a weekend, and more."""
        assert self.lasts(server, log) == [300, 66 * 3_600, 66 * 3_600]

    def test_as_they_are_given(self, log: Path, server: Troubled) -> None:
        """Around holidays it is longer."""
        assert self.lasts(server, log, "--quiet", "10m", "--keep", "5d") == [600, 432_000, 432_000]


class TestDryRun:
    def test_prints_the_alerts_and_posts_none(self, log: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """Each once, as one line of JSON that the API would take."""
        log.write_bytes(log.read_bytes() * 2)
        status = main(["alert", "--dry-run", str(log)])
        printed = [json.loads(row) for row in capfd.readouterr().out.splitlines()]

        assert (status, [each["labels"]["fingerprint"] for each in printed]) == (0, ["a", "b", "d"])
        assert {tuple(each) for each in printed} == {("labels", "annotations", "startsAt", "endsAt")}


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            ([], "one of the arguments --alertmanager --dry-run is required"),
            (["--dry-run", "--alertmanager", "http://h"], "not allowed with argument"),
            (
                ["--alertmanager", "ftp://h"],
                "--alertmanager='ftp://h' cannot be used: it must be the URL of Alertmanager",
            ),
            (["--dry-run", "--since", "soon"], "'soon' is no time such as 90s, 15m, 2h, 1d or 2026-11-21T22:00Z"),
            (["--dry-run", "--quiet", "5"], "'5' is no time such as 90s, 15m, 2h or 1d"),
            (["--dry-run", "--keep", "0s"], "'0s' is no time such as 90s, 15m, 2h or 1d"),
            (["--dry-run", "--timeout", "367d"], "'367d' is no time such as 90s, 15m, 2h or 1d, of at most a year"),
        ],
    )
    def test_that_is_wrong_is_told_in_a_sentence(
        self, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And nothing is read."""
        with pytest.raises(SystemExit) as refused:
            main(["alert", *arguments])

        assert (refused.value.code, sentence in " ".join(capsys.readouterr().err.split())) == (2, True)


class TestTrouble:
    def test_what_was_not_delivered_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """By name, and in the status; the first few of many."""
        (tmp_path / "log").write_bytes(b"".join(event(name) for name in "abcdefg"))
        url = nobody()
        status = main(["alert", "--alertmanager", url, "--timeout", "0.1s", str(tmp_path / "log")])
        said = capsys.readouterr().err.splitlines()

        assert status == 1
        assert said == [
            f"wideevents alert: {url} cannot be reached (Connection refused); alerts wait, and are tried again",
            f"wideevents alert: 7 alerts could not be delivered to {url}: "
            + "PaymentError: declined (shop); " * 5
            + "and 2 more",
        ]

    def test_one_that_was_not_delivered_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """In the same sentence."""
        (tmp_path / "log").write_bytes(event("a"))
        url = nobody()
        main(["alert", "--alertmanager", url, "--timeout", "0.1s", str(tmp_path / "log")])

        assert capsys.readouterr().err.splitlines()[1] == (
            f"wideevents alert: 1 alert could not be delivered to {url}: PaymentError: declined (shop)"
        )

    def test_what_was_refused_is_in_the_status(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """It has been told by then."""
        (tmp_path / "log").write_bytes(event("a"))
        with troubled((400, "bad")) as server:
            status = main(["alert", "--alertmanager", server.url, str(tmp_path / "log")])

        assert (status, "Alertmanager refused an alert" in capsys.readouterr().err) == (1, True)

    @pytest.mark.parametrize(("most", "lost"), [(1, "2 alerts"), (2, "1 alert"), (0, "3 alerts")])
    def test_what_was_too_much_to_be_kept_is_told(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, most: int, lost: str
    ) -> None:
        """And in the status, also where nothing is left that was kept."""
        monkeypatch.setattr("wideevents.alerts.outbox.MOST", most)
        (tmp_path / "log").write_bytes(event("a") + event("b") + event("c"))
        status = main(["alert", "--alertmanager", nobody(), "--timeout", "0.1s", str(tmp_path / "log")])

        assert status == 1
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"wideevents alert: {lost} could not be kept: too many waited to be delivered"
        )

    def test_files_that_cannot_be_read_are_told_and_the_others_are_read(
        self, tmp_path: Path, server: Troubled, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """In one sentence each, and in the status."""
        (tmp_path / "bad.gz").write_bytes(b"no gzip")
        (tmp_path / "log").write_bytes(event("a"))
        files = [tmp_path / "no\nne", tmp_path, tmp_path / "bad.gz", tmp_path / "log"]
        status = main(["alert", "--alertmanager", server.url, *map(str, files)])

        assert (status, fingerprints(server)) == (1, ["a"])
        assert [row.partition(" (")[0] for row in capsys.readouterr().err.splitlines()] == [
            f"wideevents alert: {tmp_path}/no\\nne cannot be read",
            f"wideevents alert: {tmp_path} cannot be read",
            f"wideevents alert: {tmp_path}/bad.gz cannot be read",
        ]

    def test_an_unreadable_input_has_a_name(
        self, server: Troubled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It is no file."""

        class Broken(io.BytesIO):
            def __next__(self) -> bytes:
                raise OSError(5, "Input/output error")

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Broken()))

        assert main(["alert", "--alertmanager", server.url]) == 1
        assert "the standard input cannot be read (Input/output error)" in capsys.readouterr().err


class TestFollow:
    @pytest.fixture
    def looks(self, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
        """Give a list: what is in it is done before each look at the files, and after the last one comes Ctrl-C."""
        works: list[Callable[[], object]] = []

        def sleep(_: float) -> None:
            if not works:
                raise KeyboardInterrupt
            works.pop(0)()

        monkeypatch.setattr(alert.time, "sleep", sleep)
        return works

    def test_begins_with_what_has_happened_lately(
        self, tmp_path: Path, server: Troubled, looks: list[Callable[[], object]]
    ) -> None:
        """It may have been down itself. An alert that is known does not ring anew in the time that it lasts."""
        path = tmp_path / "log"
        path.write_bytes(event("old", 400) + event("a", 200) + event("none", **{"alert.urgency": "none"}) + event("b"))

        assert main(["alert", "--alertmanager", server.url, "-f", str(path)]) == 130
        assert fingerprints(server) == ["a", "b"]

    def test_reads_back_no_further_than_needed(
        self, tmp_path: Path, server: Troubled, looks: list[Callable[[], object]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A log of many gigabytes has a short end: what is before an old line is older."""
        path = tmp_path / "log"
        path.write_bytes(b"no JSON\n" + event("old", 400, **{"alert.urgency": "none"}) + b"no JSON\n" + event("a"))
        main(["alert", "--alertmanager", server.url, "-f", str(path)])

        assert "passed over 1 line that is no JSON" in capsys.readouterr().err

    def test_begins_where_it_is_told_to(
        self, tmp_path: Path, server: Troubled, looks: list[Callable[[], object]]
    ) -> None:
        """Also for what is added later."""
        path = tmp_path / "log"
        path.write_bytes(event("old", 40) + event("a", 20))

        def grow() -> None:
            with path.open("ab") as file:
                file.write(event("late", 40) + event("b"))

        looks.append(grow)
        main(["alert", "--alertmanager", server.url, "-f", "--since", "30s", str(path)])

        assert fingerprints(server) == ["a", "b"]

    def test_takes_all_that_is_added_by_default(
        self, tmp_path: Path, server: Troubled, looks: list[Callable[[], object]]
    ) -> None:
        """Also what is old: it was not there before."""
        path = tmp_path / "log"
        path.touch()
        looks.append(lambda: path.write_bytes(event("late", 4_000)))
        main(["alert", "--alertmanager", server.url, "-f", str(path)])

        assert fingerprints(server) == ["late"]

    def test_waits_for_files_and_tells_those_that_cannot_be_read(
        self,
        tmp_path: Path,
        server: Troubled,
        looks: list[Callable[[], object]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """One may come later; a folder never becomes a file, and a compressed one does not grow."""
        path, forbidden = tmp_path / "log", tmp_path / "forbidden"
        with gzip.open(tmp_path / "old.gz", "wb") as file:
            file.write(event("a"))
        forbidden.symlink_to(forbidden)
        looks.append(lambda: path.write_bytes(event("b")))
        files = [str(tmp_path / "old.gz"), str(path), str(forbidden)]
        main(["alert", "--alertmanager", server.url, "-f", *files])

        assert fingerprints(server) == ["a", "b"]
        waiting, loop = capsys.readouterr().err.splitlines()
        assert waiting == f"wideevents alert: {path} is not there yet; waiting for it"
        assert loop.startswith(f"wideevents alert: {forbidden} cannot be read (")

    def test_in_a_thread_leaves_signals_alone(self, log: Path, server: Troubled) -> None:
        """They belong to the main one: somebody else's program has its own idea of them."""
        before = signal.getsignal(signal.SIGTERM)
        with ThreadPoolExecutor() as pool:
            done = pool.submit(main, ["alert", "--alertmanager", server.url, str(log)])

        assert done.result(PATIENCE) == 0
        assert signal.getsignal(signal.SIGTERM) is before

    def test_leaves_signals_as_they_were(self, log: Path, server: Troubled) -> None:
        """Also in a program that runs the command itself."""
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            main(["alert", "--alertmanager", server.url, str(log)])
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGTERM, before)

    def test_delivers_at_the_end_as_long_as_whoever_stops_it_may_wait(
        self,
        tmp_path: Path,
        looks: list[Callable[[], object]],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Not for all the time that it has at the end of its input."""
        monkeypatch.setattr(alert, "PARTING", 0.05)
        path = tmp_path / "log"
        path.write_bytes(event("a"))
        began = time.monotonic()

        assert main(["alert", "--alertmanager", nobody(), "-f", str(path)]) == 130
        assert time.monotonic() - began < PATIENCE
        assert "1 alert could not be delivered" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pager() -> Iterator[Webhook]:
    """Give a pager."""
    with webhook() as hook:
        yield hook


@pytest.fixture(scope="module")
def real(pager: Webhook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    """Give an Alertmanager that calls the pager."""
    pace = {"group_by": ["..."], "group_wait": "1s", "group_interval": "1m", "repeat_interval": "4h"}
    receivers = [{"name": "pager", "webhook_configs": [{"url": pager.url("pager")}]}]
    config = json.dumps({"route": {"receiver": "pager", **pace}, "receivers": receivers})
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), config) as running:
        yield running


def start(*arguments: object, **streams: Any) -> subprocess.Popen[bytes]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "wideevents", "alert", *map(str, arguments)]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, **streams)


class TestProcess:
    def test_a_line_in_a_pipe_rings_within_three_seconds(self, real: Alertmanager, pager: Webhook) -> None:
        """While the pipe stays open; one second of them is Alertmanager's, which waits for others of the group."""
        running = start("--alertmanager", real.url, stdin=subprocess.PIPE)
        assert running.stdin is not None
        running.stdin.write(b'{"level": "info"}\n')
        running.stdin.flush()
        began = time.time()
        running.stdin.write(event("piped"))
        running.stdin.flush()
        call = pager.call(fingerprint="piped")
        _, said = running.communicate(timeout=PATIENCE)

        assert (running.returncode, said) == (0, b"")
        assert call.arrived - began < 3.0
        assert call.annotations["summary"] == "PaymentError: declined"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_line_in_a_file_that_grows_rings(
        self, real: Alertmanager, pager: Webhook, tmp_path: Path, number: signal.Signals
    ) -> None:
        """Ctrl-C ends it, or whoever stops services, and nothing else."""
        path = tmp_path / "log"
        path.write_bytes(event(f"there {number}"))
        running = start("-f", "--alertmanager", real.url, path)
        pager.call(fingerprint=f"there {number}")
        began = time.time()
        with path.open("ab") as file:
            file.write(event(f"added {number}"))
        call = pager.call(fingerprint=f"added {number}")
        running.send_signal(number)
        _, said = running.communicate(timeout=PATIENCE)

        assert (running.returncode, said) == (130, b"")
        assert call.arrived - began < 3.0

    def test_the_same_again_does_not_ring_anew(self, real: Alertmanager, pager: Webhook, tmp_path: Path) -> None:
        """Not in another process either: Alertmanager knows it by its labels, and lets it go on."""
        path = tmp_path / "log"
        path.write_bytes(event("again", 60))
        main(["alert", "--alertmanager", real.url, str(path)])
        pager.call(fingerprint="again")
        (before,) = real.alerts(fingerprint="again")
        path.write_bytes(event("again"))
        main(["alert", "--alertmanager", real.url, str(path)])
        (after,) = real.alerts(fingerprint="again")

        assert (after["startsAt"], after["endsAt"] > before["endsAt"]) == (before["startsAt"], True)
        assert len(pager.calls(fingerprint="again")) == 1

    def test_a_hung_alertmanager_ends_with_the_input(self) -> None:
        """In the time that is given, with a sentence, and no traceback."""
        with troubled((500, "")) as server:
            running = start("--alertmanager", server.url, "--timeout", "0.5s", stdin=subprocess.PIPE)
            _, said = running.communicate(event("a"), timeout=PATIENCE)

        assert running.returncode == 1
        trouble, left = said.decode().splitlines()
        assert f"{server.url} cannot be reached (it answered 500 Internal Server Error); alerts wait" in trouble
        assert left == (
            f"wideevents alert: 1 alert could not be delivered to {server.url}: PaymentError: declined (shop)"
        )

    def test_an_alertmanager_that_comes_back_loses_nothing(self, tmp_path: Path, pager: Webhook) -> None:
        """It was down when it happened: the alerts wait in the process, and are delivered when it is up."""
        url = nobody()
        receivers = [{"name": "pager", "webhook_configs": [{"url": pager.url("pager")}]}]
        config = json.dumps(
            {"route": {"receiver": "pager", "group_wait": "0s", "group_interval": "1s"}, "receivers": receivers}
        )
        running = start("--alertmanager", url, stdin=subprocess.PIPE)
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(event("down") + event("down", **{"service.name": "other"}))
        running.stdin.flush()
        assert b"cannot be reached" in running.stderr.readline()
        with alertmanager(tmp_path, config, int(url.rpartition(":")[2])):
            eventually(lambda: len(pager.calls(fingerprint="down")) >= 2, "both alerts")
            _, said = running.communicate(timeout=PATIENCE)

        assert (running.returncode, said.decode()) == (0, f"wideevents alert: {url} is back\n")

    def test_a_dry_run_prints_at_once(self) -> None:
        """While the pipe stays open, as it would post."""
        running = start("--dry-run", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(event("a"))
        running.stdin.flush()
        told = json.loads(running.stdout.readline())
        _, said = running.communicate(timeout=PATIENCE)

        assert (running.returncode, said, told["labels"]["fingerprint"]) == (0, b"", "a")

    def test_head_ends_a_dry_run(self, tmp_path: Path) -> None:
        """Quietly, in the middle of a large file."""
        (tmp_path / "log").write_bytes(b"".join(event(str(number)) for number in range(2_000)))
        running = start("--dry-run", tmp_path / "log", stdout=subprocess.PIPE)
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        _, said = running.communicate(timeout=PATIENCE)

        assert (running.returncode, said) == (0, b"")
