"""Keep the books: `gunicorn --bind 127.0.0.1:8002 examples.chain.ledger:app`."""

from __future__ import annotations

from flask import Flask, request

import wideevents
from wideevents.integrations.flask import WideEvents

wideevents.configure(service="ledger")

app = Flask(__name__)
WideEvents(app)


@app.post("/entries")
def enter() -> tuple[str, int]:
    wideevents.add_fields({"entry": request.get_json()})
    return "", 204
