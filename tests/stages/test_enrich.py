"""What the enrich stage promises."""

from __future__ import annotations

import os
import platform
import time
import uuid
from _thread import start_new_thread
from threading import Event as Flag
from threading import Thread

import wideevents
from tests.conftest import PATIENCE, in_child
from tests.stages import configured, line_with, sealed
from tests.strict import parse_line
from wideevents import health
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.sinks.memory import MemorySink
from wideevents.stages.enrich import Enrich


class TestStatic:
    def test_the_service_and_the_process_are_in_every_line(self) -> None:
        """Who wrote a line can be told from the line alone."""
        fields = parse_line(line_with({}, service="shop", version="1.4", environment="test", owner="payments"))
        expected = {
            "service.name": "shop",
            "service.version": "1.4",
            "deployment.environment.name": "test",
            "owner.team": "payments",
            "process.pid": os.getpid(),
            "process.runtime.version": platform.python_version(),
        }

        assert expected.items() <= fields.items()
        assert str(uuid.UUID(fields["service.instance.id"])) == fields["service.instance.id"]

    def test_any_text_in_it_gives_a_valid_line(self) -> None:
        """These fields are encoded apart from the rest, by the same contract."""
        team = 'the "é" team\\ \u2028\x7f\x00\u202e'

        assert team == parse_line(line_with({"a": 1}, owner=team))["owner.team"]
        assert parse_line(line_with({}, owner="\udce9"))["owner.team"] == r"\udce9"

    def test_stages_after_it_can_see_it(self) -> None:
        """A stage of the user's decides by the service or the release as well as by the record."""
        seen: list[str] = []

        def look(event: Event) -> Event:
            seen.append(event.static["service.name"])
            return event

        with configured(service="shop", stages=[look]), wideevents.event("job"):
            pass

        assert seen == ["shop"]

    def test_a_stage_that_writes_one_of_its_names_gives_no_key_twice(self) -> None:
        """Readers of JSON disagree on which of two wins, and some refuse the line."""
        assert "service.name" in parse_line(line_with({"service.name": "other", "process.pid": 1}, service="shop"))

    def test_it_is_the_same_for_every_event_of_a_process(self) -> None:
        """One process has one instance id."""
        with configured() as sink:
            for name in ("first", "second"):
                with wideevents.event(name):
                    pass

        assert len({event["service.instance.id"] for event in sink.events}) == 1

    def test_a_forked_child_has_a_pid_and_an_id_of_its_own(self) -> None:
        """A worker of a pre-forking server is another process, and its lines say so, from the first."""
        names = ("process.pid", "service.instance.id")
        with configured() as sink:

            def line() -> list[object]:
                with wideevents.event("job"):
                    pass
                return [os.getpid(), *(sink.events[-1][name] for name in names)]

            before, (child, pid, instance), (_, *after) = line(), in_child(line), line()

        assert child == pid != os.getpid()
        assert instance != before[2]
        assert before[1:] == after

    def test_renewed_it_is_another_process_that_has_just_begun(self) -> None:
        """It is what happens to it in a forked child."""
        enrich = Enrich({"service.name": "shop"})
        before = enrich(sealed())
        enrich.renew()
        after = enrich(sealed())

        assert before.static["service.instance.id"] != after.static["service.instance.id"]
        assert before.static["service.name"] == after.static["service.name"] == "shop"
        assert after.record["uptime_s"] == 0.0


class TestUptime:
    def test_it_grows_and_is_told_in_tenths_of_a_second(self) -> None:
        """A restart shows as a small number; more digits would only make lines longer."""
        first = parse_line(line_with({}))["uptime_s"]
        time.sleep(0.11)
        second = parse_line(line_with({}))["uptime_s"]

        assert 0 <= first < second < first + 20
        assert [first, second] == [round(first, 1), round(second, 1)]


class TestThread:
    def test_the_main_thread_is_not_named(self) -> None:
        """Absent means left out."""
        assert "thread.name" not in parse_line(line_with({}))

    def test_any_other_is(self) -> None:
        """It tells a worker's event from another's."""
        lines: list[bytes] = []
        thread = Thread(target=lambda: lines.append(line_with({})), name="worker-3")
        thread.start()
        thread.join()

        assert parse_line(lines[0])["thread.name"] == "worker-3"

    def test_one_that_has_only_a_number_is_not(self) -> None:
        """Python's own name for what it knows nothing of is told neither."""
        lines: list[bytes] = []
        thread = Thread(target=lambda: lines.append(line_with({})), name="Dummy-3")
        thread.start()
        thread.join()

        assert "thread.name" not in parse_line(lines[0])

    def test_one_that_python_did_not_start_is_not(self) -> None:
        """Python numbers greenlets and threads of C code as it sees them, which tells nobody anything."""
        lines: list[bytes] = []
        done = Flag()
        start_new_thread(lambda: (lines.append(line_with({})), done.set()), ())

        assert done.wait(PATIENCE)
        assert "thread.name" not in parse_line(lines[0])


class TestFaults:
    def test_what_went_wrong_is_on_the_next_line_once(self) -> None:
        """The line after it happened says how often; the one after that is clean again."""
        health.report(Fault.LOST, "a sink", "a line was lost")
        health.report(Fault.LATE_WRITE, "a key", "a write was late")
        health.report(Fault.LATE_WRITE, "a key", "a write was late")
        first, second = parse_line(line_with({})), parse_line(line_with({}))

        assert (first["events.lost"], first["events.late_writes"]) == (1, 2)
        assert not {"events.lost", "events.late_writes"} & second.keys()

    def test_other_faults_are_counted_and_in_no_line(self) -> None:
        """They are the application's to look at, and not every reader's."""
        health.report(Fault.BAD_VALUE, "a key", "a value was bad")

        assert "fields.bad_value" not in parse_line(line_with({}))
        assert health.faults.counts() == {Fault.BAD_VALUE: 1}

    def test_a_late_write_is_told_on_the_next_line(self) -> None:
        """Who adds a field after the end finds that out from the next line."""
        with configured() as sink:
            with wideevents.event("early") as event:
                pass
            event.put("late", 1)
            with wideevents.event("next"):
                pass

        assert "late" not in sink.events[0]
        assert sink.events[1]["events.late_writes"] == 1

    def test_every_lost_line_is_told_however_many_were_lost_in_a_row(self) -> None:
        """The line that tells of a loss may be lost itself: the first one that is written tells of them all."""

        class Failing:
            failing = True
            lines: list[bytes] = []  # noqa: RUF012

            def write(self, event: Event) -> None:
                if self.failing:
                    raise OSError("the disk is full")
                self.lines.append(event.line)

            def close(self) -> None: ...

        with configured():
            sink = Failing()
            wideevents.configure(output=sink)
            for number in range(4):
                sink.failing = number < 3
                with wideevents.event("job"):
                    pass

        assert parse_line(sink.lines[0])["events.lost"] == 3

    def test_what_one_of_several_sinks_has_told_is_not_told_again(self) -> None:
        """A line that was written somewhere has told; the sink that goes on failing adds one each time."""

        class Failing(MemorySink):
            def write(self, event: Event) -> None:
                raise OSError("the disk is full")

        with configured():
            sink = MemorySink()
            wideevents.configure(output=[Failing(), sink])
            for _ in range(4):
                with wideevents.event("job"):
                    pass

        assert [event.get("events.lost") for event in sink.events] == [None, 1, 1, 1]

    def test_a_line_that_a_stage_drops_takes_no_number_with_it(self) -> None:
        """What was lost is told on the next line that is written, and not on one that never is."""
        health.report(Fault.LOST, "a sink", "a line was lost")
        with configured(stages=[lambda _: None]), wideevents.event("dropped"):
            pass

        assert parse_line(line_with({}))["events.lost"] == 1


class TestIdentify:
    def test_a_log_line_has_no_uptime(self) -> None:
        """How old the process is says something of a request, and nothing of a line."""
        enrich = Enrich({"service.name": "shop"})
        event, line = sealed(), sealed()
        enrich(event)
        enrich.identify(line)

        assert event.record.keys() - line.record.keys() == {"uptime_s"}
        assert (line.static, line.tail) == (event.static, event.tail)
