"""
Say why a goal was missed: by its name in the table of goals, in sentences that stand in RESULTS.md beside it.

They are written by hand, and stay when the benchmarks run again; one for a goal that is reached is not shown.
"""

from __future__ import annotations

FIXED = (
    "An event has about twenty fields of its own, which the floor has not, and is opened, routed to an owner, judged "
    "by its level, redacted and bounded. That is some 50,000 instructions before its first field."
)
COLD = (
    "Nothing of the way of a request stands out any more: about 2,000 bytecodes of ours in 55 calls, a fifth of them "
    "its eight add_field; the others open, describe, follow, conclude and write it."
)
KEPT = (
    "It is encoded and copied into the map, and the time with it, before whoever added it goes on: one call of Python "
    "more than without, one of orjson, and two stores, by one writer at a time and without a lock."
)
FEWER = (
    "Its line has the fields that were added, and a time; ours has twenty more, and has been redacted, trimmed and "
    "judged. Where it is given the same fields, it is nearer."
)

REASONS: dict[str, str] = {
    **{f"{size} fields, times {floor}": FIXED for size in (10, 40, 100) for floor in ("the floor", "the same bytes")},
    "Flask, us added": COLD,
    "Starlette, us added": COLD,
    "Flask, instructions added": COLD,
    "an event, ns added": KEPT,
    "a field, ns added": KEPT,
    "a request of Flask that is sampled out, us added": (
        "What is sampled out has been followed and described all the same, since it may yet fail, or be slow; only its "
        "redaction, its line and its write are spared."
    ),
    **{
        f"{what}, times {peer}, at worst": FEWER
        for what in ("an event", "a request")
        for peer in ("structlog, contextvars", "python-json-logger", "loguru")
    },
}
