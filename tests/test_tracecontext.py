"""What the trace context room promises."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from wideevents.tracecontext import DRAW, Ids, TraceParent, draw, parse, render

if TYPE_CHECKING:
    pass

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"

# After https://github.com/w3c/trace-context/blob/main/test/test.py, the cases about traceparent.
ACCEPTED = {
    "plain": GOOD,
    "not sampled": f"00-{TRACE}-{SPAN}-00",
    "flags unknown today": f"00-{TRACE}-{SPAN}-ff",
    "flags of level 2": f"00-{TRACE}-{SPAN}-03",
    "space before": f" {GOOD}",
    "tab before": f"\t{GOOD}",
    "space after": f"{GOOD} ",
    "tab after": f"{GOOD}\t",
    "spaces and tabs": f"\t {GOOD} \t",
    "a higher version": f"01-{TRACE}-{SPAN}-01",
    "version cc": f"cc-{TRACE}-{SPAN}-01",
    "version cc with more": f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like",
    "version cc with nothing after the dash": f"cc-{TRACE}-{SPAN}-01-",
    "version fe": f"fe-{TRACE}-{SPAN}-01",
    "a trace id of nearly zeros": f"00-{'0' * 31}1-{SPAN}-01",
    "a span id of nearly zeros": f"00-{TRACE}-1{'0' * 15}-01",
    "all digits are letters": f"00-{'a' * 32}-{'f' * 16}-01",
}

REFUSED = {
    "none": None,
    "empty": "",
    "blank": " ",
    "no header": "-",
    "dashes": "---",
    "words": "hello",
    "version ff": f"ff-{TRACE}-{SPAN}-01",
    "version of one digit": f"0-{TRACE}-{SPAN}-01",
    "version of three digits": f"000-{TRACE}-{SPAN}-01",
    "version of letters": f"xx-{TRACE}-{SPAN}-01",
    "version with a dot": f".0-{TRACE}-{SPAN}-01",
    "version in upper case": f"CC-{TRACE}-{SPAN}-01",
    "version missing": f"{TRACE}-{SPAN}-01",
    "version empty": f"-{TRACE}-{SPAN}-01",
    "version 00 with a dot": f"{GOOD}.",
    "version 00 with a dash": f"{GOOD}-",
    "version 00 with more": f"{GOOD}-what-the-future-will-be-like",
    "version cc with a dot": f"cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like",
    "version cc with longer flags": f"cc-{TRACE}-{SPAN}-011",
    "version cc with a line break": f"cc-{TRACE}-{SPAN}-01-a\nb",
    "version cc, two headers": f"cc-{TRACE}-{SPAN}-01-a,cc-{TRACE}-{SPAN}-01",
    "trace id of zeros": f"00-{'0' * 32}-{SPAN}-01",
    "trace id with a dot": f"00-.{TRACE[1:]}-{SPAN}-01",
    "trace id too long": f"00-{TRACE}0-{SPAN}-01",
    "trace id too short": f"00-{TRACE[1:]}-{SPAN}-01",
    "trace id in upper case": f"00-{TRACE.upper()}-{SPAN}-01",
    "trace id with unicode digits": f"00-{'٣' * 32}-{SPAN}-01",
    "trace id with a full-width letter": f"00-ａ{TRACE[1:]}-{SPAN}-01",
    "trace id with a sign": f"00-+{TRACE[1:]}-{SPAN}-01",
    "parent id of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "parent id with a dot": f"00-{TRACE}-.{SPAN[1:]}-01",
    "parent id too long": f"00-{TRACE}-{SPAN}0-01",
    "parent id too short": f"00-{TRACE}-{SPAN[1:]}-01",
    "parent id in upper case": f"00-{TRACE}-{SPAN.upper()}-01",
    "flags with a dot": f"00-{TRACE}-{SPAN}-.0",
    "flags too long": f"00-{TRACE}-{SPAN}-001",
    "flags too short": f"00-{TRACE}-{SPAN}-1",
    "flags of letters": f"00-{TRACE}-{SPAN}-xy",
    "flags in upper case": f"00-{TRACE}-{SPAN}-0A",
    "flags missing": f"00-{TRACE}-{SPAN}",
    "flags empty": f"00-{TRACE}-{SPAN}-",
    "underscores": f"00_{TRACE}_{SPAN}_01",
    "two headers": f"{GOOD},{GOOD}",
    "two headers, the second empty": f"{GOOD},",
    "two headers with a space": f"{GOOD}, {GOOD}",
    "a line break after": f"{GOOD}\n",
    "a no-break space after": f"{GOOD}\xa0",
    "a space inside": f"00- {TRACE}-{SPAN}-01",
    "a null byte after": f"{GOOD}\0",
    "a lone surrogate": f"{GOOD}\ud800",
    "a megabyte": "0" * 1_000_000,
}


class TestParse:
    @pytest.mark.parametrize("header", ACCEPTED.values(), ids=ACCEPTED)
    def test_takes_what_the_specification_takes(self, header: str) -> None:
        """A header that is valid, or of a version that we do not know yet, continues its trace."""
        found = parse(header)

        bare = header.strip().split("-")
        expected = TraceParent(bare[1], bare[2], int(bare[3], 16))
        assert expected == found

    @pytest.mark.parametrize("header", REFUSED.values(), ids=REFUSED)
    def test_ignores_what_the_specification_ignores(self, header: str | None) -> None:
        """A header that is malformed starts no trace, and raises nothing."""
        assert parse(header) is None

    def test_ignores_what_is_no_text(self) -> None:
        """A server that hands over bytes costs the trace, not the request."""
        assert parse(GOOD.encode()) is None  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
    )
    def test_reads_the_sampled_bit_alone(self, flags: str, *, sampled: bool) -> None:
        """Bits that mean something else, today or tomorrow, do not make a trace sampled."""
        found = parse(f"00-{TRACE}-{SPAN}-{flags}")

        assert found is not None
        assert sampled == found.sampled


class TestRender:
    @pytest.mark.parametrize(("flags", "written"), [(0, "00"), (1, "01"), (3, "03"), (0xFF, "03")])
    def test_writes_version_00(self, flags: int, written: str) -> None:
        """A callee reads the ids, and the flags that level 2 knows."""
        assert {"traceparent": f"00-{TRACE}-{SPAN}-{written}"} == render(TraceParent(TRACE, SPAN, flags))

    def test_is_sampled_unless_told_otherwise(self) -> None:
        """Whoever continues a trace of ours keeps it."""
        assert render(TraceParent(TRACE, SPAN))["traceparent"] == GOOD

    def test_hands_the_state_on_as_it_came(self) -> None:
        """What other vendors wrote into a tracestate is theirs."""
        parent = parse(GOOD, "vendor=1,other=2")

        assert parent is not None
        assert render(parent) == {"traceparent": GOOD, "tracestate": "vendor=1,other=2"}

    @pytest.mark.parametrize("state", ["", "caf\xe9", "a=1\n", "x" * 513, None])
    def test_leaves_out_a_state_that_is_none(self, state: str | None) -> None:
        """What is no printable ASCII, or too long, would break the header of a call out."""
        parent = parse(GOOD, state)

        assert parent is not None
        assert "tracestate" not in render(parent)

    def test_parse_reads_it_back(self) -> None:
        """What goes out comes back as it was."""
        ids = Ids()
        trace_id, span_id = ids.trace_id(), ids.span_id()

        parent = TraceParent(trace_id, span_id, 1)

        assert parent == parse(render(parent)["traceparent"])


class Counting:
    """Randomness that is none, and says how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return bytes(self.calls + place for place in range(16)) * (size // 16)


FORKING = """
import os
from wideevents.tracecontext import Ids

ids = Ids()
ids.trace_id(), ids.span_id()
reading, writing = os.pipe()
if os.fork() == 0:
    os.write(writing, " ".join([ids.trace_id() for _ in range(300)] + [ids.span_id() for _ in range(300)]).encode())
    os._exit(0)
os.close(writing)
child = set(open(reading).read().split())
os.wait()
mine = {ids.trace_id() for _ in range(300)} | {ids.span_id() for _ in range(300)}
print(len(child), len(mine), len(child & mine))
"""


class TestIds:
    def test_have_the_lengths_of_the_specification(self) -> None:
        """A trace id is 32 hex digits, a span id 16, all in lower case."""
        ids = Ids()
        trace_id, span_id = ids.trace_id(), ids.span_id()

        assert (len(trace_id), len(span_id)) == (32, 16)
        assert (trace_id, span_id) == (f"{int(trace_id, 16):032x}", f"{int(span_id, 16):016x}")

    def test_come_from_the_randomness_that_was_given(self) -> None:
        """A test that needs known ids gives known bytes."""
        ids = Ids(Counting())

        assert bytes(range(1, 17)).hex() == ids.trace_id()
        assert bytes(range(10, 18)).hex() == ids.span_id()

    def test_ask_for_randomness_once_for_many(self) -> None:
        """A system call is not paid for each id."""
        random = Counting()
        ids = Ids(random)
        for _ in range(DRAW):
            ids.span_id()
        assert random.calls == 1

        ids.span_id()
        assert random.calls == 2

    @pytest.mark.parametrize("size", [8, 16])
    def test_are_never_all_zero(self, size: int) -> None:
        """An id of zeros is invalid, so that randomness which fails in this way still gives a valid one."""
        assert [f"{1:0{2 * size}x}"] * DRAW == draw(bytes, size)

    def test_keep_the_neighbours_of_zeros(self) -> None:
        """Only the id that is all zero is replaced."""
        found = draw(lambda size: bytes(8) + b"\x10" * 8 + b"\x01" * (size - 16), 8)

        assert found[:3] == ["0000000000000001", "10" * 8, "01" * 8]

    @pytest.mark.parametrize("kind", ["trace_id", "span_id"])
    def test_are_unique_across_threads(self, kind: str) -> None:
        """Eight threads that draw at once never get the same id."""
        ids = Ids()
        drawn: list[str] = []
        threads = [
            threading.Thread(target=lambda: drawn.extend([getattr(ids, kind)() for _ in range(5_000)]))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(drawn) == len(set(drawn)) == 40_000

    def test_are_unique_when_a_signal_handler_draws_in_the_middle(self) -> None:
        """A handler that runs during a refill draws ids of its own."""
        drawn: list[str] = []

        def random(size: int) -> bytes:
            if not drawn:
                drawn.append("")
                drawn.append(ids.span_id())
            return os.urandom(size)

        ids = Ids(random)
        drawn.extend(ids.span_id() for _ in range(2 * DRAW))

        assert len(drawn) == len(set(drawn))


class TestFork:
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="only where there is a fork")
    def test_a_child_draws_other_ids_than_its_parent(self) -> None:
        """A pool that a worker inherits is thrown away, or two requests would share a trace."""
        run = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, timeout=60)

        assert run.stdout.split() == ["600", "600", "0"]

    def test_the_pools_are_emptied_after_it(self) -> None:
        """What was fetched before the fork is not handed out after it."""
        random = Counting()
        ids = Ids(random)
        ids.span_id(), ids.trace_id()
        ids.renew()
        ids.span_id(), ids.trace_id()

        assert random.calls == 4

    def test_a_refill_that_it_interrupts_is_thrown_away(self) -> None:
        """A fork within a refill (from a signal handler) does not give both sides the same ids."""
        asked = []

        def random(size: int) -> bytes:
            asked.append(size)
            if len(asked) == 1:
                ids.renew()
            return bytes([len(asked)]) * size

        ids = Ids(random)

        assert ids.span_id() == "02" * 8

    def test_does_not_keep_ids_alive(self) -> None:
        """To be renewed after a fork is no reason to live on."""
        gone = weakref.ref(Ids())
        gc.collect()

        assert gone() is None
