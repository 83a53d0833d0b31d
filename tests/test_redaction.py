"""Check what is hidden and, as much, what is not."""

from __future__ import annotations

import copy
import pickle
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.redaction_corpus import KEYS_THAT_GO, KEYS_THAT_STAY, VALUES_THAT_GO, VALUES_THAT_STAY
from wideevents.errors import ConfigurationError
from wideevents.redaction import MARKER, Redaction, without

BUILT_IN = Redaction()
NEIGHBOURS = st.sampled_from(list(" \n\t-.,;:!?/|+*#~^%$@'\"`()[]{}<>=&\\\x00\u2028é\ud800"))
# Each would be slow, were its pattern to look at the rest of the text again from every place where it could begin.
REPEATED = [
    *(
        "eyJ",
        "-eyJaaaaaaaa",
        "://",
        "://a:",
        "://:",
        "://a:b@",
        "4",
        "4111 ",
        "-----BEGIN",
        "-----BEGIN PRIVATE KEY-----",
    ),
    *("bearer ", "bearer -", "basic ", "a:", "a=", "token=", "='", '"a":"', "token:[", ": a", "-sk-a", "SG.", "xoxb-"),
    *(
        '=\\"',
        "token='\\",
        "password=None ",
        "[redacted]",
        "card 4111111111111112 ",
        "%",
        "a.",
        "ya29.a",
        ":12345678:A",
    ),
]
SHAPES = [value for value in VALUES_THAT_GO if re.fullmatch(r"«[^«»\s]{16,}»|.*[^\w«]«(?:gh|sk|xo|ey)\w+.*", value)]


def shown(value: str) -> str:
    return re.sub("«.*?»", MARKER, value, flags=re.DOTALL)


def sent(value: str) -> str:
    return value.replace("«", "").replace("»", "")


def seconds_for(text: str) -> float:
    start = time.process_time()
    BUILT_IN.text(text)
    return time.process_time() - start


class TestCorpus:
    """Two hundred different ones each way are a promise of the project."""

    @pytest.mark.parametrize("entries", [KEYS_THAT_GO, KEYS_THAT_STAY, VALUES_THAT_GO, VALUES_THAT_STAY])
    def test_holds_two_hundred_of_each(self, entries: list[str]) -> None:
        assert (len(entries) >= 200, len(set(entries))) == (True, len(entries))


class TestKeys:
    """A key is judged by the words it ends in."""

    @pytest.mark.parametrize("key", KEYS_THAT_GO)
    def test_hides_a_secret_name(self, key: str) -> None:
        assert BUILT_IN.hides(key) is True

    @pytest.mark.parametrize("key", KEYS_THAT_STAY)
    def test_shows_any_other_name(self, key: str) -> None:
        assert BUILT_IN.hides(key) is False

    @pytest.mark.parametrize(
        "key", ["internalCode", "internal_code", "X-Internal-Code", "internalcode", "internal_codes"]
    )
    def test_takes_more_names_in_any_style(self, key: str) -> None:
        """One entry in one style covers all of them."""
        assert (Redaction(keys=("internalCode",)).hides(key), BUILT_IN.hides(key)) == (True, False)

    def test_a_name_is_no_pattern(self) -> None:
        """What is given as a name cannot hide everything."""
        assert Redaction(keys=("a.*",)).hides("abc") is False

    @pytest.mark.parametrize(
        ("key", "expected"),
        [("page.nextToken", False), ("page.next_token", False), ("next_token", True), ("my.page.next_token", True)],
    )
    def test_a_safe_key_is_the_whole_key(self, key: str, expected: bool) -> None:
        """Declaring one key safe does not open its namesakes."""
        assert Redaction(safe=("page.next_token",)).hides(key) is expected

    @given(st.text(alphabet=st.characters(categories=None)))
    def test_any_key_gets_a_verdict(self, key: str) -> None:
        """No key breaks the work, lone surrogates included."""
        assert BUILT_IN.hides(key) in {True, False}


class TestText:
    """A secret goes wherever it stands, and nothing else does."""

    @pytest.mark.parametrize("value", VALUES_THAT_GO)
    def test_hides_the_secret_and_keeps_the_rest(self, value: str) -> None:
        assert BUILT_IN.text(sent(value)) == shown(value)

    @pytest.mark.parametrize("value", VALUES_THAT_STAY)
    def test_returns_clean_text_itself(self, value: str) -> None:
        assert BUILT_IN.text(value) is value

    @given(st.sampled_from(SHAPES), st.sampled_from(VALUES_THAT_STAY), NEIGHBOURS, NEIGHBOURS, st.integers(0, 200))
    def test_finds_a_secret_inside_any_text(self, value: str, around: str, left: str, right: str, place: int) -> None:
        """Neither what surrounds a secret nor the quick look ahead of the patterns lets one through."""
        secret = re.findall("«(.*?)»", value, re.DOTALL)[0]
        text = f"{around[:place]} {left}{secret}{right} {around[place:]}"
        assert secret not in BUILT_IN.text(text)

    @given(st.lists(st.one_of(st.sampled_from([sent(v) for v in VALUES_THAT_GO]), st.text(max_size=9)), max_size=4))
    def test_a_second_time_changes_nothing(self, parts: list[str]) -> None:
        """A text that is redacted by a stage and by a sink reads the same."""
        once = BUILT_IN.text("".join(parts))
        assert BUILT_IN.text(once) == once

    @given(st.text(alphabet=st.characters(categories=None)))
    def test_never_raises(self, text: str) -> None:
        """Any text goes through, lone surrogates included."""
        assert isinstance(BUILT_IN.text(text), str)

    @given(st.text(alphabet="eyJ.:/@=\"'\\ -4 1[]{}aB%bearer", max_size=120))
    def test_a_second_time_changes_nothing_near_the_patterns(self, text: str) -> None:
        """Also for texts that are made of what the patterns look for."""
        once = BUILT_IN.text(text)
        assert BUILT_IN.text(once) == once

    def test_what_a_mark_uncovers_goes_too(self) -> None:
        """A card that only a secret beside it disguised is found in the same call."""
        redaction = Redaction(values=("ticket",))
        assert redaction.text("ticket4111111111111111") == MARKER

    @pytest.mark.parametrize("piece", REPEATED)
    def test_time_grows_with_the_length_and_no_faster(self, piece: str) -> None:
        """
        Sixteen times the text may take forty times as long, where a quadratic search would take 256 times.

        That one would take them in every attempt; a machine that is held up for a moment is not held up in all.
        """
        short, long = (piece * (length // len(piece)) for length in (12_500, 200_000))
        assert any(seconds_for(long) < 0.05 + 40 * seconds_for(short) for _ in range(5))


class TestParts:
    """A text is cut to fit its line; half a secret is still a secret, and no longer looks like one."""

    JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    @pytest.mark.parametrize("shift", range(0, 90, 7))
    def test_the_head_ends_with_a_word(self, shift: int) -> None:
        """Wherever the cut would fall, nothing of a token is left."""
        shown = Redaction().head("m" * shift + f" {self.JWT}" * 50, 1_000)

        assert set(shown.replace("[redacted]", "").split()) <= {"m" * shift}

    @pytest.mark.parametrize("shift", range(0, 90, 7))
    def test_the_end_begins_with_a_line(self, shift: int) -> None:
        """So does that of a stack, of which the end is kept."""
        shown = Redaction().end(f"{self.JWT}\n" * 50 + "m" * shift, 1_000)

        assert set(shown.replace("[redacted]", "").split()) <= {"m" * shift}

    @pytest.mark.parametrize("text", ["", "a", "a b", "\n" * 10, " " * 5 + "a" * 5, "a" * 10, "a" * 5 + " " * 5])
    def test_what_is_short_enough_stays(self, text: str) -> None:
        """Both ways."""
        assert (Redaction().head(text, 10), Redaction().end(text, 10)) == (text, text)

    @pytest.mark.parametrize("text", ["a" * 50, "a " + "b" * 50, "\n" * 50, "b" * 50 + "\na", " " * 50])
    def test_a_word_that_takes_half_of_it_is_cut(self, text: str) -> None:
        """Else nearly nothing would be left of a text without spaces."""
        assert Redaction().head(text, 20) == text[:20]

    @pytest.mark.parametrize("text", ["a" * 50, "b" * 50 + "\na", "b" * 50 + "\n" + "a" * 5])
    def test_a_line_that_takes_half_of_it_is_cut(self, text: str) -> None:
        """The end of one long line says something, too."""
        assert Redaction().end(text, 20) == text[-20:]


class TestOwnPatterns:
    """What a team calls secret is treated as ours is."""

    def test_hides_the_whole_match(self) -> None:
        assert Redaction(values=(r"acme-\d+",)).text("id acme-42 ok") == f"id {MARKER} ok"

    def test_hides_only_the_group_named_secret(self) -> None:
        """The rest of the match is context that says what stood there."""
        redaction = Redaction(values=(r"badge (?P<secret>\d+)|door \d+",))
        assert redaction.text("badge 77 at door 3") == f"badge {MARKER} at door 3"

    def test_a_pattern_cannot_match_into_a_marker(self) -> None:
        """Otherwise each round would mark the marker of the round before."""
        assert Redaction(values=(r"\w+",)).text("a b") == f"{MARKER} {MARKER}"

    def test_matches_without_length_hide_nothing(self) -> None:
        text = "two words"
        assert Redaction(values=(r"\b",)).text(text) is text

    def test_names_and_safe_keys_hold_in_text(self) -> None:
        """A pair in a message is judged by the same names as a field."""
        redaction = Redaction(keys=("badge",), safe=("page.token",))
        assert redaction.text("badge=7 page.token=8 token=9") == f"badge={MARKER} page.token=8 token={MARKER}"


class TestQuery:
    """A query string keeps its shape without its secrets."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("a=1&token=x;b=2", f"a=1&token={MARKER};b=2"),
            ("pass%77ord=x&page=2", f"pass%77ord={MARKER}&page=2"),
            ("pass%2577ord=x", f"pass%2577ord={MARKER}"),
            ("user%5Bpassword%5D=x", f"user%5Bpassword%5D={MARKER}"),
            ("token=a&token=b", f"token={MARKER}&token={MARKER}"),
            ("password=a;b&c=1", f"password={MARKER}&c=1"),
            ("api+key=x", f"api+key={MARKER}"),
            ("?secret=x=y", f"?secret={MARKER}"),
            ("sig=abc&sid=7", f"sig={MARKER}&sid={MARKER}"),
            ("card=4111+1111+1111+1111&n=1", f"card={MARKER}&n=1"),
            ("next=%2Fa%3Ftoken%3Dabc", f"next=/a?token={MARKER}".replace("?", "%3F")),
            ("next=%2Fa%3Fb%3D%252Fc%253Ftoken%253Dabc", f"next=/a%3Fb=/c%3Ftoken={MARKER}"),
            ("u=postgres%3A%2F%2Fa%3Apw%40h", f"u=postgres://a:{MARKER}@h"),
            ("q=Bearer+abc12345", f"q=Bearer+{MARKER}"),
            ("ey" + "JhbGciOiJIUzI1NiJ9.e30.c2ln", MARKER),
            ("q=\ud800+Bearer+abc12345", f"q=%3F+Bearer+{MARKER}"),
        ],
    )
    def test_hides_what_is_secret(self, query: str, expected: str) -> None:
        assert BUILT_IN.query(query) == expected

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "a",
            "=",
            "&&;;",
            "token=",
            "token",
            "a=1&b=2;c=3",
            "q=%zz%",
            "max_tokens=5",
            "q=a+b%20c",
            f"token={MARKER}",
        ],
    )
    def test_returns_a_clean_query_itself(self, query: str) -> None:
        assert BUILT_IN.query(query) is query

    @given(st.text(alphabet=st.characters(categories=None)))
    def test_never_raises(self, query: str) -> None:
        assert isinstance(BUILT_IN.query(query), str)


class TestQueryMemory:
    def test_what_was_clean_once_is_the_same_object_again(self) -> None:
        """A query that comes again costs one look-up."""
        redaction = Redaction()
        query = "page=2&sort=price"

        assert [redaction.query(query) is query for _ in range(2)] == [True, True]

    def test_is_bounded_and_stays_right(self) -> None:
        """A service whose every query is new pays for its scans, and not with memory."""
        redaction = Redaction()
        for number in range(5_000):
            redaction.query(f"page={number}")

        assert len(redaction._queries) < 5_000
        assert redaction.query("page=1&token=x") == f"page=1&token={MARKER}"
        assert redaction.query("page=1") == "page=1"


class TestPath:
    """A secret in a path is known by its parameter's name."""

    @pytest.mark.parametrize(
        ("path", "parameters", "expected"),
        [
            ("/reset/abc", {"token": "abc"}, f"/reset/{MARKER}"),
            ("/reset/abc/abc", {"token": "abc"}, f"/reset/{MARKER}/{MARKER}"),
            ("/abcd/abc", {"resetToken": "abc"}, f"/abcd/{MARKER}"),
            ("/reset/a%20b", {"token": "a b"}, f"/reset/{MARKER}"),
            ("/reset/a b", {"token": "a%20b"}, f"/reset/{MARKER}"),
            ("/files/x/y/get", {"token": "x/y"}, f"/files/{MARKER}/get"),
            ("/files/x%2Fy/get", {"token": "x/y"}, f"/files/{MARKER}/get"),
            ("/reset-abc.html", {"token": "abc"}, f"/reset-{MARKER}.html"),
            ("/pin/007", {"pin_code": 7}, f"/pin/{MARKER}"),
            ("/k/AB-CD", {"api_key": "ab-cd"}, f"/k/{MARKER}"),
            ("/u/42/abc", {"user": 42, "token": "abc"}, f"/u/42/{MARKER}"),
            ("/u/42", {"user": 42}, "/u/42"),
            ("//x", {"token": ""}, "//x"),
            ("/x", {"token": None}, "/x"),
            ("/x", {"token": "\ud800"}, "/x"),
        ],
    )
    def test_masks_the_values_of_secret_parameters(
        self, path: str, parameters: dict[str, object], expected: str
    ) -> None:
        assert BUILT_IN.path(path, parameters) == expected


class TestSettings:
    """A wrong setting fails where it is given."""

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("keys", "password"),
            ("keys", (1,)),
            ("keys", ("",)),
            ("keys", ("--",)),
            ("keys", None),
            ("safe", "password"),
            ("safe", (" ",)),
            ("values", "secret"),
            ("values", (b"x",)),
            ("values", ("(",)),
            ("values", ("",)),
            ("values", ("a*",)),
        ],
    )
    def test_names_the_setting_and_what_is_allowed(self, setting: str, value: object) -> None:
        with pytest.raises(ConfigurationError, match=rf"^redact\.{setting}=.* cannot be used: it must be .+\.$"):
            Redaction(**{setting: value})  # type: ignore[arg-type]

    def test_keeps_lists_as_tuples(self) -> None:
        redaction = Redaction(keys=["a"], values=["b"], safe=["c"])  # type: ignore[arg-type]
        assert (redaction.keys, redaction.values, redaction.safe) == (("a",), ("b",), ("c",))

    def test_compares_and_travels_by_its_settings(self) -> None:
        """It is a value: two that were built alike are equal, also on the other side of a process."""
        redaction = Redaction(keys=("a",), values=("b+",))
        assert pickle.loads(pickle.dumps(redaction)) == copy.deepcopy(redaction) == Redaction(("a",), ("b+",))


class TestWithout:
    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("a b c", f"{MARKER} {MARKER} c"),
            (["a", {"a": "b"}, 7], [MARKER, {"a": MARKER}, 7]),
            (None, None),
            (1.5, 1.5),
        ],
    )
    def test_every_one_of_the_texts_is_hidden(self, value: Any, shown: Any) -> None:
        """However deep they stand; a key is a name, and no secret."""
        assert without(value, ("a", "b")) == shown


class TestRoutes:
    def test_parameters_are_judged_once_for_each_route(self) -> None:
        """Their names are those of the route; however many routes there are, so many are remembered."""
        redaction = Redaction()
        first = redaction.hides_any("/reset/<token>", {"token": "abc"})
        for number in range(5_000):
            redaction.hides_any(f"/{number}/<id>", {"id": number})

        assert (first, redaction.hides_any("/reset/<token>", {"token": "abc"})) == (True, True)
        assert len(redaction._routes) <= 4_096
        assert not redaction.hides_any("/7/<id>", {"id": 7})
