"""Make anew in a forked child what must not be shared with its parent."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewable(Protocol):
    """Hold something that a fork breaks."""

    def renew(self) -> None:
        """
        Make it anew; called in every forked child.

        A lock that another thread held at the fork stays locked for ever in the child, and ids from a copied pool are
        handed out twice.
        """


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_in_child(renewable: Renewable) -> None:
    """Renew the object in every forked child, for as long as it lives."""
    _renewables.add(renewable)


def _renew() -> None:
    for renewable in tuple(_renewables):
        renewable.renew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_renew)
