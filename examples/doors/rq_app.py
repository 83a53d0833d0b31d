"""
Jobs of RQ, which carry on the trace of whoever sends them.

Start it with `rq worker --config examples.doors.rq_app --worker-class wideevents.integrations.rq.Worker`.
Send a job with `python -m examples.doors.rq_app`. Both need a Redis; `REDIS_URL` says where it is.
"""

from __future__ import annotations

import os

from redis import Redis

import wideevents
from wideevents.integrations.rq import Queue

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

wideevents.configure(service="thumbnails")


def shrink(picture: str, width: int) -> None:
    wideevents.add_fields({"picture.name": picture, "picture.width": width})


if __name__ == "__main__":
    with wideevents.event("upload", "script"):
        Queue(connection=Redis.from_url(REDIS_URL)).enqueue("examples.doors.rq_app.shrink", "cat.png", width=200)
