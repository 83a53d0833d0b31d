"""What route a request has that is killed in its view, or hangs in it: real servers, with Django and Starlette."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import wideevents
from tests.conftest import Written
from tests.integrations.processes import running, stop
from tests.integrations.servers import eventually
from tests.integrations.test_gunicorn_flight import COMMAND, CONF, arrivals, asking, events, hung, told

PROJECT = """
import asyncio, os, threading
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.urls import path
import wideevents

wideevents.configure(service="shop", flight="flight")
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=["wideevents.integrations.django.WideEvents"]
)
arrived = os.open("arrived", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def arrive(number):
    wideevents.add_field("order.number", number)
    os.write(arrived, b"%d %d\\n" % (os.getpid(), number))

def wait(request, number):
    arrive(number)
    threading.Event().wait()

async def wait_async(request, number):
    arrive(number)
    await asyncio.Event().wait()

urlpatterns = [path("orders/<int:number>/", wait), path("async/orders/<int:number>/", wait_async)]
wsgi, asgi = get_wsgi_application(), get_asgi_application()
"""

STARLETTE = """
import os, time
from starlette.applications import Starlette
from starlette.routing import Route
import wideevents
from wideevents.integrations.asgi import WideEvents

wideevents.configure(service="shop", flight="flight")

async def wait(request):
    number = request.path_params["number"]
    wideevents.add_field("order.number", number)
    open("arrived", "a").write(f"{os.getpid()} {number}\\n")
    time.sleep(30)  # and nothing else runs in this loop

asgi = WideEvents(Starlette(routes=[Route("/async/orders/{number:int}/", wait)]))
"""

KNOWN = ("http.route", "event.name", "order.number", "url.path", "outcome")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the applications, and the configuration of gunicorn."""
    for name, text in {"project.py": PROJECT, "galaxy.py": STARLETTE, "gunicorn.conf.py": CONF}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


class TestGunicorn:
    def test_a_view_of_django_that_is_killed_or_hangs_has_its_route(self, folder: Path) -> None:
        """The master tells of the one, with all that it knew; the worker itself of the other, before it is killed."""
        with running(folder, *COMMAND, "--timeout=1", "project:wsgi") as server:
            with asking(server, "/orders/1/"):
                ((pid, _),) = eventually(lambda: arrivals(folder), "a request")
                os.kill(pid, signal.SIGKILL)
                (line,) = told(server, 1)
            # A second after the abort gunicorn kills the worker: a machine that is busy may not answer by then.
            eventually(lambda: server.get("/orders/2/") == 500, "an answer of a worker that was aborted")
            lines = stop(server)

        assert [line[name] for name in KNOWN] == [
            "/orders/<int:number>/",
            "GET /orders/<int:number>/",
            1,
            "/orders/1/",
            "lost",
        ]
        assert line["lost.reason"] == "killed by SIGKILL"
        late = [each for each in events(lines) if each["order.number"] == 2][-1]
        assert [late[name] for name in KNOWN[:2]] == ["/orders/<int:number>/", "GET /orders/<int:number>/"]
        assert (late["outcome"], late["http.response.status_code"]) == ("failure", 500)
        assert hung([late]) == {"/orders/2/": ["wait"]}


class TestUvicorn:
    @pytest.mark.parametrize(
        ("application", "route"),
        [("project:asgi", "/async/orders/<int:number>/"), ("galaxy:asgi", "/async/orders/{number:int}/")],
        ids=["django", "starlette"],
    )
    def test_a_coroutine_that_is_killed_has_its_route(
        self, application: str, route: str, folder: Path, written: Written, reconfigurable: None
    ) -> None:
        """The next one that starts with the same directory tells of it."""
        with running(folder, "-m", "uvicorn", "--fd={fd}", application) as server, asking(server, "/async/orders/7/"):
            eventually(lambda: arrivals(folder), "a request")
            server.send(signal.SIGKILL)
            server.process.wait()
        wideevents.configure(service="tests", output=written.sink, logging=False, flight=folder / "flight")

        line = written.one()
        assert [line[name] for name in KNOWN] == [route, f"GET {route}", 7, "/async/orders/7/", "lost"]
