"""What a job of RQ tells of its run."""

from __future__ import annotations

import sys
from datetime import UTC
from typing import Any

from wideevents.integrations._tasks import Message

try:
    from rq.exceptions import DeserializationError
    from rq.job import Job
except ImportError as missing:
    raise ImportError("wideevents.integrations.rq needs RQ: pip install 'wideevents[rq]'") from missing

KEY = "wideevents"
"""Where the `meta` of a job has what its message carries."""

RETRIES = "retries"
"""What it says of how often the job may be tried again; RQ counts that down."""

UNKNOWN = "unknown"
"""The name of a job that cannot be read."""


def message_of(job: Job) -> Message:
    """Return what a job tells of its run; what comes back from Redis is in UTC."""
    carried = job.meta.get(KEY)
    headers = carried if isinstance(carried, dict) else {}
    retries = headers.get(RETRIES)
    tried = retries - (job.retries_left or 0) if isinstance(retries, int) else 0
    attempt = 1 + max(0, tried) + (job.number_of_retries or 0)
    due = job.enqueued_at.replace(tzinfo=UTC).timestamp() if job.enqueued_at else None
    return Message(name_of(job), job.id, job.origin, attempt, due, headers, None)


def name_of(job: Job) -> str:
    """Return the name of the function that a job calls; a worker may not be able to read it."""
    try:
        return job.func_name or UNKNOWN
    except DeserializationError:
        return UNKNOWN


def loaded(name: str) -> Any:
    """Return the function of this *name*, if the job has imported it."""
    module, _, function = name.rpartition(".")
    return getattr(sys.modules.get(module), function, None)
