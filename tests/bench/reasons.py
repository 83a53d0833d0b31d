"""
Say why a goal was missed: by its name in the table of goals, in sentences that stand in RESULTS.md beside it.

They are written by hand, and stay when the benchmarks run again; one for a goal that is reached is not shown.
"""

from __future__ import annotations

REASONS: dict[str, str] = {}
