"""Place an order, as a script of cron's or of a colleague's does: `python -m examples.chain.probe`."""

from __future__ import annotations

import os

import httpx

import wideevents
from wideevents.integrations.httpx import Transport

FRONT = os.environ.get("CHAIN_FRONT", "http://127.0.0.1:8000")


@wideevents.event("place an order", "script")
def main() -> None:
    with httpx.Client(transport=Transport(), base_url=FRONT) as client:
        client.post("/orders", json={"sku": "mug", "quantity": 3}).raise_for_status()


if __name__ == "__main__":
    wideevents.configure(service="probe")
    main()
