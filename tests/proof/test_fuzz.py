"""What nobody thought of: any use of the face, any head of a request, any query string."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.proof.fuzz import PROPERTIES, chosen

EXAMPLES = {"the face": 150, "queries": 250}
"""As many as a test may take; they are the same every time."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Let nobody write down what wideevents has to say of all this."""
    logger = logging.getLogger("wideevents")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", PROPERTIES)
def test_nothing_goes_wrong_whatever_comes(name: str) -> None:
    """Nothing raises into the application; each event has one strict line, and no secret in it."""
    PROPERTIES[name](chosen(EXAMPLES.get(name, 250), always=True))
