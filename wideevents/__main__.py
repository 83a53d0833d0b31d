"""Run the commands: `python -m wideevents`."""

from __future__ import annotations

import sys

from wideevents.cli import main

if __name__ == "__main__":
    sys.exit(main())
