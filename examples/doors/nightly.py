"""
A script that works through pages at night: one event for the run, and one of its own for every page.

Start it with `python -m examples.doors.nightly`.
"""

from __future__ import annotations

import wideevents

COURSES = [f"course {number}" for number in range(1, 31)]


@wideevents.event("nightly", "script")
def main() -> None:
    pages = [COURSES[start : start + 10] for start in range(0, len(COURSES), 10)]
    for page in wideevents.batch("course_report", pages, total=len(pages)):
        for course in page:
            wideevents.append("report.courses", course)
            wideevents.increment("report.students", 20)


if __name__ == "__main__":
    wideevents.configure(service="reports")
    main()
