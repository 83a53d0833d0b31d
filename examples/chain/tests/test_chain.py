"""Test that one order is one trace, through all the processes that it goes through."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from examples.chain import services
from examples.chain.errors import ChainError
from examples.demo.server import ROOT
from tests.strict import parse_line

if TYPE_CHECKING:
    from examples.chain.services import Chain

WAY = [
    ("probe", "script", "place an order"),
    ("front", "request", "POST /orders"),
    ("pricing", "request", "POST /quotes"),
    ("worker", "task", "examples.chain.tasks.book"),
    ("ledger", "request", "POST /entries"),
]
"""The service, kind and name of each event of an order, each of which is the parent of the next one."""

AT_ONCE = 4


def orders(chain: Chain, number: int) -> list[list[dict[str, Any]]]:
    """Place orders at once; return the events of each, in the order in which they began, and each read strictly."""
    before = len(chain.events(0))
    with ThreadPoolExecutor(number) as pool:
        list(pool.map(lambda _: chain.probe(), range(number)))
    chain.events(before + number * len(WAY))
    lines = chain.path.read_bytes().splitlines(keepends=True)
    events = [parse_line(line) for line in lines if b'"event.kind":' in line][before:]
    traces: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in sorted(events, key=lambda event: str(event["timestamp"])):
        traces[event["trace.id"]].append(event)
    return list(traces.values())


@pytest.fixture(scope="module")
def order(chain: Chain) -> list[dict[str, Any]]:
    """Give the events of one order."""
    (events,) = orders(chain, 1)
    return events


class TestAnOrder:
    def test_is_one_trace_in_five_lines(self, order: list[dict[str, Any]]) -> None:
        """One of each process, from the script to the books."""
        assert [(event["service.name"], event["event.kind"], event["event.name"]) for event in order] == WAY
        assert len({event["process.pid"] for event in order}) == len(WAY)

    def test_tells_in_each_line_what_caused_it(self, order: list[dict[str, Any]]) -> None:
        """The parent of each is the one before it on its way, and nothing has caused the first."""
        assert [event.get("parent.id") for event in order] == [None, *(event["event.id"] for event in order[:-1])]

    def test_has_one_request_id_from_the_first_server_on(self, order: list[dict[str, Any]]) -> None:
        """It goes with the call, with the message of the task, and with the call that the task makes."""
        script, *rest = [event.get("http.request.id") for event in order]

        assert (script, len(set(rest)), None in rest) == (None, 1, False)

    def test_went_well_everywhere(self, order: list[dict[str, Any]]) -> None:
        """Or the way would be another one."""
        statuses = [event.get("http.response.status_code") for event in order]

        assert [(event["level"], event["outcome"]) for event in order] == [("info", "success")] * len(WAY)
        assert statuses == [None, 201, 200, None, 204]

    def test_counts_the_calls_on_its_way(self, order: list[dict[str, Any]]) -> None:
        """One each of those who call by HTTP."""
        calls = {event["service.name"]: event.get("http.client.count") for event in order}

        assert calls == {"probe": 1, "front": 1, "pricing": None, "worker": 1, "ledger": None}

    def test_is_told_apart_from_others_at_the_same_time(self, chain: Chain) -> None:
        """Every one has a trace and a request of its own, and no field of another one."""
        traces = orders(chain, AT_ONCE)

        assert [[event["service.name"] for event in events] for events in traces] == [
            [each[0] for each in WAY]
        ] * AT_ONCE
        for events in traces:
            parents = [event.get("parent.id") for event in events]
            assert parents == [None, *(event["event.id"] for event in events[:-1])]
        requests = [{event["http.request.id"] for event in events[1:]} for events in traces]
        assert [len(each) for each in requests] == [1] * AT_ONCE
        assert len(set.union(*requests)) == AT_ONCE


class TestServices:
    @pytest.mark.usefixtures("redis")
    def test_end_with_the_block(self) -> None:
        """With every process that they have started, also where the block fails."""
        started: list[int] = []

        def fail(folder: str) -> None:
            with services.running(Path(folder)) as chain:
                started.extend(process.pid for process in chain.processes.values())
                raise ValueError

        with TemporaryDirectory() as folder, pytest.raises(ValueError, match=r"^$"):
            fail(folder)

        assert (len(started), [pid for pid in started if is_alive(pid)]) == (5, [])

    def test_say_that_redis_is_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One sentence names it, and what installs it."""
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(ChainError, match=r"^redis-server is not installed: apt-get"), services.running(tmp_path):
            pass

    def test_say_why_one_of_them_has_ended(self, tmp_path: Path) -> None:
        """What it said last stands in the sentence."""
        chain = services.Chain(tmp_path)
        chain.start("broken", sys.executable, "-c", "print('no table is free')")

        with pytest.raises(ChainError, match=r"^broken has ended\. It said last: no table is free$"):
            chain.wait(list, "a table")

    def test_say_what_they_wait_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Patience ends."""
        monkeypatch.setattr(services, "PATIENCE_S", 0)

        with pytest.raises(ChainError, match=r"^Waited 0 s for 5 events; there are 0\.$"):
            services.Chain(tmp_path).events(5)

    def test_say_that_an_order_was_not_taken(self, tmp_path: Path) -> None:
        """Nobody listens."""
        chain = services.Chain(tmp_path)
        chain.environ["CHAIN_FRONT"] = "http://127.0.0.1:9"

        with pytest.raises(ChainError, match=r"^The order was not taken: .*Connection refused"):
            chain.probe()

    def test_keep_foreign_settings_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The reader's own broker and Sentry hear nothing of the chain."""
        monkeypatch.setenv("SENTRY_DSN", "https://key@sentry.example.org/1")
        monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker.example.org/1")
        environ = services.Chain(tmp_path).environ

        assert ("SENTRY_DSN" in environ, environ["CELERY_BROKER_URL"]) == (False, f"redis+socket://{tmp_path}/redis")


class TestTheCommand:
    @pytest.mark.usefixtures("redis")
    def test_shows_the_tree(self, tmp_path: Path) -> None:
        """It ends well, with one row for each process, and without a colour where nobody looks."""
        done = run(tmp_path)
        rows = [line for line in done.stdout.splitlines() if line.endswith("▇")]

        assert (done.returncode, done.stderr) == (0, "")
        assert ["└─" in row for row in rows] == [False, True, True, True, True]
        assert "\x1b" not in done.stdout

    def test_says_what_is_missing(self, tmp_path: Path) -> None:
        """In one sentence, and no traceback."""
        done = run(tmp_path, PATH=str(tmp_path))

        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("chain: redis-server is not installed")


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the chain as people do."""
    return subprocess.run(
        [sys.executable, "-m", "examples.chain"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def is_alive(leader: int) -> bool:
    """Tell whether the leader of a session is there, or a process that it has left behind."""
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True
