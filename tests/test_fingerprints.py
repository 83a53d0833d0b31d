"""What the fingerprints room promises, judged on a corpus of bugs."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from itertools import pairwise
from math import comb
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import wideevents
from tests import bugs
from wideevents.fingerprints import MOST, digest, fingerprint, module_of, qualified_name, raised_in
from wideevents.frames import Application, Frame

SOURCE = Path(bugs.__file__).read_text()
STOCK = "PRICES = {}\nFIRST = PRICES['first']\n"
NUMBERS = (0, 1, 2, 5)
"""What every bug is run with."""

PACKAGE = Path(wideevents.__file__).parent
PYENV = Path.home() / ".pyenv" / "versions"

DRIVER = """
import json, multiprocessing, os, sys, types

if "wideevents" not in sys.modules:  # another version of Python has not what the rest of the package needs
    sys.modules["wideevents"] = types.ModuleType("wideevents")
    sys.modules["wideevents"].__path__ = [os.environ["WIDEEVENTS"]]

from wideevents.fingerprints import fingerprint
from wideevents.frames import Application

def tell(bugs, numbers, packages=()):
    application = Application(packages)
    return {name(bug): [one(bug, number, application) for number in numbers] for bug in bugs}

def one(bug, number, application):
    try:
        bug(number)
    except BaseException as error:
        return fingerprint(error, application)

def name(bug):
    return getattr(bug, "__name__", None) or ".".join(bug.args)

def run(bugs):
    if sys.argv[1:] == ["spawn"]:
        process = multiprocessing.get_context("spawn").Process(target=spawned)
        process.start()
        process.join()
    else:
        told = tell(bugs, json.loads(os.environ["NUMBERS"]), tuple(os.environ["PACKAGES"].split()))
        with open(os.environ["TOLD"], "w") as file:
            json.dump(told, file)

def spawned():
    sys.argv = sys.argv[:1]
    run(sys.modules["__mp_main__"].BUGS)
"""

FOOTER = "\n\nif __name__ == '__main__':\n    import driver\n\n    driver.run(BUGS)\n"
IMPORT = ("-c", "import driver, shop; driver.run(shop.BUGS)")

Told = dict[str, list[str]]


class Figures(NamedTuple):
    """How well fingerprints tell bugs from one another: of pairs of errors, 1.0 is all of them."""

    precision: float
    recall: float

    @classmethod
    def of(cls, samples: list[tuple[str, str]]) -> Figures:
        """Judge *samples*, each a bug and the fingerprint of an error that it led to."""
        alike = pairs(Counter(found for _, found in samples))
        one_bug = pairs(Counter(bug for bug, _ in samples))
        right = pairs(Counter(samples))
        return cls(right / alike, right / one_bug)


def pairs(counted: Counter[Any]) -> int:
    return sum(comb(number, 2) for number in counted.values())


def shifted(source: str) -> str:
    """Return *source* with comments between its lines, some before and some after."""
    moved, opened = ["# moved"] * 7, False
    for number, line in enumerate(source.splitlines()):
        opened ^= line.count('"""') % 2 == 1
        moved += [line] if opened else [line, *["# moved"] * (number % 3)]
    return "\n".join(moved)


class Shop:
    """Copies of the corpus in a folder, and what its errors are told to be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.installed = folder / "site-packages"
        self.installed.mkdir()
        (self.installed / "driver.py").write_text(DRIVER)
        self.running: dict[str, tuple[subprocess.Popen[str], Path]] = {}

    def copy(self, name: str, source: str = SOURCE) -> Path:
        """Write *source* as the module `shop` in a folder of its own."""
        folder = self.folder / name
        folder.mkdir(parents=True)
        (folder / "shop.py").write_text(source + FOOTER)
        (folder / "stock.py").write_text(STOCK)
        return folder

    def here(self, folder: Path, packages: tuple[str, ...] = ()) -> Told:
        """Return what the errors of the copy in *folder* are told to be in this process."""
        driver = module("driver", self.installed / "driver.py")
        sys.path.insert(0, str(folder))
        try:
            told: Told = driver.tell(module("shop", folder / "shop.py").BUGS, NUMBERS, packages)
        finally:
            sys.path.remove(str(folder))
            sys.path_importer_cache.pop(str(folder), None)
        return told

    def elsewhere(self, name: str, folder: Path, *arguments: str, python: str = sys.executable) -> None:
        """Start a process that tells the same of the copy in *folder*."""
        told = self.folder / f"{name}.json"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(folder), str(self.installed)]),
            "PYTHONHASHSEED": str(len(self.running)),
            "WIDEEVENTS": str(PACKAGE),
            "NUMBERS": json.dumps(NUMBERS[:2]),
            "PACKAGES": "shop stock" if "site-packages" in folder.parts else "",
            "TOLD": str(told),
        }
        started = subprocess.Popen(
            [python, *arguments], env=environment, cwd=self.folder, stderr=subprocess.PIPE, text=True
        )
        self.running[name] = started, told

    def results(self) -> dict[str, Told]:
        """Wait for the processes, and return what each told."""
        found = {}
        for name, (process, told) in self.running.items():
            _, complaints = process.communicate(timeout=120)
            assert process.returncode == 0, f"{name}: {complaints}"
            found[name] = json.loads(told.read_text())
        return found


def module(name: str, path: Path) -> ModuleType:
    """Import the file at *path*, afresh."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """Run the corpus in every way that must make no difference."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    plain = shop.copy("plain")
    installed = shop.copy("environment/lib/python3/site-packages")
    with zipfile.ZipFile(shop.folder / "shop.pyz", "w") as archive:
        archive.write(plain / "shop.py", "shop.py")
        archive.write(plain / "stock.py", "stock.py")
    for version in ("3.12", "3.13"):
        for python in sorted(PYENV.glob(f"{version}.*/bin/python"))[:1]:
            shop.elsewhere(version, plain, *IMPORT, python=str(python))
    shop.elsewhere("another process", plain, *IMPORT)
    shop.elsewhere("as a module", plain, "-m", "shop")
    shop.elsewhere("as a script", plain, str(plain / "shop.py"))
    shop.elsewhere("spawned", plain, "-m", "shop", "spawn")
    shop.elsewhere("installed", installed, *IMPORT)
    shop.elsewhere("zipped", shop.folder / "shop.pyz", *IMPORT)
    return {
        "plain": shop.here(plain),
        "shifted": shop.here(shop.copy("shifted", shifted(SOURCE))),
        "another root": shop.here(shop.copy("srv/releases/2026-11-22/app")),
        **shop.results(),
    }


class TestCorpus:
    def test_is_large_and_raises(self, variants: dict[str, Told]) -> None:
        """Every bug of it raises with every number, whatever is done to its source."""
        plain = variants["plain"]
        assert len(plain) == len(bugs.BUGS) >= 80
        assert [name for name, found in plain.items() if len(found) != len(NUMBERS) or None in found] == []
        assert {*variants} >= {"shifted", "as a module", "spawned", "installed", "zipped"}

    def test_shifting_moves_lines(self) -> None:
        """The variant is one: no line stands where it stood."""
        before, after = SOURCE.splitlines(), shifted(SOURCE).splitlines()
        assert [line for line in after if line != "# moved"] == before
        assert not any(after.index(line) == before.index(line) for line in before if line.startswith("def "))

    def test_one_bug_has_one_fingerprint_and_no_other_has_it(self, variants: dict[str, Told]) -> None:
        """Whatever the line, the process, the version of Python, the host, the data, the attempt."""
        samples = [(bug, found) for told in variants.values() for bug, all_ in told.items() for found in all_]
        figures = Figures.of(samples)
        split = {bug for bug, _ in samples if len({found for each, found in samples if each == bug}) > 1}
        merged = [sorted({bug for bug, each in samples if each == found}) for found in {found for _, found in samples}]

        assert figures == (1.0, 1.0), (
            f"precision {figures.precision:.4f}, recall {figures.recall:.4f} of {len(samples)} errors of "
            f"{len(variants['plain'])} bugs; several for {sorted(split)}; one for {[m for m in merged if len(m) > 1]}"
        )

    def test_the_figures_would_tell(self) -> None:
        """A split bug costs recall, a merged one precision."""
        assert Figures.of([("a", "1"), ("a", "1"), ("b", "2"), ("b", "2")]) == (1.0, 1.0)
        assert Figures.of([("a", "1"), ("a", "2"), ("a", "2"), ("b", "3")]) == (1.0, 1 / 3)
        assert Figures.of([("a", "1"), ("a", "1"), ("b", "1")]) == (1 / 3, 1.0)


class ShopError(Exception):
    class DeclinedError(Exception):
        """Stand below another class."""


class Meta(type):
    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise ValueError


class LyingError(Exception, metaclass=Meta):
    """Be of a class that raises when it is asked for its name."""


class UnnameableError(Exception):
    __module__ = 7  # type: ignore[assignment]


class FalseError(Exception):
    """Be empty, as an exception that holds a list of mistakes may be."""

    def __len__(self) -> int:
        return 0


APPLICATION = Application()


def found(error: BaseException) -> str:
    return fingerprint(error, APPLICATION)


def raised(*errors: BaseException) -> BaseException:
    """Return the first of *errors*, raised from the others in a row."""
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    try:
        raise errors[0]
    except BaseException as error:
        return error


def frame(function: str, *, in_app: bool) -> Frame:
    return Frame("shop", function, "/srv/shop.py", 1, in_app)


class TestFingerprint:
    def test_is_16_hex_digits(self) -> None:
        """It is as long as the id of a span, and goes where one goes."""
        assert re.fullmatch(r"[0-9a-f]{16}", found(raised(KeyError("sku"))))

    def test_is_of_the_last_frame_where_none_is_the_applications(self) -> None:
        """An error of a server's own thread has a place, too."""
        with pytest.raises(ValueError) as one:  # noqa: PT011
            json.loads("[")
        with pytest.raises(ValueError) as other:  # noqa: PT011
            json.loads(b"\xff\xff")
        libraries = [error.value.with_traceback(error.value.__traceback__.tb_next) for error in (one, other)]  # type: ignore[union-attr]

        assert [frame.in_app for error in libraries for frame in APPLICATION.frames(error)].count(True) == 0
        assert found(libraries[0]) == digest(["json.decoder.JSONDecodeError", "json.decoder.JSONDecoder.raw_decode"])
        assert found(libraries[0]) != found(libraries[1])

    def test_one_that_was_never_raised_has_its_type(self) -> None:
        """An exception that is made and noted is told by what it is."""
        assert found(ValueError("x")) == digest(["ValueError"])
        assert found(ValueError("x")) != found(TypeError("x"))

    @pytest.mark.parametrize(("kind", "module"), [(LyingError, __name__), (UnnameableError, "?")])
    def test_one_whose_class_lies_has_one(self, kind: type[Exception], module: str) -> None:
        """A class can be as hostile as a value."""
        assert found(kind()) == digest([f"{module}.{kind.__qualname__}"])

    def test_a_cause_that_is_false_counts(self) -> None:
        """An exception with a length of zero is an exception."""
        assert found(raised(ShopError(), FalseError())) != found(raised(ShopError()))

    @pytest.mark.parametrize("main", ["__main__", "__mp_main__"])
    def test_a_class_of_a_script_has_the_name_of_the_script(self, main: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """As if somebody had imported it."""
        script = ModuleType(main)
        script.__file__ = "/srv/app/worker.py"
        monkeypatch.setitem(sys.modules, main, script)
        assert found(type("Lost", (Exception,), {"__module__": main})()) == digest(["worker.Lost"])

    def test_a_class_of_a_script_that_is_gone_keeps_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the module nobody knows what the script was called."""
        monkeypatch.delitem(sys.modules, "__mp_main__", raising=False)
        assert found(type("Lost", (Exception,), {"__module__": "__mp_main__"})()) == digest(["__mp_main__.Lost"])

    def test_causes_in_a_circle_are_read_once(self) -> None:
        """Python itself makes none; a library can."""
        first, second = ValueError(), TypeError()
        first.__cause__, second.__cause__ = second, first
        assert found(first) == digest(["ValueError", "TypeError"])

    def test_a_member_above_its_group_ends_it(self) -> None:
        """Who raises a member while handling its group makes a circle of the usual kind."""
        member = ValueError()
        member.__context__ = ExceptionGroup("group", [member, TypeError()])
        assert found(member) == digest(["ValueError", "ExceptionGroup"])

    def test_the_order_and_number_of_members_do_not_count(self) -> None:
        """Nor does it that they share a cause."""
        cause = KeyError()
        one, other = (raised(kind(), cause) for kind in (ValueError, TypeError))
        groups = [[one, other], [other, one], [one, other, one, one]]
        assert len({found(ExceptionGroup("group", group)) for group in groups}) == 1  # type: ignore[type-var]
        assert found(ExceptionGroup("group", [one])) != found(ExceptionGroup("group", [one, other]))  # type: ignore[type-var]

    def test_an_endless_family_is_read_in_part(self) -> None:
        """A group of thousands, in groups of thousands, would take seconds."""
        error: Exception = ExceptionGroup("group", [ValueError()] * 100_000)
        for _ in range(500):
            error = ExceptionGroup("group", [error])
        seen: list[BaseException] = []

        class Counting(Application):
            __slots__ = ()

            def frames(self, error: BaseException) -> list[Frame]:
                seen.append(error)
                return []

        fingerprint(error, Counting())
        fingerprint(ExceptionGroup("group", [ValueError()] * 100_000), Counting())
        assert len(seen) <= 2 * MOST

    def test_a_deep_family_is_read_with_few_frames_left(self) -> None:
        """Who notes an error may be deep in a recursion."""
        error: Exception = ValueError()
        for _ in range(500):
            error = ExceptionGroup("group", [error])
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(len(inspect.stack(0)) + 300)
        try:
            assert re.fullmatch(r"[0-9a-f]{16}", found(error))
        finally:
            sys.setrecursionlimit(before)

    def test_a_repeated_group_of_others_counts(self) -> None:
        """Two groups are the same if their members are."""
        groups = [ExceptionGroup("group", [kind()]) for kind in (ValueError, TypeError, ValueError)]
        assert found(raised(groups[0], groups[1])) != found(raised(groups[0], groups[2])) == found(raised(groups[2]))

    def test_a_repeated_cause_of_another_type_counts(self) -> None:
        """Only what says the same once more is left out."""
        same, other = found(raised(ShopError(), ShopError(), ShopError())), found(raised(ShopError(), ValueError()))
        assert same == found(raised(ShopError()))
        assert len({same, other, found(raised(ShopError(), ValueError(), ShopError()))}) == 2


class TestRaisedIn:
    def test_is_the_last_frame_of_the_application(self) -> None:
        """The library that it called did what it was told."""
        frames = [frame("view", in_app=True), frame("pay", in_app=True), frame("send", in_app=False)]
        assert raised_in(frames) == frames[1]

    def test_is_the_last_of_all_where_none_is_its_own(self) -> None:
        """Some place is better than none."""
        frames = [frame("run", in_app=False), frame("send", in_app=False)]
        assert (raised_in(frames), raised_in([])) == (frames[1], None)


class TestNames:
    @pytest.mark.parametrize(
        ("kind", "name"),
        [
            (KeyError, "KeyError"),
            (ShopError, f"{__name__}.ShopError"),
            (ShopError.DeclinedError, f"{__name__}.ShopError.DeclinedError"),
        ],
    )
    def test_is_that_of_the_module_which_builtins_do_without(self, kind: type, name: str) -> None:
        """It can be looked for in the source."""
        assert qualified_name(kind) == name

    def test_a_module_that_is_no_text_is_unknown(self) -> None:
        """It would run code of its own when it is printed."""
        assert (module_of(UnnameableError), module_of(KeyError)) == ("?", "builtins")

    def test_a_digest_takes_any_text(self) -> None:
        """A name may hold what UTF-8 cannot."""
        assert digest(["\ud800"]) != digest(["\ud801"])
