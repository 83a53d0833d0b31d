"""Tell the application's own frames from those of libraries."""

from __future__ import annotations

import ntpath
import os
import re
import sysconfig
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, NamedTuple

from wideevents.causes import traces

MAINS = ("__main__", "__mp_main__")
"""What the module of a script is called in its own process, and in one that it spawned."""

MADE_UP = ("uwsgi_file_", "_mod_wsgi_")
"""How servers begin the name of a script that they load; the rest of it is its path on that host."""

INLINED = frozenset({"<listcomp>", "<dictcomp>", "<setcomp>"})
"""Frames that only some versions of Python have: later ones run a comprehension in the function around it (PEP 709)."""

INSTALLED = ("site-packages", "dist-packages")
ARCHIVES = (".whl", ".egg")
KNOWN_LIMIT = 4_096

_inside_comprehension = re.compile(r"<(?:list|dict|set)comp>\.")


def _folder(path: str) -> str:
    return os.path.join(os.path.normcase(path), "")


_libraries = tuple(
    _folder(path) for path in (*map(sysconfig.get_path, ("stdlib", "platstdlib")), os.path.dirname(__file__))
)
_commands = _folder(sysconfig.get_path("scripts"))


class Frame(NamedTuple):
    """Hold one frame of a traceback: the module, the function with its classes, the file, the line, and whose it is."""

    module: str
    function: str
    path: str
    line: int
    in_app: bool

    @property
    def place(self) -> str:
        """The function with its module: "shop.payments.Provider.charge"."""
        return f"{self.module}.{self.function}"


@dataclass(frozen=True, slots=True)
class Application:
    """
    Say which code is the application's: what is not installed and not Python's, and *packages* that are installed.

    An image that installs its own application with pip names it here; "shop" stands for all that is below it, too.
    """

    packages: tuple[str, ...] = ()
    _known: dict[str, bool] = field(init=False, repr=False, compare=False, default_factory=dict)

    def owns(self, path: str) -> bool:
        """Tell whether the file at *path* is the application's."""
        known = self._known.get(path)
        if known is None:
            known = self._judge(path)
            if len(self._known) < KNOWN_LIMIT:
                self._known[path] = known
        return known

    def frames(self, error: BaseException) -> list[Frame]:
        """Return the frames of *error*, the outermost first; those of a comprehension are its function's."""
        frames: list[Frame] = []
        for trace in traces(error):
            code, names = trace.tb_frame.f_code, trace.tb_frame.f_globals
            if code.co_name in INLINED:
                frames[-1:] = [frame._replace(line=trace.tb_lineno) for frame in frames[-1:]]
                continue
            path = code.co_filename
            frames.append(Frame(module_name(names), function_name(code), path, trace.tb_lineno, self.owns(path)))
        return frames

    def _judge(self, path: str) -> bool:
        parts = path.replace("\\", "/").split("/")
        package = installed(parts)
        if package is not None:
            return self._is_named(package)
        if not os.path.isabs(path) and not ntpath.splitdrive(path)[0]:
            # Compiled and frozen code tells the path that it was built from; what was made at run time is "<string>".
            return any(map(self._is_named, parts)) or os.path.exists(path)
        return not os.path.normcase(path).startswith(_libraries) and not _is_command(path)

    def _is_named(self, part: str) -> bool:
        return part in self.packages or os.path.splitext(part)[0] in self.packages


def installed(parts: list[str]) -> str | None:
    """Return the package, or the file of a module, that is installed where these *parts* of a path lead."""
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] in INSTALLED or parts[position].endswith(ARCHIVES):
            return parts[position + 1]
    return None


def module_name(names: dict[str, Any]) -> str:
    """
    Return the name of the module that has these globals, the same in every process and on every host.

    That of a script is the one it would be imported by; that of a template, which is called by its path, is the end of
    it: "shop/cart.html".
    """
    name = names.get("__name__")
    if type(name) is not str:
        return "?"
    if "/" in name or "\\" in name:
        return "/".join(name.replace("\\", "/").split("/")[-2:])
    if name in MAINS:
        spec_name = getattr(names.get("__spec__"), "name", None)
        if type(spec_name) is str:
            return spec_name
    elif not name.startswith(MADE_UP):
        return name
    path = names.get("__file__")
    return os.path.splitext(os.path.basename(path))[0] if type(path) is str else name


def function_name(code: CodeType) -> str:
    """Return the name of a function with the classes and functions around it, as every version of Python would."""
    name = code.co_qualname
    if not name.endswith(code.co_name):  # Jinja writes the block of a template into one of them alone
        return code.co_name
    return _inside_comprehension.sub("", name) if "comp>." in name else name


def _is_command(path: str) -> bool:
    """Tell whether *path* is a file that installing a package made, such as `bin/gunicorn`."""
    folder, name = os.path.split(path)
    return "." not in name and _folder(folder) == _commands
