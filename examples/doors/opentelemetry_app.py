"""
A house that has OpenTelemetry: an event is in the trace of its spans, and the collector has its line, too.

Start it with `gunicorn examples.doors.opentelemetry_app:app`.
`OTEL_EXPORTER_OTLP_ENDPOINT` says where the collector is; without it, on this machine.
"""

from __future__ import annotations

from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import wideevents
from wideevents.integrations.flask import WideEvents
from wideevents.sinks.otlp import OTLPSink

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer(__name__)

wideevents.configure(service="carts", opentelemetry=True, output=["json", OTLPSink()])

app = Flask(__name__)
WideEvents(app)


@app.get("/carts/<int:cart_id>/total")
def total(cart_id: int) -> dict[str, int]:
    with tracer.start_as_current_span("add up"):
        cents = 4_599
    wideevents.add_fields({"cart.id": cart_id, "cart.cents": cents})
    return {"cents": cents}
