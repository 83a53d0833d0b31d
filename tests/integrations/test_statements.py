"""What is told of a statement, and what never is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wideevents.integrations._statements import LONGEST, READ, shortened

SHORT = {
    "SELECT 1": "SELECT ?",
    "SELECT * FROM t WHERE a = 'it''s' AND b = 2": "SELECT * FROM t WHERE a = ? AND b = ?",
    "SELECT  a\n\tFROM t": "SELECT a FROM t",
    "SELECT a1, t2.c3 FROM t2": "SELECT a1, t2.c3 FROM t2",
    "WHERE a=-5 AND b = +1.5e-7 AND c < .5 AND d = 0x1F": "WHERE a=? AND b = ? AND c < ? AND d = ?",
    "SELECT a-1, (a)-2": "SELECT a-?, (a)-?",
    "LIMIT -1 OFFSET 1_000": "LIMIT ? OFFSET ?",
    "SELECT N'x', x'ff', U&'y', DATE '2026-01-01'": "SELECT ?, ?, ?, DATE ?",
    "SELECT name'x'": "SELECT name?",
}

LISTS = {
    "id IN (1, 2, 3)": "id IN (?)",
    "id in (?,?,?)": "id in (?)",
    "id IN ( 'a' , NULL, -1 )": "id IN (?)",
    "id IN(:a_1, :a_2)": "id IN (?)",
    "id IN (%s, %s)": "id IN (?)",
    "id IN (%(a)s::INTEGER, %(b)s::DOUBLE PRECISION)": "id IN (?)",
    "id IN ($1, $2)": "id IN (?)",
    "id IN (@a, @b)": "id IN (?)",
    "id IN (?1, ?2)": "id IN (?)",
    "id IN (SELECT a FROM b)": "id IN (SELECT a FROM b)",
    "f(1, 2)": "f(?, ?)",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y') RETURNING a": "INSERT INTO t (a, b) VALUES (?) RETURNING a",
    "INSERT INTO t VALUE (?, DEFAULT, TRUE, FALSE)": "INSERT INTO t VALUE (?)",
    "VALUES (now(), 1)": "VALUES (now(), ?)",
    "COIN (1, 2)": "COIN (?, ?)",
}

KEPT = [
    "WHERE a = ? AND b = %s AND c = :name AND d = $1 AND e = %(f)s AND g = @h AND i = ?2 AND j = :3",
    'SELECT "user"."id", "a b-c.d" FROM "t"',
    "SELECT `user`.`id 2`, `it``s` FROM `t`",
    "SELECT [order 2], [a].[b] FROM [dbo].[t]",
    "SELECT v$session FROM v$a$b",
]

COMMENTS = {
    "SELECT a /* it's */ FROM b": "SELECT a FROM b",
    "SELECT a -- it's\nFROM b": "SELECT a FROM b",
    "SELECT a # it's\nFROM b": "SELECT a FROM b",
    "SELECT a FROM b /*traceparent='00-0af7651916cd43dd8448eb211c80319c-01'*/": "SELECT a FROM b",
    "/* one */ SELECT /* two */ a": "SELECT a",
    "SELECT a /* no end": "SELECT a",
    "SELECT a #> '{b}'": "SELECT a #> ?",
    "SELECT '/*', a, '*/', '--', b": "SELECT ?, a, ?, ?, b",
}

STRINGS = {
    "SELECT 'no end": "SELECT ?",
    "SELECT ''": "SELECT ?",
    "SELECT 'a''''b', c": "SELECT ?, c",
    r"SELECT E'it\'s', c": "SELECT ?, c",
    r"SELECT e'a\\', c": "SELECT ?, c",
    r"SELECT 'a\\', c": "SELECT ?, c",
    r"SELECT 'a\b', c": "SELECT ?, c",
    "SELECT $$it's$$, c": "SELECT ?, c",
    "SELECT $a$ $b$ it's $a$, c": "SELECT ?, c",
    "SELECT $a$ no end": "SELECT ?",
    'SELECT "it\'s", c': "SELECT ?, c",
    'SELECT a FROM `t` WHERE b = "c"': "SELECT a FROM `t` WHERE b = ?",
    'SELECT "no end': "SELECT ?",
    'SELECT "a""b", c': "SELECT ?, c",
}

SECRET = "5up3r53cr37"

AMBIGUOUS = [
    rf"SELECT 'C:\', a, '{SECRET}', b",
    rf"SELECT 'it\'s {SECRET}', b",
    rf'SELECT "C:\", a, "{SECRET}", b',
    rf'SELECT "it\"s {SECRET}", b',
    rf"SELECT 'it\'{SECRET}",
]

HOSTILE = [
    "'", "$", "$a", "(", "IN (", "IN (?,", "/*", "\\'", "'\\", "[", "[a ", "1", "1.e+", "-", '"', "`", "VALUES (?),",
    "VALUES (1::a b", " ", ", ", "(-", "$a$b", "in,", "IN (1::a ", "%(", "E'\\", "#", "# ", "\n", "AND -",
]  # fmt: skip


class TestShortened:
    @pytest.mark.parametrize(("statement", "short"), {**SHORT, **LISTS, **COMMENTS, **STRINGS}.items())
    def test_has_no_values(self, statement: str, short: str) -> None:
        """Literals and lists are replaced, whatever dialect wrote them, and comments are gone."""
        assert shortened(statement) == short

    @pytest.mark.parametrize("statement", KEPT)
    def test_keeps_names_and_placeholders(self, statement: str) -> None:
        """Of every dialect: they say what was asked, and nothing of whom."""
        assert shortened(statement) == statement

    @pytest.mark.parametrize("statement", AMBIGUOUS)
    def test_leaves_out_what_dialects_read_differently(self, statement: str) -> None:
        """A backslash before a quote escapes it in MySQL alone; in doubt nothing is told."""
        assert SECRET not in shortened(statement)
        assert shortened(statement).startswith("SELECT ?")

    def test_is_the_same_for_any_number_of_rows(self) -> None:
        """Statements of one shape are counted together, also where they are too long to be read to their end."""
        shapes = {
            shortened("INSERT INTO t (a, b) VALUES " + ", ".join(f"(%(a__{n})s, 'x, {n}')" for n in range(rows)))
            for rows in (1, 2, 300, 3_000)
        }

        assert shapes == {"INSERT INTO t (a, b) VALUES (?)"}

    def test_is_the_same_for_any_number_of_items(self) -> None:
        """A list is as long as its caller has ids."""
        shapes = {shortened(f"SELECT a WHERE b IN ({', '.join('?' * n)}) LIMIT 5") for n in (1, 2, 300)}

        assert shapes == {"SELECT a WHERE b IN (?) LIMIT ?"}

    @pytest.mark.parametrize("item", ["?", "12345", "'a, b'", "%s", ":id_1", "%(id_1)s::INTEGER"])
    def test_tells_a_list_that_is_too_long_to_be_read_as_a_list(self, item: str) -> None:
        """Its end is not looked for."""
        told = {shortened(f"SELECT a WHERE b IN ({f', {blank}'.join([item] * 5_000)}) LIMIT 5") for blank in ("", " ")}

        assert told == {"SELECT a WHERE b IN (?)"}

    def test_is_bounded(self) -> None:
        """A statement is told by its beginning, and one without any space too."""
        assert shortened("SELECT " + "a, " * 5_000) == "SELECT " + ("a, " * 5_000)[: LONGEST - 10] + "..."
        assert len(shortened("a" * 100_000)) == LONGEST
        assert shortened("a" * LONGEST) == "a" * LONGEST

    def test_does_not_tell_a_string_that_is_cut(self) -> None:
        """It has no end in what is read."""
        assert shortened(f"SELECT '{SECRET * READ}'") == "SELECT"
        assert SECRET not in shortened(f"SELECT {'a, ' * 10}'{f'{SECRET}, ' * READ}'")

    @pytest.mark.parametrize(
        ("statement", "told"), [(b"SELECT 1", "SELECT ?"), (b"\xff 1", "\ufffd ?"), (None, "NoneType"), (7, "int")]
    )
    def test_takes_what_is_no_text(self, statement: object, told: str) -> None:
        """Bytes are read, and an object is told by its type: it may hold the values."""
        assert shortened(statement) == told

    def test_takes_text_of_a_class_of_its_own(self) -> None:
        """SQLAlchemy and Django have such; its own methods are not asked."""

        class Quoted(str):
            __slots__ = ()

            def __hash__(self) -> int:
                raise RuntimeError

            def __str__(self) -> str:
                raise RuntimeError

        assert shortened(Quoted("SELECT 1")) == "SELECT ?"

    @pytest.mark.parametrize("piece", HOSTILE)
    def test_takes_its_time_from_nobody(self, piece: str) -> None:
        """Whatever is repeated, it takes milliseconds, and not what a regular expression can take."""
        began = time.process_time()
        shortened(piece * (2 * READ // len(piece)))

        assert time.process_time() - began < 1.0

    @given(st.text(alphabet="'\"`$[]()\\-/*#%:?@,. \nEeaIN1", max_size=60))
    def test_never_raises(self, statement: str) -> None:
        """Whatever it is given, what it tells is one line without spaces around it."""
        told = shortened(statement)

        assert " ".join(told.split()) == told

    @given(
        st.lists(st.sampled_from(["SELECT", "a", "'b'", "1", "/*c*/", "$$d$$", '"e"', "`f`", "(", ")", ",", "-", "="])),
        st.sampled_from([f"'{SECRET}'", f"'it''s {SECRET}'", f"$${SECRET}$$", f"/* {SECRET} */", f"E'\\'{SECRET}'"]),
    )
    def test_tells_no_literal_wherever_it_stands(self, words: list[str], literal: str) -> None:
        """What stands before it does not matter."""
        assert SECRET not in shortened(" ".join([*words, literal, *words]))
