"""Load an application as its server does: from `MODULE:APP`, `MODULE:FACTORY` or `MODULE:FACTORY(...)`."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from wideevents.doctor.attempts import Raised, attempt
from wideevents.doctor.places import raised_at
from wideevents.errors import ConfigurationError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

DEFAULT = "application"
"""What gunicorn looks for in a module, if it is told no name."""

FORMS = "MODULE:APP, MODULE:FACTORY or 'MODULE:FACTORY(...)', such as shop:create_app"


class Reference(NamedTuple):
    """Hold what stands behind the colon; *arguments* are None where nothing is called."""

    name: str
    arguments: tuple[list[Any], dict[str, Any]] | None


def load(target: str) -> WSGIApplication:
    """
    Return the WSGI application that *target* names, with the working directory on the path.

    Raise `ConfigurationError` where there is none; its cause is what the application's own code raised.
    """
    found = make(target)
    check(found, target)
    app: WSGIApplication = found
    return app


def make(target: str) -> Any:
    """
    Return what *target* names, whatever kind of application it is, with the working directory on the path.

    A name stands for a factory if it is a function or a class that can be called without arguments, for the application
    itself otherwise, which needs two or three. Raise `ConfigurationError` as `load` does.
    """
    module_name, _, expression = target.partition(":")
    reference = _parsed(target, expression or DEFAULT)
    if not module_name:
        raise _refused(target, f"it must be {FORMS}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    found = _attribute(target, _module(target, module_name), reference.name)
    if reference.arguments is not None:
        return _called(target, found, *reference.arguments)
    return _called(target, found, [], {}) if is_factory(found) else found


def check(app: object, target: str = "") -> None:
    """Raise `ConfigurationError` for what is no WSGI application."""
    subject = target or repr(app)
    if not callable(app):
        raise ConfigurationError(f"{subject} is no WSGI application, but {type(app).__name__}, which cannot be called.")
    call = app if inspect.isroutine(app) else type(app).__call__
    if inspect.iscoroutinefunction(call):
        raise ConfigurationError(
            f"{subject} is an ASGI application: only WSGI applications can be examined yet. Events need no doctor: "
            "make a request, and see whether one line comes out."
        )
    if not _takes(app, None, None):
        raise ConfigurationError(f"{subject} is no WSGI application: it does not take (environ, start_response).")


def is_factory(found: object) -> bool:
    """Tell whether *found* makes an application, and is none: a function or a class that needs no arguments."""
    return (inspect.isroutine(found) or inspect.isclass(found)) and _takes(found)


def _takes(function: Any, *arguments: object) -> bool:
    """Tell whether *function* can be called with *arguments*; one that does not say can be tried."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return bool(arguments)
    return True


def _parsed(target: str, expression: str) -> Reference:
    """Read a name, or a call of it whose arguments are literals, as gunicorn does."""
    try:
        node = ast.parse(expression, mode="eval").body
        if isinstance(node, ast.Name):
            return Reference(node.id, None)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in node.keywords}
            return Reference(node.func.id, ([ast.literal_eval(each) for each in node.args], named))
    except (SyntaxError, ValueError):
        pass
    raise _refused(target, f"{expression!r} is neither a name nor the call of one with literal arguments; give {FORMS}")


def _module(target: str, name: str) -> ModuleType:
    loaded = attempt(lambda: import_module(name))
    if not isinstance(loaded, Raised):
        return loaded
    error = loaded.error
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is not None and f"{name}.".startswith(f"{missing}."):
        hint = f"; give {FORMS}" if name.endswith(".py") or "/" in name else f" from {os.getcwd()}"
        raise _refused(target, f"there is no module {missing!r} to import{hint}")
    raise _refused(target, f"importing {name} {_told(error)}") from error


def _attribute(target: str, module: ModuleType, name: str) -> Any:
    if not hasattr(module, name):
        callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        there = f"; it has {', '.join(sorted(callables)[:8])}" if callables else ""
        raise _refused(target, f"the module {module.__name__} has no {name!r}{there}")
    return getattr(module, name)


def _called(target: str, factory: Any, positional: list[Any], named: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(factory):
        raise _refused(target, "an asynchronous factory makes no WSGI application; only those can be examined yet")
    if callable(factory):
        try:
            inspect.signature(factory).bind(*positional, **named)
        except TypeError as error:
            raise _refused(target, f"the factory does not take these arguments: {error}") from None
        except ValueError:
            pass
    made = attempt(lambda: factory(*positional, **named))
    if isinstance(made, Raised):
        raise _refused(target, f"the factory {_told(made.error)}") from made.error
    return made


def _told(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return f"raised {type(error).__name__}{f': {said[0]}' if said else ''} at {raised_at(error)}"


def _refused(target: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{target!r} cannot be loaded: {reason}.")
