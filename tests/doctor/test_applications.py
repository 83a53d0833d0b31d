"""How an application is loaded, and what is told where there is none."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wideevents.doctor import examine
from wideevents.doctor.applications import check, is_factory, load
from wideevents.errors import ConfigurationError

MODULE = """
class App:
    def __init__(self, name="class"):
        self.name = name
    def __call__(self, environ, start_response):
        start_response("200 OK", [])
        return [self.name.encode()]

def plain(environ, start_response):
    start_response("200 OK", [])
    return []

def create_app(name="factory", *, size=1):
    return App(name * size)

def needs(name):
    return App(name)

def fails():
    return {}["secret"]

def leaves():
    raise SystemExit

def loses():
    return None

async def later():
    return App()

async def asgi(scope, receive, send):
    pass

class Asgi:
    async def __call__(self, scope, receive, send):
        pass

class Proxy:
    name = "proxy"
    def __call__(self, *arguments):
        return app(*arguments)

proxy = Proxy()
application = app = App("object")
socket = Asgi()
number = 7
lazy = lambda *arguments, **named: App("lambda")
"""


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in a folder that has the module `boutique`, and others that cannot be imported."""
    (tmp_path / "boutique.py").write_text(MODULE)
    (tmp_path / "broken.py").write_text("import boutique\nboutique.fails()\n")
    (tmp_path / "lacking.py").write_text("import nothing_like_that\n")
    (tmp_path / "empty.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("boutique", "broken", "lacking", "empty"):
        sys.modules.pop(name, None)


class TestLoad:
    @pytest.mark.parametrize(
        ("target", "name"),
        [
            ("boutique", "object"),
            ("boutique:app", "object"),
            ("boutique:proxy", "proxy"),
            ("boutique:App", "class"),
            ("boutique:create_app", "factory"),
            ("boutique:create_app()", "factory"),
            ("boutique:create_app('a', size=3)", "aaa"),
            ("boutique:lazy", "lambda"),
        ],
    )
    def test_takes_what_a_server_takes(self, target: str, name: str) -> None:
        """And factories without their parentheses."""
        app: Any = load(target)
        assert name == app.name

    def test_a_function_may_be_the_application(self) -> None:
        """It needs two arguments, so that it is no factory."""
        assert load("boutique:plain").__name__ == "plain"

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("nowhere:app", "there is no module 'nowhere' to import from "),
            ("boutique.py:app", "there is no module 'boutique.py' to import; give MODULE:APP"),
            (":app", "it must be MODULE:APP"),
            ("boutique:none", "the module boutique has no 'none'; it has App, Asgi, "),
            ("empty:app", "the module empty has no 'app'."),
            ("boutique:app.name", "'app.name' is neither a name nor the call of one"),
            ("boutique:create_app(", "'create_app(' is neither"),
            ("boutique:create_app(size=app)", "'create_app(size=app)' is neither"),
            ("boutique:create_app(1, 2)", "the factory does not take these arguments: too many positional arguments"),
            ("boutique:needs()", "the factory does not take these arguments: missing a required argument: 'name'"),
            ("boutique:later", "an asynchronous factory makes no WSGI application"),
        ],
    )
    def test_says_what_is_wrong_with_the_target(self, target: str, reason: str) -> None:
        """In a sentence, without a traceback."""
        with pytest.raises(ConfigurationError) as refused:
            load(target)

        assert str(refused.value).startswith(f"{target!r} cannot be loaded: {reason}")
        assert refused.value.__cause__ is None

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("boutique:fails", "the factory raised KeyError: 'secret' at boutique.py:20."),
            ("boutique:leaves", "the factory raised SystemExit at boutique.py:23."),
            ("boutique:number()", "the factory raised TypeError: 'int' object is not callable at "),
            ("broken:app", "importing broken raised KeyError: 'secret' at boutique.py:20."),
            ("lacking:app", "importing lacking raised ModuleNotFoundError: No module named 'nothing_like_that' at "),
        ],
    )
    def test_says_what_the_application_raised(self, target: str, reason: str) -> None:
        """With the place in its own code, and the exception for whoever wants the traceback."""
        with pytest.raises(ConfigurationError) as refused:
            load(target)

        assert reason in str(refused.value)
        assert refused.value.__cause__ is not None

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("boutique:loses", "boutique:loses is no WSGI application, but NoneType, which cannot be called."),
            ("boutique:number", "boutique:number is no WSGI application, but int, which cannot be called."),
            ("boutique:needs", "boutique:needs is no WSGI application: it does not take (environ, start_response)."),
            ("boutique:asgi", "boutique:asgi is an ASGI application: only WSGI applications can be examined yet."),
            ("boutique:socket", "boutique:socket is an ASGI application"),
        ],
    )
    def test_says_why_something_is_no_application(self, target: str, reason: str) -> None:
        """What is not supported yet, too."""
        with pytest.raises(ConfigurationError) as refused:
            load(target)

        assert str(refused.value).startswith(reason)

    def test_the_working_directory_is_on_the_path_once(self) -> None:
        """As gunicorn has it."""
        load("boutique:app")
        load("boutique:app")

        assert sys.path.count(str(Path.cwd())) == 1


class TestCheck:
    def test_who_examines_in_process_is_told_the_same(self) -> None:
        """Before anything is asked of the application."""
        with pytest.raises(ConfigurationError, match="'shop' is no WSGI application, but str"):
            examine("shop")  # type: ignore[arg-type]

    def test_what_does_not_say_what_it_takes_can_be_tried(self) -> None:
        """Functions in C have no signature, some of them."""
        check(type)
        assert is_factory(functools.partial(dict)) is False
        assert is_factory(dict) is False
        assert is_factory(iter) is False


class TestBuiltins:
    def test_a_factory_without_a_signature_is_called(self) -> None:
        """What it makes is looked at."""
        Path("built.py").write_text("make = dict\n")
        with pytest.raises(ConfigurationError, match="is no WSGI application, but dict"):
            load("built:make()")
        sys.modules.pop("built")
