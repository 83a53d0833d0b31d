"""What the owners room promises."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from wideevents.errors import ConfigurationError
from wideevents.frames import Frame
from wideevents.owners import Files, Owners, Place, places

RULES = """
# The last pattern that matches counts.
*                   @acme/platform
/shop/              @acme/shop @ann
/shop/payments.py   pay@example.org
/shop/free.py
*.sql               @dora
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository that knows its owners."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "CODEOWNERS").write_text(RULES)
    (tmp_path / "shop" / "deep").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def shop() -> Iterator[ModuleType]:
    """Make a package `theshop` with a module `theshop.pay`; only the package has an owner."""
    package, module = ModuleType("theshop"), ModuleType("theshop.pay")
    package.__owner__, package.__runbook__ = "shop", "https://wiki.example/shop"  # type: ignore[attr-defined]
    sys.modules.update({"theshop": package, "theshop.pay": module})
    yield module
    del sys.modules["theshop"], sys.modules["theshop.pay"]


def frame(module: str, path: str, *, in_app: bool = True) -> Frame:
    return Frame(module, "charge", path, 7, in_app)


class TestFiles:
    @pytest.mark.parametrize(
        ("path", "owner"),
        [
            ("setup.py", "platform"),
            ("shop/cart.py", "shop"),
            ("shop/deep/down.py", "shop"),
            ("shop/payments.py", "pay@example.org"),
            ("shop/free.py", None),
            ("shop/schema.sql", "dora"),
        ],
    )
    def test_the_last_pattern_that_matches_says_whose_it_is(
        self, repository: Path, path: str, owner: str | None
    ) -> None:
        """As hosts of repositories read the file: a team is called by its name, and of several the first counts."""
        files = Files.found(None, repository / "shop")

        assert files is not None
        assert [files.owner(str(repository / path)) for _ in range(2)] == [owner, owner]

    def test_a_file_elsewhere_is_nobodys(self, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        """An installed package is not in the repository, whatever "*" says."""
        files = Files.found(None, repository)

        assert files is not None
        assert files.owner(str(tmp_path_factory.mktemp("elsewhere") / "shop" / "cart.py")) is None
        assert files.owner(f"{repository}-beside/shop/cart.py") is None
        assert files.owner("<string>") is None

    def test_a_repository_without_the_file_has_no_owners(self, tmp_path: Path) -> None:
        """One that stands above it, of somebody else, is not asked."""
        (tmp_path / "CODEOWNERS").write_text("* @above")
        (tmp_path / "inner" / ".git").mkdir(parents=True)

        assert Files.found(None, tmp_path / "inner") is None
        assert Files.found(None, Path("/")) is None

    @pytest.mark.parametrize("place", ["CODEOWNERS", "docs/CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS"])
    def test_a_path_that_is_given_stands_for_the_repository_it_is_in(self, tmp_path: Path, place: str) -> None:
        """Its patterns are of files beside it, or beside the folder that hosts know."""
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("/shop/ @acme/shop")
        files = Files.found(tmp_path / place, Path("/"))

        assert files is not None
        assert files.owner(str(tmp_path / "shop" / "cart.py")) == "shop"

    def test_what_cannot_be_read_is_refused(self, tmp_path: Path) -> None:
        """In a sentence that names the file: somebody relies on it to be called."""
        (tmp_path / "CODEOWNERS").write_text("shop/[a @acme/shop")
        for path in (tmp_path / "CODEOWNERS", tmp_path / "missing", tmp_path):
            with pytest.raises(ConfigurationError, match=f"The owners in '{path}' cannot be read"):
                Files.found(path, tmp_path)

    def test_a_link_to_the_repository_is_the_repository(self, repository: Path, tmp_path: Path) -> None:
        """A release is often a link to a folder with a date in its name."""
        link = tmp_path / "current"
        link.symlink_to(repository)
        files = Files.found(None, link)

        assert files is not None
        assert files.owner(str(repository / "shop" / "cart.py")) == "shop"


class TestTeam:
    def test_the_route_goes_before_the_code(self, shop: ModuleType) -> None:
        """Whoever writes an owner beside a route means it."""
        owners = Owners({"/pay": "payments"}, default="platform")

        assert owners.team(["/pay", "POST /pay"], [Place("theshop.pay", "")]) == "payments"

    def test_the_name_of_an_event_will_do(self) -> None:
        """A job has no route."""
        assert Owners({"report.nightly": "data"}).team(["report.nightly"], []) == "data"

    def test_a_module_says_whose_it_is_and_a_package_for_all_in_it(self, shop: ModuleType) -> None:
        """The nearest one counts."""
        before = Owners().team([], [Place("theshop.pay", "")])
        shop.__owner__ = "payments"  # type: ignore[attr-defined]

        assert (before, Owners().team([], [Place("theshop.pay", "")])) == ("shop", "payments")

    def test_what_is_no_text_says_nothing(self, shop: ModuleType) -> None:
        """A module may use the name for something else."""
        sys.modules["theshop"].__owner__ = ["shop"]  # type: ignore[attr-defined]
        shop.__owner__ = ""  # type: ignore[attr-defined]

        assert Owners(default="platform").team([], [Place("theshop.pay", "")]) == "platform"

    def test_the_code_that_broke_goes_before_what_called_it(self, shop: ModuleType) -> None:
        """The first place is the innermost."""
        sys.modules["theshop.cart"] = cart = ModuleType("theshop.cart")
        cart.__owner__, shop.__owner__ = "carts", "payments"  # type: ignore[attr-defined]
        try:
            team = Owners().team([], [Place("theshop.pay", ""), Place("theshop.cart", "")])
        finally:
            del sys.modules["theshop.cart"]

        assert team == "payments"

    def test_modules_go_before_files(self, shop: ModuleType, repository: Path) -> None:
        """A file is what is asked last, and of several the innermost one."""
        files = Files.found(None, repository)
        inner, outer = str(repository / "shop" / "payments.py"), str(repository / "setup.py")
        owners = Owners(files=files, default="nobody")

        assert owners.team([], [Place("unknown", inner), Place("theshop.pay", outer)]) == "shop"
        assert owners.team([], [Place("unknown", inner), Place("setup", outer)]) == "pay@example.org"
        assert owners.team([], [Place("unknown", str(repository / "shop" / "free.py"))]) == "nobody"

    def test_what_nobody_owns_has_no_team(self) -> None:
        """There is none to invent."""
        assert Owners().team(["/pay"], [Place("unknown.module", "")]) is None

    def test_a_script_speaks_for_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its module is `__main__`, whatever it would be called if it were imported."""
        monkeypatch.setattr(sys.modules["__main__"], "__owner__", "scripts", raising=False)

        assert Owners().team([], [Place("nightly", "nightly.py")]) == "scripts"


class TestRunbook:
    @pytest.mark.parametrize(
        ("known", "runbook"),
        [
            (("slug", "/pay", "payments"), "https://slug"),
            (("/pay", "payments"), "https:///pay"),
            (("payments",), "https://wiki.example/shop"),
        ],
    )
    def test_the_nearest_one_counts(self, shop: ModuleType, known: tuple[str, ...], runbook: str) -> None:
        """That of the error, of the route, of the code, of the team."""
        owners = Owners(runbooks={name: f"https://{name}" for name in known})

        assert owners.runbook(["slug", "/pay"], [Place("theshop.pay", "")], "payments") == runbook

    def test_a_team_has_one_for_all_that_has_none(self) -> None:
        """The last resort is a page of the team's."""
        owners = Owners(runbooks={"payments": "https://payments"})

        assert owners.runbook(["/pay"], [], "payments") == "https://payments"
        assert owners.runbook(["/pay"], [], None) is None


def handle() -> None:
    """Serve something."""


class Handler:
    """Serve something, as an object."""

    def __call__(self) -> None:
        """Serve."""


class TestPlaces:
    def test_the_innermost_code_of_the_application_comes_first(self) -> None:
        """And each place once; libraries have no say."""
        lib, outer, inner = frame("lib", "lib.py", in_app=False), frame("a", "a.py"), frame("b", "b.py")

        assert places([outer, lib, outer, inner], None) == [Place("b", "b.py"), Place("a", "a.py")]

    @pytest.mark.parametrize(
        "handler", [handle, functools.wraps(handle)(lambda: None), Handler.__call__, Handler().__call__]
    )
    def test_a_handler_stands_where_it_was_written(self, handler: object) -> None:
        """Behind its decorators."""
        assert places([frame("a", "a.py")], handler) == [Place("a", "a.py"), Place(__name__, __file__)]

    @pytest.mark.parametrize("handler", [Handler, Handler()])
    def test_a_class_stands_in_its_module(self, handler: object) -> None:
        """As views of some frameworks are."""
        assert places([], handler) == [Place(__name__, __file__)]

    @pytest.mark.parametrize("handler", [7, "text", functools.partial(print)])
    def test_what_stands_nowhere_gives_what_is_known(self, handler: object) -> None:
        """It may be anything that a framework calls."""
        assert [place.path for place in places([], handler)] in ([], [""], [functools.__file__])
