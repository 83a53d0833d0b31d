"""Read the JSON that a client sent, and refuse in a sentence what does not fit."""

from __future__ import annotations

from typing import Any

from flask import request

from examples.flask_app.errors import InvalidInputError


def text(name: str, longest: int = 200) -> str:
    value = fields().get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= longest:
        raise InvalidInputError(f"{name} must be a text of 1 to {longest} characters")

    return value.strip()


def choice(name: str, allowed: tuple[str, ...]) -> str:
    """Return what was chosen, or the first of *allowed* if nothing was."""
    value = fields().get(name, allowed[0])
    if value not in allowed:
        raise InvalidInputError(f"{name} must be one of {', '.join(allowed)}")

    return str(value)


def number(name: str, lowest: int, highest: int) -> int:
    value = fields().get(name)
    if type(value) is not int or not lowest <= value <= highest:
        raise InvalidInputError(f"{name} must be a number from {lowest} to {highest}")

    return value


def fields() -> dict[str, Any]:
    body = request.get_json()
    if not isinstance(body, dict):
        raise InvalidInputError("the body must be a JSON object")

    return body
