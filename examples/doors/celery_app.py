"""
A Celery application, whose tasks carry on the trace of whoever sends them.

Start it with `celery -A examples.doors.celery_app worker`.
Send a task with `python -m examples.doors.celery_app`. Both need a Redis; `CELERY_BROKER_URL` says where it is.
"""

from __future__ import annotations

from celery import Celery

import wideevents
from wideevents.integrations.celery import WideEvents

wideevents.configure(service="mailer")

app = Celery("mailer", broker="redis://127.0.0.1:6379/0")
app.conf.task_ignore_result = True
WideEvents(app)


@app.task
def welcome(user_id: int) -> None:
    wideevents.add_fields({"user.id": user_id, "mail.template": "welcome"})


if __name__ == "__main__":
    with wideevents.event("sign up", "script"):
        app.send_task("examples.doors.celery_app.welcome", [42])
