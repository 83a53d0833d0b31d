"""Draw what a developer sees of the shop on a terminal: `python -m examples.demo.picture`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from examples.demo.server import ROOT, environment

PICTURE = Path(__file__).with_name("console.svg")
WIDTH = 116

VISIT = """
from examples.flask_app import create_app

client = create_app({"PAYMENT_SEED": 1, "RECOMMENDATIONS_FAILURE_RATE": 0.0}).test_client()
for method, path, body in (
    ("POST", "/accounts", {"email": "ann@example.com", "password": "kitten-42"}),
    ("GET", "/products/3?token=abc", None),
    ("POST", "/cart/items", {"product_id": 3, "quantity": 2}),
    ("POST", "/checkout", {"card": "4242424242424242"}),
    ("POST", "/cart/items", {"product_id": 5, "quantity": 1}),
    ("POST", "/checkout", {"card": "4000000000000341"}),
):
    client.open(path, method=method, json=body, buffered=True).close()
"""

SHOWN = ("GET /products", "POST /checkout")
"""The requests that are drawn, by their headlines."""

OUR_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""The picture uses the reader's own font, and loads none from anywhere."""


def main() -> None:
    with TemporaryDirectory() as folder:
        shown = visit(Path(folder))
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115 - for this process
    console.print(Text.from_ansi("\n\n".join(block for block in blocks(shown) if is_shown(block))))
    svg = console.export_svg(title="wideevents, on a terminal", theme=MONOKAI)
    PICTURE.write_text(OUR_FONT.sub("", svg))
    print(f"{PICTURE.relative_to(ROOT)} was drawn.")


def visit(folder: Path) -> str:
    """Return what a visit to the shop shows on a terminal that has colours."""
    terminal = {"WIDEEVENTS_OUTPUT": "console", "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    terminal |= {"OTEL_RESOURCE_ATTRIBUTES": "host.name=web-1"}
    done = subprocess.run(
        [sys.executable, "-c", VISIT],
        cwd=ROOT,
        env=environment(folder, folder / "unused") | terminal,
        capture_output=True,
        text=True,
        check=True,
    )

    return done.stdout.replace(str(ROOT), "/srv")


def blocks(shown: str) -> list[str]:
    """Return each event with its lines."""
    return [block for block in shown.split("\n\n") if block.strip()]


def is_shown(block: str) -> bool:
    headline = Text.from_ansi(block.lstrip("\n").partition("\n")[0]).plain

    return any(request in headline for request in SHOWN)


if __name__ == "__main__":
    main()
