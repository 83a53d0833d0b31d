"""What the pytest plugin promises."""

from __future__ import annotations

import re

import pytest

import wideevents
from wideevents.testing import WideEvents

pytest_plugins = "pytester"


@pytest.fixture
def _quiet(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the inner run be a process of its own, which takes no options from the outer one."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.syspath_prepend(pytester.path)


def run(pytester: pytest.Pytester, code: str, *arguments: str) -> pytest.RunResult:
    """Run the tests in *code* by a pytest of their own."""
    pytester.makepyfile(test_shop=code)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


class TestHere:
    def test_it_catches_the_events_of_a_test(self, wide_events: WideEvents) -> None:
        """The fixture gives what `wideevents.testing.capture` gives."""
        with wideevents.event("job", user=42):
            assert wide_events.in_progress == ["job"]

        assert wide_events.one()["user"] == 42


@pytest.mark.usefixtures("_quiet")
class TestFixture:
    def test_it_catches_the_events_of_a_test(self, pytester: pytest.Pytester) -> None:
        """Installing the package is enough: nothing has to be configured, and nothing is printed."""
        code = """
            import wideevents

            def test_it(wide_events):
                with wideevents.event("job"):
                    wideevents.add_field("user.id", 42)
                assert 42 == wide_events.one()["user.id"]

            def test_the_next_one_begins_anew(wide_events):
                assert 0 == len(wide_events)
        """
        result = run(pytester, code, "-s")

        result.assert_outcomes(passed=2)
        assert '"event.name"' not in result.stdout.str()

    def test_a_failure_is_readable(self, pytester: pytest.Pytester) -> None:
        """It shows the events that there were, and no traceback through our files."""
        code = """
            import wideevents

            def test_it(wide_events):
                with wideevents.event("job", city="Århus"):
                    pass
                wide_events.one(city="Aarhus")
        """
        result = run(pytester, code)

        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            ["*AssertionError: expected one event with {'city': 'Aarhus'}, found 0; 1 written:", '*"city": "Århus"*']
        )

    def test_an_event_left_open_fails_the_test(self, pytester: pytest.Pytester) -> None:
        """The one that did it, and not the one after it."""
        code = """
            import wideevents

            def test_leaks(wide_events):
                wideevents.event("leaked").__enter__()

            def test_next(wide_events):
                assert wideevents.current() is None
        """
        result = run(pytester, code, "-v")

        assert result.ret == 1
        result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaks*", "*left open: leaked.*"])
        result.assert_outcomes(passed=2, errors=1)

    def test_a_field_outside_any_event_fails_the_test(self, pytester: pytest.Pytester) -> None:
        """In production it would silently be in no line."""
        code = """
            import wideevents

            def test_it(wide_events):
                wideevents.add_field("user.id", 42)
        """
        result = run(pytester, code)

        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(["*1 field(s) were added outside any event*"])

    def test_without_the_fixture_nothing_is_checked(self, pytester: pytest.Pytester) -> None:
        """Who does not ask for it is left alone."""
        code = """
            import wideevents

            def test_it():
                wideevents.add_field("user.id", 42)
        """
        run(pytester, code).assert_outcomes(passed=1)

    def test_a_failing_test_is_told_as_itself(self, pytester: pytest.Pytester) -> None:
        """What went wrong in the test stands first."""
        code = """
            def test_it(wide_events):
                assert 1 == 2
        """
        result = run(pytester, code)

        result.assert_outcomes(failed=1)

    def test_it_says_what_it_is(self, pytester: pytest.Pytester) -> None:
        """`pytest --fixtures` shows one line about it."""
        result = run(pytester, "", "--fixtures")

        result.stdout.fnmatch_lines(["wide_events*pytest_wideevents.py*", "*Catch the events of a test*"])


@pytest.mark.usefixtures("_quiet")
class TestParallel:
    def test_it_works_in_several_processes(self, pytester: pytest.Pytester) -> None:
        """pytest-xdist runs each test in some worker; each sees its own events only."""
        pytest.importorskip("xdist")
        code = """
            import pytest, wideevents

            @pytest.mark.parametrize("number", range(20))
            def test_it(wide_events, number):
                with wideevents.event("job", number=number):
                    pass
                assert number == wide_events.one()["number"]

            def test_leaks(wide_events):
                wideevents.event("leaked").__enter__()
        """
        result = run(pytester, code, "-n", "2")

        result.assert_outcomes(passed=21, errors=1)
        result.stdout.fnmatch_lines(["*left open: leaked.*"])


@pytest.mark.usefixtures("_quiet")
class TestImports:
    def test_nothing_of_ours_is_imported_before_the_fixture_is_used(self, pytester: pytest.Pytester) -> None:
        """Pytest loads plugins first: what they import is loaded before coverage of the user's package begins."""
        code = """
            import sys

            def ours():
                return sorted(name for name in sys.modules if name.partition(".")[0] == "wideevents")

            at_import = ours()

            def test_without():
                assert "pytest_wideevents" in sys.modules
                assert [] == at_import == ours()

            def test_with(wide_events):
                assert "wideevents.testing" in ours()
        """
        run(pytester, code).assert_outcomes(passed=2)

    def test_coverage_that_starts_with_the_session_is_complete(self, pytester: pytest.Pytester) -> None:
        """A package that imports ours is measured from its first line, by a plugin that starts as pytest-cov does."""
        pytester.makepyfile(
            shop="""
                import wideevents

                def buy():
                    with wideevents.event("buy"):
                        return True
            """,
            cov_like="""
                import coverage, pytest

                measured = coverage.Coverage(data_file=None, include=["*/shop.py", "*/wideevents/testing.py"])

                @pytest.hookimpl(tryfirst=True)
                def pytest_load_initial_conftests():
                    measured.start()

                def pytest_sessionfinish():
                    measured.stop()
                    for file in sorted(measured.get_data().measured_files()):
                        _, _, _, missing, _ = measured.analysis2(file)
                        print("\\nmissing", file.rpartition("/")[2], missing)
            """,
        )
        code = """
            import shop

            def test_it(wide_events):
                assert shop.buy()
                assert wide_events.one()
        """
        result = run(pytester, code, "-p", "cov_like", "-s")

        result.assert_outcomes(passed=1)
        assert "missing shop.py []" in result.outlines
        (ours,) = [line for line in result.outlines if line.startswith("missing testing.py")]
        assert not {"1", "3", "5"} & set(re.findall(r"\d+", ours)), ours
