"""Applications for the command to load: a healthy one, and one that is not."""

from __future__ import annotations

import logging

from flask import Flask

import wideevents
from wideevents.integrations.flask import WideEvents


def create_app() -> Flask:
    """Build a healthy shop."""
    wideevents.configure(service="shop")
    app = Flask("shop")
    app.add_url_rule("/", "index", lambda: "welcome")
    WideEvents(app)
    return app


def create_loud_app() -> Flask:
    """Build one that prints."""
    app = create_app()

    def shout() -> str:
        print("\x1b[31mhello")
        return "welcome"

    app.view_functions["index"] = shout
    return app


def create_ill_app() -> Flask:
    """Build one that has a finding of each severity."""
    app = create_loud_app()
    logging.basicConfig(force=True)
    return app


def fail() -> Flask:
    """Build nothing."""
    raise LookupError("no database")
