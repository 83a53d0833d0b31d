"""What the fields room promises."""

from __future__ import annotations

import pytest

from wideevents import fields
from wideevents.fields import FIELDS, NAMES, RESERVED, SHARED, USER_FIELDS, Status, ancestors, reserved


class TestTable:
    def test_names_each_field_once(self) -> None:
        """A field has one type, so it has one row."""
        names = [field.name for field in FIELDS]
        assert sorted(names) == sorted(set(names))

    def test_tells_of_each_field_what_it_holds(self) -> None:
        """A row has a name without spaces, a type that JSON knows, a status and a note."""
        for field in FIELDS:
            assert field.name == field.name.strip().lower()
            assert field.type in {str, int, float, bool, list}
            assert field.status in Status
            assert field.note == field.note.strip() != ""

    def test_has_no_scalar_beside_its_own_branches(self) -> None:
        """What we refuse a user we do not do ourselves: no field `a` beside `a.b`."""
        above = {branch for name in NAMES for branch in ancestors(name)}
        assert above & NAMES == set()

    def test_names_the_unit_of_what_has_one(self) -> None:
        """Milliseconds and seconds are floats, sizes in bytes are integers."""
        for field in FIELDS:
            if field.name.endswith(("_ms", "_s")):
                assert field.type is float, field
            if field.name.endswith(".size"):
                assert field.type is int, field

    def test_shares_what_the_user_knows_better(self) -> None:
        """`timer("db")` is how the fields of the database come about; and whom one event calls is said in its code."""
        timed = {f"{name}.{each}" for name in ("db", "http.client") for each in ("count", "duration_ms")}
        shared = {"alert.runbook", "message", "owner.team"} | timed

        assert NAMES - RESERVED == SHARED.keys() == shared

    def test_leaves_the_message_of_an_event_to_the_user(self) -> None:
        """It is ours on log lines only, as text: `add_field("message", ...)` is what many will write."""
        assert not reserved("message")
        assert {str, type(None)} == SHARED["message"]

    def test_does_not_change(self) -> None:
        """The table is what the line promises: nothing alters it while the process runs."""
        with pytest.raises(AttributeError):
            FIELDS[0].name = "other"  # type: ignore[misc]


class TestAncestors:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [("a", []), ("a.b", ["a"]), ("a.b.c", ["a", "a.b"]), ("", []), (".", [""]), ("a..b", ["a", "a."])],
    )
    def test_are_the_dotted_prefixes_shortest_first(self, name: str, expected: list[str]) -> None:
        """A name stands under every prefix that ends before a dot."""
        assert ancestors(name) == expected


class TestReserved:
    @pytest.mark.parametrize("name", sorted(RESERVED))
    def test_holds_every_name_of_ours(self, name: str) -> None:
        """A default field, and what would stand under it, is ours."""
        assert (reserved(name), reserved(f"{name}.x"), reserved(f"{name}.x.y")) == (True, True, True)

    @pytest.mark.parametrize("name", ["db.count", "db.count.x", "db", "http", "levels", "http.routes", "x.level"])
    def test_leaves_the_rest_to_the_user(self, name: str) -> None:
        """Shared fields, branches that ours stand under, and names that only look alike are free."""
        assert reserved(name) is False

    def test_leaves_free_where_reserved_names_go(self) -> None:
        """The place that a user's value under one of our names goes to is none of our names itself."""
        assert [name for name in NAMES if fields.reserved(USER_FIELDS + name)] == []
