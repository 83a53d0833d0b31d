"""Fork a child that dies in the middle of a test, of whatever its work comes to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

SURVIVED = 99
"""What it ends with if it does not."""


def dying(work: Callable[[], object]) -> int:
    """Return the pid of a child that does *work*; who started it waits for its end."""
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads, after it: raised in the parent, it would leave the child running.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(SURVIVED)
    return child
