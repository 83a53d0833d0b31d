"""What the frames room promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import flask
import jinja2
import pytest

import wideevents
from wideevents import frames
from wideevents.frames import KNOWN_LIMIT, Application, Frame, function_name, module_name

STDLIB = os.path.dirname(os.__file__)
OURS = os.path.dirname(wideevents.__file__)


def raised(work: Callable[[], object]) -> BaseException:
    """Return what *work* raises, without the frame of this function."""
    try:
        work()
    except BaseException as error:
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)
    raise AssertionError("nothing was raised")


def made(source: str, path: str, **names: Any) -> Any:
    """Return the function `work` of *source*, which stands in the file at *path*, in a module of these *names*."""
    namespace: dict[str, Any] = {"__name__": "shop", **names}
    exec(compile(source, path, "exec"), namespace)
    return namespace["work"]


class TestOwns:
    @pytest.mark.parametrize(
        "path",
        [
            "/srv/app/shop/payments.py",
            "/home/ann/project/manage.py",
            "/srv/app.pyz/shop/payments.py",
            "/srv/app/templates/cart.html",
            "/srv/site-packages.py",
            "/srv/wheels/site-packages",
            "C:\\Users\\ann\\shop\\payments.py",
            "\\\\server\\share\\shop\\payments.py",
            __file__,
        ],
    )
    def test_what_is_not_installed(self, path: str) -> None:
        """Code of the repository is the application's, wherever it is unpacked."""
        assert Application().owns(path)

    @pytest.mark.parametrize(
        "path",
        [
            "/srv/app/.venv/lib/python3.11/site-packages/flask/app.py",
            "/usr/lib/python3/dist-packages/requests/api.py",
            "/home/ann/.local/lib/python3.11/site-packages/six.py",
            "C:\\shop\\venv\\Lib\\site-packages\\flask\\app.py",
            "/home/ann/.pex/installed_wheels/ab12/Flask-3.0-py3-none-any.whl/flask/app.py",
            "/srv/eggs/Flask-3.0-py3.11.egg/flask/app.py",
            f"{STDLIB}/json/decoder.py",
            f"{STDLIB}/site-packages/flask/app.py",
            json.__file__,
            flask.__file__,
            frames.__file__,
            f"{OURS}/integrations/flask.py",
            "<frozen importlib._bootstrap>",
            "<string>",
            "<attrs generated init shop.Order>",
            "src/gevent/greenlet.py",
            "uvloop/loop.pyx",
        ],
    )
    def test_not_what_is_installed_or_pythons_or_made(self, path: str) -> None:
        """A virtual environment inside the project holds libraries all the same."""
        assert not Application().owns(path)

    @pytest.mark.parametrize(
        "path",
        [
            "/usr/local/lib/python3.11/site-packages/shop/payments.py",
            "/usr/local/lib/python3.11/site-packages/stock.py",
            "/usr/lib/python3/dist-packages/shop/payments.py",
            "/srv/eggs/Shop-1.0-py3.11.egg/shop/payments.py",
            "C:\\venv\\Lib\\site-packages\\shop\\payments.py",
            "shop/prices.pyx",
            "src/shop/prices.py",
        ],
    )
    def test_installed_packages_that_it_names(self, path: str) -> None:
        """An image installs its own application with pip."""
        assert Application(("shop", "stock")).owns(path)
        assert not Application(("sho", "payments")).owns(path.replace("payments", "api"))

    def test_the_package_is_the_innermost_one(self) -> None:
        """A package may bring others along, in a folder of the same kind."""
        vendored = "/venv/site-packages/shop/vendor/site-packages/flask/app.py"
        assert not Application(("shop",)).owns(vendored)
        assert Application(("flask",)).owns(vendored)

    def test_a_relative_path_that_leads_somewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Code that was compiled from where the process stands."""
        (tmp_path / "rules.py").touch()
        monkeypatch.chdir(tmp_path)
        assert [Application().owns(path) for path in ("rules.py", "others.py")] == [True, False]

    def test_the_command_of_an_installed_package_is_nobodys(self) -> None:
        """`bin/gunicorn` is three lines that pip wrote; a script of one's own beside it is not."""
        scripts = sysconfig.get_path("scripts")
        assert not Application().owns(f"{scripts}/gunicorn")
        assert Application().owns(f"{scripts}/nightly.py")
        assert Application().owns("/srv/app/bin/nightly")

    def test_libraries_are_found_in_a_virtual_environment(self) -> None:
        """Its standard library is that of the Python that it was made from."""
        assert not Application().owns(sysconfig.get_path("platstdlib") + "/sitecustomize.py")
        assert not Application().owns(sysconfig.get_path("stdlib") + "/os.py")
        assert Application().owns(sysconfig.get_path("stdlib") + "-of-ours/shop.py")

    def test_is_judged_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A traceback has the same files every time; what is compiled without end is not remembered without end."""
        monkeypatch.chdir(tmp_path)
        application = Application()
        assert not application.owns("rules.py")
        (tmp_path / "rules.py").touch()
        assert not application.owns("rules.py")
        for number in range(KNOWN_LIMIT + 5):
            assert not application.owns(f"<cell {number}>")
        assert len(application._known) == KNOWN_LIMIT


class TestSystemPython:
    @pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="no Python of the system")
    def test_its_library_and_packages_are_not_the_applications(self, tmp_path: Path) -> None:
        """Distributions keep them in places of their own."""
        script = tmp_path / "script.py"
        script.write_text(
            "import json, os, sys, types\n"
            "sys.modules['wideevents'] = types.ModuleType('wideevents')\n"
            f"sys.modules['wideevents'].__path__ = [{OURS!r}]\n"
            "from wideevents.frames import Application\n"
            "paths = json.__file__, os.__file__, '/usr/lib/python3/dist-packages/x.py', __file__\n"
            "print(json.dumps([Application().owns(path) for path in paths]))\n"
        )
        asked = ["/usr/bin/python3", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(asked, check=False).returncode:
            pytest.skip("the Python of the system is too old")
        done = subprocess.run(["/usr/bin/python3", str(script)], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == [False, False, False, True]


class TestFrames:
    def test_tell_module_function_file_and_line(self) -> None:
        """All that says where an exception was raised."""
        work = made("class Till:\n    def pay(self):\n        1 / 0\nwork = Till().pay", "/srv/shop/till.py")
        (frame,) = Application().frames(raised(work))
        assert frame == Frame("shop", "Till.pay", "/srv/shop/till.py", 3, in_app=True)
        assert frame.place == "shop.Till.pay"

    def test_tell_whose_they_are(self) -> None:
        """A library's frames stand between one's own."""

        def hook(pairs: object) -> None:
            raise ValueError

        found = Application().frames(raised(lambda: json.loads("{}", object_hook=hook)))
        assert [frame.in_app for frame in found] == [True, *[False] * (len(found) - 2), True]
        assert {frame.module for frame in found[1:-1]} == {"json", "json.decoder"}

    def test_a_comprehension_is_its_function_and_its_line_the_one_that_raised(self) -> None:
        """Some versions of Python have a frame for it, and some have none."""
        source = "def work():\n    return [\n        1 / each\n        for each in [0]\n    ]\n"
        for path in (source, source.replace("[\n", "{\n", 1).replace("\n    ]", "\n    }")):
            (frame,) = Application().frames(raised(made(path, "/srv/shop.py")))
            assert (frame.function, frame.line) == ("work", 3)

    def test_a_comprehension_without_its_function_is_nothing(self) -> None:
        """A traceback can be cut by hand."""
        error = raised(made("def work():\n    return [1 / each for each in [0]]\n", "/srv/shop.py"))
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        assert len(Application().frames(error.with_traceback(trace))) == (sys.version_info >= (3, 12))

    def test_a_template_has_the_end_of_its_path_for_a_name(self, tmp_path: Path) -> None:
        """Jinja calls the module of a template by its whole path, which is another one on every host."""
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "cart.html").write_text("{% block total %}{{ 1 / 0 }}{% endblock %}")
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(tmp_path), autoescape=True)
        found = Application().frames(raised(environment.get_template("shop/cart.html").render))
        own = [(frame.module, frame.function) for frame in found if frame.in_app]
        assert own[-1] == ("shop/cart.html", "block 'total'")
        assert {module for module, _ in own} == {"shop/cart.html"}


class TestModuleName:
    SPEC = type("Spec", (), {"name": "shop.worker"})()

    @pytest.mark.parametrize(
        ("names", "name"),
        [
            ({"__name__": "shop.payments", "__file__": "/srv/shop/payments.py"}, "shop.payments"),
            ({"__name__": "__main__", "__spec__": SPEC, "__file__": "/srv/shop/worker.py"}, "shop.worker"),
            ({"__name__": "__mp_main__", "__spec__": SPEC, "__file__": "/srv/shop/worker.py"}, "shop.worker"),
            ({"__name__": "__main__", "__spec__": None, "__file__": "/srv/shop/worker.py"}, "worker"),
            ({"__name__": "__main__", "__spec__": type("S", (), {"name": "__main__"})()}, "__main__"),
            ({"__name__": "__mp_main__", "__file__": "/srv/shop/worker.py"}, "worker"),
            ({"__name__": "__main__"}, "__main__"),
            ({"__name__": "__main__", "__spec__": 7, "__file__": 7}, "__main__"),
            ({"__name__": "uwsgi_file__srv_app_wsgi_py", "__file__": "/srv/app/wsgi.py"}, "wsgi"),
            ({"__name__": "_mod_wsgi_2f7a", "__file__": "/srv/app/shop.wsgi"}, "shop"),
            ({"__name__": "/srv/app/templates/cart.html", "__file__": "x"}, "templates/cart.html"),
            ({"__name__": "C:\\app\\templates\\cart.html"}, "templates/cart.html"),
            ({"__name__": None}, "?"),
            ({}, "?"),
        ],
    )
    def test_is_the_one_it_would_be_imported_by(self, names: dict[str, Any], name: str) -> None:
        """In every process and on every host."""
        assert module_name(names) == name

    def test_asks_nothing_that_could_lie(self) -> None:
        """Whoever puts an object of their own there gets a question mark."""

        class Name(str):
            __slots__ = ()

            def __contains__(self, _: object) -> bool:
                raise RuntimeError

        assert module_name(vars(ModuleType("shop")) | {"__name__": Name("shop")}) == "?"


class TestFunctionName:
    @pytest.mark.parametrize(
        ("qualified", "name"),
        [
            ("Till.pay", "Till.pay"),
            ("f.<locals>.<listcomp>.<lambda>", "f.<locals>.<lambda>"),
            ("f.<locals>.<listcomp>.<dictcomp>.<lambda>", "f.<locals>.<lambda>"),
            ("<setcomp>.<lambda>.<locals>.<lambda>", "<lambda>.<locals>.<lambda>"),
            ("f.<locals>.<genexpr>", "f.<locals>.<genexpr>"),
        ],
    )
    def test_is_the_same_in_every_version(self, qualified: str, name: str) -> None:
        """A later one knows nothing of the comprehension around a lambda."""
        code: CodeType = (lambda: None).__code__.replace(co_qualname=qualified, co_name=qualified.rpartition(".")[2])
        assert function_name(code) == name
