"""What the spans room promises."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from flask import Flask
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

import wideevents
from tests.conftest import Written, at_once
from tests.test_assembly import without
from tests.test_config import refused
from wideevents import config, context, health
from wideevents.events import Event
from wideevents.health import Fault
from wideevents.integrations.asgi import WideEvents as AsgiWideEvents
from wideevents.integrations.flask import WideEvents as FlaskWideEvents
from wideevents.logs.stdlib import Handler
from wideevents.recorder import Recorder
from wideevents.redaction import MARKER
from wideevents.spans import MOST, Spans
from wideevents.tracecontext import TraceParent, parse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE}-{CALLER}-01"
OTHER = "4bf92f3577b34da6a3ce929d0e0e4736"


class SDK:
    """What an application has set up: spans that are recorded in memory, all of them or none."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    def span(self, name: str = "server", headers: dict[str, str] | None = None, **settings: Any) -> Any:
        """Return a span to be entered, below what the *headers* say."""
        above = extract(headers or {}, contexts.Context()) if headers is not None else None
        return self.tracer.start_as_current_span(name, context=above, **settings)

    def ended(self) -> ReadableSpan:
        """Return the only span that has ended."""
        (span,) = self.exporter.get_finished_spans()
        return span

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the only span that has ended."""
        return dict(self.ended().attributes or {})


@pytest.fixture
def sdk() -> SDK:
    """Give an SDK that records everything."""
    return SDK()


@pytest.fixture
def recorder(recorder: Recorder, sdk: SDK, written: Written) -> Iterator[Recorder]:
    """Give a recorder that looks at the spans of `sdk`, and shows events on them."""
    wideevents.configure(service="tests", output=written.sink, logging=False, opentelemetry="mirror")
    pipeline = config.recorder().pipeline
    made = replace(recorder, pipeline=pipeline, in_progress={}, spans=Spans(lambda: sdk.provider))
    config.use(made, config.logs())
    yield made
    assert made.in_progress == {}


def ids(span: Span) -> tuple[str, str]:
    """Return the ids of a span's trace, and its own."""
    known = span.get_span_context()
    return trace.format_trace_id(known.trace_id), trace.format_span_id(known.span_id)


def of(event: Event) -> tuple[str, str, str | None]:
    """Return the ids of an event: of its trace, its own, and its parent's; the event ends."""
    told = (event.fields or {}).get("parent.id")
    event.recorder.finish(event)
    return event.trace_id, event.id, told


def request(recorder: Recorder, header: str | None = None, state: str | None = None, kind: str = "request") -> Event:
    """Open the event of a request that came with a `traceparent`."""
    return recorder.open("GET", kind, parse(header, state))


class TestARequest:
    @pytest.mark.parametrize("kind", ["request", "websocket"])
    def test_is_the_span_that_it_is_opened_in(self, recorder: Recorder, sdk: SDK, kind: str) -> None:
        """Instrumentation outside ours has begun it for the same request: the event has its id, and its parent."""
        with sdk.span(headers={"traceparent": HEADER}) as span:
            event = request(recorder, HEADER, kind=kind)

        assert of(event) == (TRACE, ids(span)[1], CALLER)

    def test_has_no_parent_where_the_span_has_none(self, recorder: Recorder, sdk: SDK, written: Written) -> None:
        """A trace begins here; absent means left out."""
        with sdk.span(headers={}) as span:
            event = request(recorder)
        recorder.finish(event)

        assert (event.trace_id, event.id) == ids(span)
        assert "parent.id" not in written.one()

    def test_believes_the_span_where_the_headers_say_something_else(self, recorder: Recorder, sdk: SDK) -> None:
        """A house may propagate by other headers, or trust none from outside."""
        with sdk.span(headers={}) as span:
            event = request(recorder, HEADER)

        assert of(event) == (*ids(span), None)

    def test_is_a_child_where_another_was_the_span_already(self, recorder: Recorder, sdk: SDK) -> None:
        """An id is given once, also after the first has ended."""
        with sdk.span(headers={"traceparent": HEADER}) as span:
            one, two = request(recorder, HEADER), request(recorder, HEADER)
            found = [of(one), of(two), of(request(recorder))]

        span_id = ids(span)[1]
        assert found == [(TRACE, span_id, CALLER), (TRACE, f"{1:016x}", span_id), (TRACE, f"{2:016x}", span_id)]

    def test_is_the_span_once_among_threads(self, recorder: Recorder, sdk: SDK) -> None:
        """Whoever is first."""
        with sdk.span() as span:
            here = contexts.get_current()

            def opened() -> str:
                token = contexts.attach(here)
                event = request(recorder)
                contexts.detach(token)
                return of(event)[1]

            found = at_once(*[opened] * 8)

        assert (found.count(ids(span)[1]), len(set(found))) == (1, 8)

    def test_is_a_child_of_its_caller_in_this_process(self, recorder: Recorder, sdk: SDK) -> None:
        """A client's span is current where a test calls the application directly: the headers name that very span."""
        with sdk.span("client", kind=SpanKind.CLIENT) as span:
            trace_id, span_id = ids(span)
            event = request(recorder, f"00-{trace_id}-{span_id}-01")
            event.put("cart.items", 3)
            found = of(event)

        assert found == (trace_id, f"{1:016x}", span_id)
        assert "cart.items" not in sdk.attributes()

    def test_keeps_an_id_that_somebody_has_drawn(self, recorder: Recorder, sdk: SDK) -> None:
        """It stands elsewhere already; the event is a child then."""
        with sdk.span() as span:
            event = recorder.open("GET", "request", event_id="00000000000000ab")

        trace_id, span_id = ids(span)
        assert of(event) == (trace_id, "00000000000000ab", span_id)

    def test_is_a_child_of_a_remote_span(self, recorder: Recorder) -> None:
        """Somebody has read the headers, and begun no span: it is the caller's."""
        here = contexts.attach(extract({"traceparent": HEADER}, contexts.Context()))
        event = request(recorder)
        contexts.detach(here)

        assert of(event) == (TRACE, f"{1:016x}", CALLER)

    def test_goes_by_the_headers_outside_any_span(self, recorder: Recorder) -> None:
        """As without OpenTelemetry."""
        found = [of(request(recorder, HEADER)), of(request(recorder))]

        assert found == [(TRACE, f"{1:016x}", CALLER), (f"{1:032x}", f"{2:016x}", None)]


class TestASampledOutSpan:
    def test_gives_its_ids(self, recorder: Recorder) -> None:
        """Nobody records it, and the callees go on in its trace; of its parent the headers know."""
        with SDK(ALWAYS_OFF).span(headers={"traceparent": HEADER}) as span:
            event = request(recorder, HEADER)

        assert of(event) == (TRACE, ids(span)[1], CALLER)

    def test_has_no_parent_without_headers(self, recorder: Recorder) -> None:
        """Nobody knows of one."""
        with SDK(ALWAYS_OFF).span(headers={}) as span:
            event = request(recorder)

        assert of(event) == (*ids(span), None)

    def test_is_told_to_the_callee_as_such(self, recorder: Recorder) -> None:
        """Or half a trace would be recorded."""
        with SDK(ALWAYS_OFF).span() as span:
            event = request(recorder)
            with context.Activation(event):
                sent = context.outgoing()["traceparent"]
        recorder.finish(event)

        trace_id, span_id = ids(span)
        assert (sent[:-2], parse(sent)) == (
            f"00-{trace_id}-{span_id}-",
            TraceParent(trace_id, span_id, event.span.flags),
        )
        assert not event.span.sampled


class TestOtherWork:
    def test_is_a_child_of_the_span(self, recorder: Recorder, sdk: SDK) -> None:
        """A job, a message, a script: a step of what the span stands for."""
        with sdk.span() as span, wideevents.event("job") as event:
            pass

        trace_id, span_id = ids(span)
        assert (event.trace_id, event.id) == (trace_id, f"{1:016x}")
        assert event.parent is not None
        assert event.parent.parent_id == span_id

    def test_is_a_child_of_the_event_in_progress(self, recorder: Recorder, sdk: SDK) -> None:
        """So that lines join, whatever spans there are between them."""
        with sdk.span(), wideevents.event("outer") as outer, sdk.span("step"), wideevents.event("inner") as inner:
            pass

        assert inner.parent is not None
        assert (inner.trace_id, inner.parent.parent_id) == (outer.trace_id, outer.id)

    def test_is_a_child_of_a_span_of_another_trace(self, recorder: Recorder, sdk: SDK) -> None:
        """The span goes before what is in progress here."""
        with sdk.span(), wideevents.event("outer"), sdk.span("other", {}) as span, wideevents.event("inner") as inner:
            pass

        assert inner.parent is not None
        assert (inner.trace_id, inner.parent.parent_id) == ids(span)

    def test_has_a_trace_of_its_own_as_a_step_of_a_batch(self, recorder: Recorder, sdk: SDK) -> None:
        """One long report must not be one giant trace."""
        with sdk.span() as span, wideevents.event("report"):
            step = recorder.open("report", "batch")
            with context.Activation(step):
                sent = context.outgoing()["traceparent"]
                with sdk.span("query"):
                    pass
            found = of(step)

        assert found == (f"{1:032x}", step.id, None)
        assert sent == f"00-{f'{1:032x}'}-{step.id}-{span.get_span_context().trace_flags:02x}"

    def test_is_in_the_trace_as_a_batch_that_is_inside_no_other_event(self, recorder: Recorder, sdk: SDK) -> None:
        """It is no step of one."""
        with sdk.span() as span:
            event = recorder.open("report", "batch")

        assert of(event)[0] == ids(span)[0]


class TestCallsOut:
    @staticmethod
    def sent(event: Event) -> TraceParent | None:
        """Return what a callee is told inside *event*."""
        with context.Activation(event):
            headers = context.outgoing()
        return parse(headers["traceparent"], headers.get("tracestate"))

    def test_have_the_event_as_their_parent(self, recorder: Recorder, sdk: SDK) -> None:
        """Where it is the span, and where it is a child of it."""
        with sdk.span() as span:
            one, two = request(recorder), request(recorder)
            found = [self.sent(one), self.sent(two)]
            recorder.finish(one), recorder.finish(two)

        flags = span.get_span_context().trace_flags
        assert found == [TraceParent(*ids(span), flags), TraceParent(ids(span)[0], two.id, flags)]

    def test_have_a_span_as_their_parent_that_began_in_the_event(self, recorder: Recorder, sdk: SDK) -> None:
        """A handler has begun it for this very call, maybe."""
        with sdk.span():
            event = request(recorder)
            with sdk.span("call") as call:
                found = self.sent(event)
            after = self.sent(event)
            recorder.finish(event)

        flags = call.get_span_context().trace_flags
        assert found == TraceParent(*ids(call), flags)
        assert after == TraceParent(event.trace_id, event.id, flags)

    def test_have_the_event_as_their_parent_outside_any_span(self, recorder: Recorder) -> None:
        """In a thread, where OpenTelemetry knows of nothing, and the event goes on."""
        event = request(recorder, HEADER, "vendor=1")
        found = self.sent(event)
        recorder.finish(event)

        assert found == TraceParent(TRACE, event.id, 1, "vendor=1")

    def test_carry_the_state_of_the_trace(self, recorder: Recorder) -> None:
        """As OpenTelemetry has it, which may have added to it."""
        state = TraceState([("vendor", "1"), ("house", "2")])
        known = SpanContext(
            int(TRACE, 16), int(CALLER, 16), is_remote=False, trace_flags=TraceFlags(1), trace_state=state
        )
        with trace.use_span(NonRecordingSpan(known)):
            event = request(recorder)
            found = self.sent(event)
        outside = self.sent(event)
        recorder.finish(event)

        assert found == outside == TraceParent(TRACE, CALLER, 1, "vendor=1,house=2")


class TestASpanThatBeginsInside:
    def test_gives_the_event_its_trace(self, recorder: Recorder, sdk: SDK, written: Written) -> None:
        """Instrumentation inside our door has begun a trace that knows nothing of the event; the event's id stays."""
        with wideevents.event("job") as event, sdk.span() as span:
            wideevents.add_field("user.id", 42)

        line = written.one()
        assert (line["trace.id"], line["event.id"]) == (ids(span)[0], event.id)
        assert "parent.id" not in line

    def test_is_the_parent_of_calls_out(self, recorder: Recorder, sdk: SDK) -> None:
        """And after it has ended the event is, in the same trace."""
        with wideevents.event("job") as event:
            with sdk.span() as span:
                during = context.outgoing()["traceparent"]
            after = context.outgoing()["traceparent"]

        flags = span.get_span_context().trace_flags
        assert during == f"00-{ids(span)[0]}-{ids(span)[1]}-{flags:02x}"
        assert after == f"00-{ids(span)[0]}-{event.id}-{flags:02x}"

    def test_agrees_with_the_headers(self, recorder: Recorder, sdk: SDK) -> None:
        """Both have read the same; the parent stays."""
        event = request(recorder, HEADER)
        with context.Activation(event), sdk.span(headers={"traceparent": HEADER}):
            pass

        assert event.parent is not None
        assert event.parent.parent_id == CALLER
        assert of(event) == (TRACE, f"{1:016x}", CALLER)

    def test_goes_before_what_the_door_has_read(self, recorder: Recorder, sdk: SDK) -> None:
        """A house may propagate by other headers, which the door does not know."""
        event = request(recorder)
        with context.Activation(event), sdk.span(headers={"traceparent": HEADER}):
            pass

        assert of(event) == (TRACE, f"{1:016x}", None)

    def test_is_told_to_the_lines_that_follow(self, recorder: Recorder, sdk: SDK, written: Written) -> None:
        """And to the events."""
        handler, logger = Handler(logs=config.logs), logging.getLogger("shop.inside")
        logger.addHandler(handler)
        with wideevents.event("job"), sdk.span() as span:
            logger.warning("no answer")
            with wideevents.event("inner"):
                pass
        logger.removeHandler(handler)

        told = [line["trace.id"] for line in (*written.sink.logged, *written.all())]
        assert told == [ids(span)[0]] * 3

    def test_counts_once(self, recorder: Recorder, sdk: SDK) -> None:
        """A second trace is another matter."""
        with wideevents.event("job") as event:
            with sdk.span() as first:
                pass
            with sdk.span("second", headers={}):
                pass

        assert event.trace_id == ids(first)[0]

    def test_changes_nothing_where_the_event_was_opened_in_a_span(self, recorder: Recorder, sdk: SDK) -> None:
        """It has its trace already."""
        with sdk.span() as outer, wideevents.event("job") as event, sdk.span("other", headers={}):
            pass

        assert event.trace_id == ids(outer)[0]

    def test_changes_nothing_where_it_is_below_a_span_of_this_process(self, recorder: Recorder, sdk: SDK) -> None:
        """Whose that is nobody knows."""
        with sdk.span() as elsewhere:
            pass
        with wideevents.event("job") as event, trace.use_span(elsewhere), sdk.span("below"):
            pass

        assert event.trace_id == f"{1:032x}"

    def test_changes_no_event_of_another_recorder(self, recorder: Recorder, sdk: SDK) -> None:
        """Each looks after its own: one that was configured before may have asked for nothing."""
        of(request(recorder))
        other = replace(recorder, spans=None, in_progress={})
        event = other.open("job", "task")
        with context.Activation(event), sdk.span():
            pass

        assert of(event)[0] == f"{2:032x}"

    def test_is_of_no_event_outside_any(self, recorder: Recorder, sdk: SDK) -> None:
        """Nor of one that has ended."""
        with wideevents.event("job") as event:
            recorder.finish(event)
            with sdk.span():
                pass
        with sdk.span():
            pass

        assert event.trace_id == f"{1:032x}"

    def test_is_seen_as_soon_as_somebody_has_set_up_the_sdk(self, recorder: Recorder, sdk: SDK) -> None:
        """An application may do so after the first event; from then on nobody is asked again."""
        providers, asked = [trace.NoOpTracerProvider(), sdk.provider], 0

        def provider() -> object:
            nonlocal asked
            asked += 1
            return providers[min(asked, 2) - 1]

        config.use(replace(recorder, spans=Spans(provider), in_progress={}), config.logs())
        traces = []
        for _ in range(3):
            with wideevents.event("job") as event, sdk.span() as span:
                traces.append(event.trace_id == ids(span)[0])

        assert (traces, asked) == ([False, True, True], 2)

    def test_is_none_of_one_that_is_sampled_out(self, recorder: Recorder, sdk: SDK) -> None:
        """The trace of the event goes on, and its callees record nothing, either."""
        with wideevents.event("job") as event, SDK(ALWAYS_OFF).span():
            sent = context.outgoing()["traceparent"]

        assert sent[:-2] == f"00-{event.trace_id}-{event.id}-"
        assert int(sent[-2:], 16) & 1 == 0

    def test_is_the_parent_of_calls_out_if_it_is_sampled_out_in_the_trace_of_the_event(
        self, recorder: Recorder
    ) -> None:
        """Then both agree, and nothing is torn apart."""
        event = request(recorder, HEADER)
        with context.Activation(event), SDK(ALWAYS_OFF).span(headers={"traceparent": HEADER}) as span:
            sent = context.outgoing()["traceparent"]
        recorder.finish(event)

        assert sent[:-2] == f"00-{TRACE}-{ids(span)[1]}-"


class Broken(Span):
    """A span of somebody else's making, which cannot even say who it is."""

    def get_span_context(self) -> SpanContext:
        raise RuntimeError("no context")

    end = set_attributes = set_attribute = add_event = update_name = is_recording = set_status = record_exception = None  # type: ignore[assignment]


class TestABrokenSpan:
    def test_costs_the_event_nothing_but_its_ids(self, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
        """Telemetry never breaks the work it watches; it is told once."""
        with trace.use_span(Broken(), record_exception=False, set_status_on_exception=False):
            event = request(recorder, HEADER)
            sent = TestCallsOut.sent(event)
            found = of(event)

        assert found == (TRACE, f"{1:016x}", CALLER)
        assert sent == TraceParent(TRACE, event.id)
        assert health.faults.counts() == {Fault.STAGE: 2}
        assert caplog.text.count("could not be read") == 1


class TestMirror:
    def test_shows_the_fields_on_the_span(self, recorder: Recorder, sdk: SDK, written: Written) -> None:
        """As they are written; what a span has in its own way, and what the resource tells, is left out."""
        with sdk.span(attributes={"own": 1}), wideevents.event("job", plan="STARTER"):
            wideevents.add_fields({"user.id": 42, "ratio": 0.5, "vip": True})

        line, shown = written.one(), sdk.attributes()
        alone = {"timestamp", "trace.id", *config.recorder().pipeline.stages[2]._process[0]}  # type: ignore[attr-defined]
        assert shown == {"own": 1, **{name: value for name, value in line.items() if name not in alone}}
        assert {name: shown[name] for name in ("plan", "user.id", "ratio", "vip", "event.name")} == {
            "plan": "STARTER",
            "user.id": 42,
            "ratio": 0.5,
            "vip": True,
            "event.name": "job",
        }

    def test_shows_no_secret(self, recorder: Recorder, sdk: SDK) -> None:
        """What goes to a span is as redacted as the line, and as short."""
        card = "4111 1111 1111 1111"
        with sdk.span(), wideevents.event("job"):
            wideevents.add_fields({"note": f"paid with {card}", "password": "hunter2", "long": "x" * 20_000})

        shown = sdk.attributes()
        assert (shown["note"], shown["password"]) == (f"paid with {MARKER}", MARKER)
        assert len(shown["long"]) <= 4_000

    @pytest.mark.parametrize(
        ("given", "shown"),
        [
            (["a", "b"], ("a", "b")),
            ([1, 2], (1, 2)),
            ([True, False], (True, False)),
            ([0.5], (0.5,)),
            ([], ()),
            (["a", 1, None], ("a", "1", "null")),
            ([1, True], ("1", "true")),
            ([{"a": 1}], ('{"a":1}',)),
            ([[1], [2]], ("[1]", "[2]")),
            ([None, None], ("null", "null")),
        ],
        ids=str,
    )
    def test_shows_lists_of_one_type(self, recorder: Recorder, sdk: SDK, given: list[Any], shown: object) -> None:
        """As attributes are; other members become text."""
        with sdk.span(), wideevents.event("job"):
            wideevents.add_field("list", given)

        assert sdk.attributes()["list"] == shown

    def test_leaves_room_for_what_the_span_has_itself(self, recorder: Recorder, sdk: SDK) -> None:
        """By default the SDK throws out the oldest of more than 128."""
        with sdk.span(attributes={f"own.{number}": number for number in range(20)}), wideevents.event("job"):
            wideevents.add_fields({f"field.{number}": number for number in range(200)})

        shown = sdk.attributes()
        assert len(shown) == MOST + 20
        assert {"own.0", "event.name", "field.0"} <= shown.keys()

    def test_sets_the_status_of_a_failure(self, recorder: Recorder, sdk: SDK) -> None:
        """What the exception said, redacted, describes it."""
        with sdk.span(), pytest.raises(ValueError, match="4111"), wideevents.event("job"):
            raise ValueError("4111 1111 1111 1111 was refused")

        status = sdk.ended().status
        assert (status.status_code, status.description) == (StatusCode.ERROR, f"{MARKER} was refused")

    def test_describes_a_failure_only_if_something_was_said(self, recorder: Recorder, sdk: SDK) -> None:
        """A status of 500 says it all."""
        with sdk.span(), wideevents.event("job") as event:
            event.outcome = "failure"

        assert (sdk.ended().status.status_code, sdk.ended().status.description) == (StatusCode.ERROR, None)

    def test_leaves_a_status_that_somebody_has_set(self, recorder: Recorder, sdk: SDK) -> None:
        """They know better."""
        with sdk.span() as span, wideevents.event("job") as event:
            span.set_status(StatusCode.ERROR, "theirs")
            event.outcome = "failure"

        assert sdk.ended().status.description == "theirs"

    def test_sets_no_status_of_what_did_not_fail(self, recorder: Recorder, sdk: SDK) -> None:
        """Unset is the convention for what went well; what was cancelled is no failure either."""
        with sdk.span(), wideevents.event("job") as event:
            event.outcome = "cancelled"

        assert sdk.ended().status.status_code is StatusCode.UNSET

    def test_shows_nothing_on_a_span_that_has_ended(
        self, recorder: Recorder, sdk: SDK, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Silently: a streamed body may outlive the span of somebody else's middleware."""
        with sdk.span():
            event = request(recorder)
        recorder.finish(event)

        assert (sdk.attributes(), caplog.text) == ({}, "")

    def test_shows_nothing_on_a_span_that_is_not_recorded(self, recorder: Recorder, written: Written) -> None:
        """The line is written all the same."""
        with SDK(ALWAYS_OFF).span(), wideevents.event("job"):
            pass

        assert written.one()["event.name"] == "job"

    def test_shows_the_first_event_of_a_span_alone(self, recorder: Recorder, sdk: SDK) -> None:
        """Those that follow, and those inside it, would overwrite each other."""
        with sdk.span():
            with wideevents.event("first"), wideevents.event("inside"):
                pass
            with wideevents.event("second"):
                pass

        assert sdk.attributes()["event.name"] == "first"

    def test_shows_nothing_that_is_not_written(self, recorder: Recorder, sdk: SDK) -> None:
        """What is dropped is gone."""
        with sdk.span(), wideevents.event("job") as event:
            event.level = wideevents.Level.DEBUG

        assert sdk.attributes() == {}

    def test_shows_nothing_outside_any_span(self, recorder: Recorder, sdk: SDK, written: Written) -> None:
        """Nor on one that began inside the event: it is not what the event is about."""
        with wideevents.event("job"), sdk.span():
            pass

        assert (written.one()["event.name"], sdk.attributes()) == ("job", {})

    def test_takes_a_span_of_somebody_elses_making(self, recorder: Recorder, written: Written) -> None:
        """The API promises attributes, and nothing that could be read."""
        shown: dict[str, Any] = {}

        class Foreign(NonRecordingSpan):
            def is_recording(self) -> bool:
                return True

            def set_attributes(self, attributes: Any) -> None:
                shown.update(attributes)

        span = Foreign(SpanContext(int(TRACE, 16), int(CALLER, 16), is_remote=False))
        with trace.use_span(span), wideevents.event("job") as event:
            event.outcome = "failure"

        assert (shown["event.name"], written.one()["trace.id"]) == ("job", TRACE)
        assert health.faults.counts() == {}


class TestPackages:
    @pytest.mark.parametrize("opentelemetry", [True, "mirror"])
    def test_what_is_missing_is_named_where_it_was_asked_for(
        self, monkeypatch: pytest.MonkeyPatch, opentelemetry: object
    ) -> None:
        """The sentence says what to install."""
        without(monkeypatch, "opentelemetry", "wideevents.spans")

        expected = "opentelemetry=True needs opentelemetry-sdk: pip install 'wideevents[otel]'"
        assert expected == refused(opentelemetry=opentelemetry)


class TestDoors:
    """Instrumentation that stands outside ours, as OpenTelemetry's own middleware does."""

    @staticmethod
    def wsgi(app: WSGIApplication, sdk: SDK) -> WSGIApplication:
        """Return *app* inside a span, which ends with its body."""

        def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            headers = {"traceparent": environ.get("HTTP_TRACEPARENT", "")}
            with sdk.span("GET", headers, kind=SpanKind.SERVER):
                body = app(environ, start_response)
                try:
                    yield from body
                finally:
                    getattr(body, "close", lambda: None)()

        return serve

    @staticmethod
    def asgi(app: Callable[..., Any], sdk: SDK) -> Callable[..., Any]:
        """Return *app* inside a span."""

        async def serve(scope: Any, receive: Any, send: Any) -> None:
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            with sdk.span("GET", headers, kind=SpanKind.SERVER):
                await app(scope, receive, send)

        return serve

    @staticmethod
    def told(line: dict[str, Any], span: ReadableSpan) -> None:
        """Look at the line and the span of one request, which are one."""
        assert (line["trace.id"], line["event.id"], line["parent.id"]) == (TRACE, ids(span)[1], CALLER)  # type: ignore[arg-type]
        assert span.attributes is not None
        assert (span.attributes["user.id"], span.attributes["http.response.status_code"]) == (42, 200)

    def test_a_request_to_flask_is_the_span_around_it(self, recorder: Recorder, sdk: SDK, written: Written) -> None:
        """Its id, its parent, and its fields, from end to end."""
        app = Flask("shop")
        FlaskWideEvents(app)
        app.wsgi_app = self.wsgi(app.wsgi_app, sdk)  # type: ignore[method-assign]

        @app.get("/")
        def index() -> str:
            wideevents.add_field("user.id", 42)
            return "hello"

        app.test_client().get("/", headers={"traceparent": HEADER}, buffered=True).close()

        self.told(written.one(), sdk.ended())

    def test_a_request_to_an_asgi_application_is_the_span_around_it(
        self, recorder: Recorder, sdk: SDK, written: Written
    ) -> None:
        """Its id, its parent, and its fields, from end to end."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            wideevents.add_field("user.id", 42)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"hello"})

        async def ask() -> None:
            transport = httpx.ASGITransport(self.asgi(AsgiWideEvents(app), sdk))
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
                await client.get("/", headers={"traceparent": HEADER})

        asyncio.run(ask())

        self.told(written.one(), sdk.ended())
