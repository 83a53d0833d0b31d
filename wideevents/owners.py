"""Know whose code it is, and where they wrote down what to do about it."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from codeowners import CodeOwners

from wideevents.errors import ConfigurationError
from wideevents.frames import Frame, module_name

OWNER, RUNBOOK = "__owner__", "__runbook__"
"""What a module, or a package for all below it, may say of itself."""

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where hosts of repositories look for the file, in their order."""

KNOWN_LIMIT = 4_096


class Place(NamedTuple):
    """Name a module and its file."""

    module: str
    path: str


class Files:
    """Know the owners of files by a CODEOWNERS file; the last pattern that matches counts, and its first owner."""

    __slots__ = ("_known", "_patterns", "_root")

    def __init__(self, path: Path, root: Path) -> None:
        """Read the file at *path*, for files below *root*; raise `ConfigurationError` where that cannot be done."""
        try:
            self._patterns = CodeOwners(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"The owners in {str(path)!r} cannot be read: {error}") from error
        self._root = os.path.realpath(root)
        self._known: dict[str, str | None] = {}

    @classmethod
    def found(cls, given: str | os.PathLike[str] | None, folder: Path) -> Files | None:
        """Return what *given* holds, or the CODEOWNERS of the repository that *folder* is in, if it has one."""
        if given is not None:
            path = Path(given)
            nested = path.parent.name in {".github", "docs", ".gitlab"}
            return cls(path, path.parent.parent if nested else path.parent)
        for root in (folder, *folder.parents):
            for place in PLACES:
                if (root / place).is_file():
                    return cls(root / place, root)
            if (root / ".git").exists():
                return None
        return None

    def owner(self, path: str) -> str | None:
        """Return the team that owns the file at *path*: "@acme/payments" is payments."""
        if path not in self._known and len(self._known) < KNOWN_LIMIT:
            self._known[path] = self._look_up(path)
        return self._known.get(path)

    def _look_up(self, path: str) -> str | None:
        inside, whole = os.path.join(self._root, ""), os.path.realpath(path)
        if not whole.startswith(inside):
            return None
        owners = self._patterns.of(whole.removeprefix(inside).replace(os.sep, "/"))
        return _team(owners[0][1]) if owners else None


@dataclass(frozen=True, slots=True)
class Owners:
    """
    Find the team that a failure belongs to, and its runbook.

    *routes* maps route templates, and names of events, to teams; *runbooks* these, slugs of exceptions and teams to
    URLs; *files* knows owners by file. *default* owns what nobody else does.
    """

    routes: Mapping[str, str] = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)
    files: Files | None = None
    default: str | None = None

    def team(self, names: Iterable[str], places: Iterable[Place]) -> str | None:
        """Return who owns it, by its *names*, by what the modules of *places* say, or by their files."""
        for name in names:
            if name in self.routes:
                return self.routes[name]
        known = tuple(places)
        said = _said(OWNER, known)
        if said is not None or self.files is None:
            return said or self.default
        return next((owner for place in known if (owner := self.files.owner(place.path))), self.default)

    def runbook(self, names: Iterable[str], places: Iterable[Place], team: str | None) -> str | None:
        """Return the URL of what to do, by its *names*, by what the modules of *places* say, or by its *team*."""
        for name in names:
            if name in self.runbooks:
                return self.runbooks[name]
        return _said(RUNBOOK, places) or self.runbooks.get(team or "")


def places(frames: Iterable[Frame], handler: object) -> list[Place]:
    """Return where code of the application ran, the innermost first, and then where its *handler* stands."""
    found = [Place(frame.module, frame.path) for frame in frames if frame.in_app][::-1]
    if handler is not None:
        at = inspect.unwrap(handler) if callable(handler) else handler
        names, code = getattr(at, "__globals__", None), getattr(at, "__code__", None)
        if type(names) is dict and code is not None:
            found.append(Place(module_name(names), code.co_filename))
        elif isinstance(module := getattr(at, "__module__", None), str):  # a class, or an object of one
            found.append(Place(module, getattr(sys.modules.get(module), "__file__", None) or ""))
    return list(dict.fromkeys(found))


def _said(name: str, places: Iterable[Place]) -> str | None:
    """Return what the first module says under *name*, or a package that it is in."""
    for place in places:
        for module in _ancestry(place.module):
            said = getattr(sys.modules.get(module), name, None)
            if isinstance(said, str) and said:
                return said
    return None


def _ancestry(module: str) -> Iterator[str]:
    """Yield *module*, the package that it is in, and so on; a script's module is known as `__main__`."""
    if module not in sys.modules:
        yield "__main__"
    while module:
        yield module
        module = module.rpartition(".")[0]


def _team(owner: str) -> str:
    """Return the name of a team, a user, or an address."""
    return owner.removeprefix("@").rpartition("/")[2] if owner.startswith("@") else owner
