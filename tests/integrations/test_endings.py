"""What is found out about the end of a worker: as much as can be known, and nothing that is not."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType, SimpleNamespace

import pytest

from wideevents.integrations._endings import Ending, memory_kills

WORKER = SimpleNamespace(aborted=False)
GIVEN_UP = SimpleNamespace(aborted=True)


def callers() -> list[FrameType]:
    """Return the frames above, the nearest first."""
    frame, found = sys._getframe(1), []
    while frame is not None and frame.f_code.co_filename == __file__:
        found.append(frame)
        frame = frame.f_back  # type: ignore[assignment]
    return found


def reap_workers(status: object) -> list[FrameType]:
    """Be called as gunicorn's arbiter is, which knows the status there."""
    return callers()


def stop(limit: object, status: int) -> list[FrameType]:
    """Reap as gunicorn does when it stops."""
    return reap_workers(status)


def on_exit(status: int) -> list[FrameType]:
    """Reap as our hook does when all is over."""
    return reap_workers(status)


class TestEnding:
    @pytest.mark.parametrize(
        ("status", "reason", "fields"),
        [
            (signal.SIGKILL, "killed by SIGKILL", {"process.exit.signal": "SIGKILL"}),
            (signal.SIGSEGV, "killed by SIGSEGV", {"process.exit.signal": "SIGSEGV"}),
            (0x80 | signal.SIGABRT, "killed by SIGABRT", {"process.exit.signal": "SIGABRT"}),
            (63, "killed by signal 63", {"process.exit.signal": "signal 63"}),
            (3 << 8, "exited with code 3", {"process.exit.code": 3}),
            (0, "exited with code 0", {"process.exit.code": 0}),
        ],
        ids=["kill", "segfault", "core", "nameless", "code", "zero"],
    )
    def test_the_status_is_read_where_gunicorn_has_it(
        self, status: int, reason: str, fields: dict[str, object]
    ) -> None:
        """Its hook is not told, and the process is reaped."""
        ending = Ending.of(WORKER, reap_workers(int(status)))

        assert (ending.reason, ending.fields) == (reason, fields)

    @pytest.mark.parametrize("frames", [[], reap_workers(None)], ids=["nowhere", "nothing"])
    def test_without_it_less_is_known(self, frames: list[FrameType]) -> None:
        """Another version of gunicorn may call it differently."""
        ending = Ending.of(WORKER, frames)

        assert (ending.reason, ending.fields, ending.is_unexplained) == (None, {}, False)

    @pytest.mark.parametrize("status", [signal.SIGKILL, signal.SIGABRT, 1 << 8])
    def test_a_worker_that_was_given_up_has_timed_out(self, status: int) -> None:
        """However it died of that."""
        ending = Ending.of(GIVEN_UP, reap_workers(int(status)))

        assert (ending.reason, ending.is_unexplained) == ("worker timed out", False)

    def test_a_worker_that_should_have_stopped_is_overdue(self) -> None:
        """Gunicorn kills it at the end of its graceful time-out."""
        kill = int(signal.SIGKILL)
        found = [Ending.of(WORKER, frames) for frames in (stop(time.time() - 1, kill), on_exit(kill))]

        assert [(each.reason, each.is_unexplained) for each in found] == [("graceful timeout passed", False)] * 2

    @pytest.mark.parametrize("limit", [time.time() + 600, None], ids=["later", "unknown"])
    def test_before_that_somebody_else_has_killed_it(self, limit: object) -> None:
        """While gunicorn waits, the kernel may run out of memory."""
        ending = Ending.of(WORKER, stop(limit, int(signal.SIGKILL)))

        assert (ending.reason, ending.is_unexplained) == ("killed by SIGKILL", True)

    def test_one_that_ended_otherwise_was_not_killed_for_being_late(self) -> None:
        """A crash on the way out is a crash."""
        ending = Ending.of(WORKER, on_exit(int(signal.SIGSEGV)))

        assert (ending.reason, ending.is_unexplained) == ("killed by SIGSEGV", False)


def linux(folder: Path, groups: str, **files: str) -> tuple[Path, Path]:
    """Lay out what Linux shows of control groups and of the machine."""
    proc, mounted = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(groups)
    (proc / "vmstat").write_text("pgfault 9\noom_kill 100\n")
    for name, text in files.items():
        path = mounted / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return proc, mounted


class TestMemoryKills:
    def test_those_of_the_group_count(self, tmp_path: Path) -> None:
        """Cgroups version 2: another container's are not ours."""
        found = linux(tmp_path, "0::/shop/web\n", shop__web__memory_DOT_events="low 0\noom 7\noom_kill 3\n")

        assert memory_kills(*found) == 3

    def test_in_a_container_the_group_is_the_root(self, tmp_path: Path) -> None:
        """Its path is that of the host, which is not seen there."""
        found = linux(tmp_path, "0::/docker/abc\n", memory_DOT_events="oom_kill 4\noom_group_kill 0\n")

        assert memory_kills(*found) == 4

    @pytest.mark.parametrize("place", ["memory__shop__memory_DOT_oom_control", "memory__memory_DOT_oom_control"])
    def test_version_1_has_it_elsewhere(self, tmp_path: Path, place: str) -> None:
        """There the memory has a hierarchy of its own."""
        groups = "9:name=systemd:/\n5:cpu,memory:/shop\n0::/\n"
        found = linux(tmp_path, groups, **{place: "under_oom 0\noom_kill 5\n"})

        assert memory_kills(*found) == 5

    def test_else_the_machine_is_asked(self, tmp_path: Path) -> None:
        """The root of all groups has no counter."""
        assert memory_kills(*linux(tmp_path, "0::/\n", memory_DOT_events="oom_kill many\n")) == 100

    def test_where_there_is_no_linux_there_are_none(self, tmp_path: Path) -> None:
        """Other systems show nothing of it."""
        assert memory_kills(tmp_path, tmp_path) == 0

    def test_this_machine_can_be_asked(self) -> None:
        """Whatever it shows."""
        assert memory_kills() >= 0
