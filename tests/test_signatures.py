"""What the signatures room promises."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import FakeClock
from wideevents.errors import ConfigurationError
from wideevents.signatures import LONGEST, SECRET, Signer

OLD, NEW = "the secret of last year", "the secret of this year"
SIGNER = Signer((NEW, OLD))


@pytest.fixture
def signer(clock: FakeClock) -> Signer:
    """Give one that signs with a secret, at a time that is known."""
    return Signer((NEW,), clock.now)


def changed(value: str) -> list[str]:
    """Return *value* with each of its characters changed, left out, or doubled."""
    places = range(len(value))
    other = [value[:at] + ("1" if value[at] != "1" else "2") + value[at + 1 :] for at in places]
    shorter = [value[:at] + value[at + 1 :] for at in places]
    return [*other, *shorter, *(value[:at] + value[at] + value[at:] for at in places)]


class TestSigner:
    def test_accepts_what_it_signed(self, signer: Signer) -> None:
        """Any process that has the secret does."""
        assert [each.accepts(signer.sign(900)) for each in (signer, Signer((NEW,), signer.clock))] == [True, True]

    def test_a_signature_ends(self, signer: Signer, clock: FakeClock) -> None:
        """It is good for as long as it was asked for, to a second."""
        value = signer.sign(900)
        clock.advance(899)
        before = signer.accepts(value)
        clock.advance(2)

        assert (before, signer.accepts(value)) == (True, False)

    def test_a_signature_is_the_end_and_its_hmac(self, signer: Signer) -> None:
        """So that anything can sign that has the secret."""
        expected = hmac.new(NEW.encode(), b"wideevents.keep 1767323046", hashlib.sha256).hexdigest()

        assert signer.sign(0.1) == f"1767323046.{expected}"

    def test_another_secret_signs_nothing_here(self, signer: Signer) -> None:
        """Who does not know it can ask for nothing."""
        assert signer.accepts(Signer((OLD,), signer.clock).sign(900)) is False

    def test_a_changed_signature_is_none(self, signer: Signer) -> None:
        """Not by one character, wherever it stands: a later end least of all."""
        value = signer.sign(900)

        assert [each for each in changed(value) if each != value and signer.accepts(each)] == []

    def test_a_secret_can_be_changed_without_a_gap(self, signer: Signer) -> None:
        """The first of several signs, and all are good."""
        both = Signer((NEW, OLD), signer.clock)

        assert (both.sign(60), both.accepts(Signer((OLD,), signer.clock).sign(60))) == (signer.sign(60), True)

    @pytest.mark.parametrize(
        "value",
        [
            None,
            b"1.a",
            7,
            "",
            ".",
            "1767329999",
            "1767329999.",
            f"1767329999.{'0' * 64}",
            f"-1.{'0' * 64}",
            f"+1767329999.{'0' * 64}",
            f"1e9.{'0' * 64}",
            f"{'9' * 400}.{'0' * 64}",
            f"{'9' * 5_000}.{'0' * 64}",
            f"\u0661\u0662.{'0' * 64}",
            "1767329999." + "\uff10" * 64,
            "\x00" * 80,
            "\ud800" * 76,
            "9" * 1_000_000,
        ],
        ids=range(18),
    )
    def test_nothing_that_is_sent_raises(self, signer: Signer, value: object) -> None:
        """Anybody may send anything."""
        assert signer.accepts(value) is False

    @given(st.text() | st.from_regex(r"[0-9]{1,14}\.[0-9a-f]{60,66}", fullmatch=True))
    def test_nothing_is_accepted_by_chance(self, value: str) -> None:
        """A generated text is no signature."""
        assert SIGNER.accepts(value) is False

    @pytest.mark.parametrize("end", ["\n", " ", "\r", ", 1"])
    def test_nothing_may_follow(self, signer: Signer, end: str) -> None:
        """Two headers that were joined are none."""
        assert signer.accepts(signer.sign(60) + end) is False

    @pytest.mark.parametrize("seconds", [0, -1, LONGEST + 1, float("nan"), float("inf")])
    def test_signs_for_a_week_at_most(self, signer: Signer, seconds: float) -> None:
        """Who reads a signature in a log can use it."""
        with pytest.raises(ConfigurationError, match=r"seconds=.* must be a number above 0 of at most 604800, a week"):
            signer.sign(seconds)

    def test_signs_for_a_whole_week(self, signer: Signer) -> None:
        """The bound itself is allowed."""
        assert signer.accepts(signer.sign(LONGEST))

    def test_takes_the_time_from_the_process(self) -> None:
        """Where no clock is given it is the system's."""
        assert SIGNER.accepts(SIGNER.sign(60))

    def test_takes_a_secret_of_any_characters(self) -> None:
        """Also of bytes that were no text in the environment."""
        odd = Signer(("gr\u00fc\u00dfe \ud800\udcff an alle",))

        assert odd.accepts(odd.sign(60))

    def test_does_not_show_its_secrets(self) -> None:
        """A repr ends up in a log."""
        assert "secret of" not in repr(SIGNER)


class TestSecrets:
    @pytest.mark.parametrize("secret", ["short", "x" * 15, " " * 40, b"0123456789abcdef", 7, (NEW, ""), {NEW: OLD}])
    def test_refuses_what_is_easily_found(self, secret: Any) -> None:
        """In a sentence that does not tell it."""
        with pytest.raises(ConfigurationError, match=r"^secret cannot be used: .* at least 16 characters") as refused:
            Signer.of(secret, {})
        assert repr(secret) not in str(refused.value)

    def test_refuses_its_own_in_the_same_way(self) -> None:
        """However it is made."""
        with pytest.raises(ConfigurationError, match=r"^secrets cannot be used"):
            Signer(("short",))

    @pytest.mark.parametrize("secret", [NEW, (NEW,), [NEW]])
    def test_takes_one_or_several(self, secret: Any) -> None:
        """One needs no tuple around it."""
        signer = Signer.of(secret, {})

        assert signer is not None
        assert signer.secrets == (NEW,)

    def test_takes_them_from_the_environment(self) -> None:
        """Apart by blanks; what is given in code goes before it."""
        environ = {SECRET: "0123456789abcdef  fedcba9876543210"}
        found = [Signer.of(given, environ) for given in (None, NEW)]

        assert [each and each.secrets for each in found] == [("0123456789abcdef", "fedcba9876543210"), (NEW,)]

    def test_refuses_those_of_the_environment_by_its_name(self) -> None:
        """Who reads the sentence knows where to look."""
        with pytest.raises(ConfigurationError, match=r"^WIDEEVENTS_KEEP_SECRET cannot be used"):
            Signer.of(None, {SECRET: "short"})

    @pytest.mark.parametrize(("secret", "environ"), [(None, {}), (None, {SECRET: " "}), ((), {SECRET: NEW})])
    def test_without_one_there_is_no_signer(self, secret: Any, environ: dict[str, str]) -> None:
        """An empty tuple says that there is none, whatever the environment has."""
        assert Signer.of(secret, environ) is None
