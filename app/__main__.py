"""`python -m app`: start the studio."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from adaspark.errors import UserError

# Read when torch is loaded. The browser shares the processor: threads that wait for each other
# must sleep, for when they spin, any other busy process makes a run many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the app and wait; exit status 2 with one line where it cannot start."""
    options = _parser().parse_args(arguments)
    try:
        from app.server import launch

        launch(
            host=options.host,
            port=options.port,
            model=options.model,
            device=options.device,
            open_browser=not options.no_browser,
        )
    except UserError as error:
        print(f"adaspark: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="AdaSpark Studio.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the network")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--model", default="mini", help="mini, a folder, or a hub name")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
