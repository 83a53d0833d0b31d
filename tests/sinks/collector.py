"""A collector on loopback that takes logs by OTLP over HTTP, and reads them by the protocol's own classes."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.integrations.servers import eventually


@dataclass(frozen=True)
class Received:
    """One record that has arrived, what it belongs to, and what it was sent with."""

    record: LogRecord
    resource: dict[str, Any]
    scope: tuple[str, str]
    headers: Mapping[str, str]

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes, as Python has them."""
        return plain(self.record.attributes)

    @property
    def body(self) -> Any:
        """What a person reads."""
        return value(self.record.body)


@dataclass
class Collector:
    """
    Answer with each of *answers* in turn, and then with 200; what was answered so was taken.

    While it is *busy* it answers nobody.
    """

    answers: list[int] = field(default_factory=list)
    refused: int = 0
    received: list[Received] = field(default_factory=list)
    idle: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    endpoint: str = ""

    def take(self, request: ExportLogsServiceRequest, headers: Mapping[str, str]) -> int:
        """Take a request, and return the status."""
        self.asked.set()
        self.idle.wait(30)
        status = self.answers.pop(0) if self.answers else 200
        if status != 200:
            self.refused += 1
            return status
        for each in request.resource_logs:
            resource = plain(each.resource.attributes)
            for scope in each.scope_logs:
                known = scope.scope.name, scope.scope.version
                self.received += [Received(record, resource, known, headers) for record in scope.log_records]
        return 200

    def one(self) -> Received:
        """Return the only record."""
        (received,) = self.received
        return received

    def named(self, body: str) -> Received:
        """Return the only record with that *body*."""
        (received,) = [each for each in self.received if each.body == body]
        return received

    def wait(self, number: int) -> list[Received]:
        """Wait until so many have arrived, and return them."""
        eventually(lambda: len(self.received) >= number, f"{number} records")
        return self.received


@contextmanager
def collector(*answers: int, busy: bool = False) -> Iterator[Collector]:
    """Run a collector for the block."""
    made = Collector(list(answers))
    if not busy:
        made.idle.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            status = made.take(ExportLogsServiceRequest.FromString(data), {**self.headers, "path": self.path})
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.endpoint = f"http://127.0.0.1:{server.server_port}/v1/logs"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.idle.set()
        server.shutdown()
        server.server_close()
        thread.join()


def plain(attributes: Any) -> dict[str, Any]:
    """Return attributes as a dictionary; a key stands there once."""
    pairs: list[KeyValue] = list(attributes)
    read = {pair.key: value(pair.value) for pair in pairs}
    assert len(read) == len(pairs)
    return read


def value(given: AnyValue) -> Any:
    """Return a value as Python has it, of the type that it was sent as."""
    kind = given.WhichOneof("value")
    if kind == "array_value":
        return [value(each) for each in given.array_value.values]
    if kind == "kvlist_value":
        return plain(given.kvlist_value.values)
    return None if kind is None else getattr(given, kind)
