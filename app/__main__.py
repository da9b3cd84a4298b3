"""`python -m app`: start the studio."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.model.checkpoint_source import locate

# Read when torch is loaded. The browser shares the processor: threads that wait for each other
# must sleep. If they spin, any other busy process makes a run many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BUNDLED, BUNDLED_SPARSE = "mini", "mini-sparse"


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the app and wait; exit status 2 with one line if it cannot start."""
    options = _parser().parse_args(arguments)
    try:
        _serve(options)
    except UserError as error:
        print(f"adaspark: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0


def _serve(options: argparse.Namespace) -> None:
    from app.media.samples import read_samples, real_footage
    from app.web.limits import limits_from
    from app.web.server import Studio

    limits = limits_from()
    is_bundled = options.model in (BUNDLED, BUNDLED_SPARSE)
    folder = BUNDLED_MODEL if is_bundled else locate(options.model).folder or Path(options.model)
    engine = _engine(options, folder, limits)
    samples = [*read_samples(), *real_footage()]
    with Studio(engine, samples, model_folder=folder, limits=limits) as studio:
        browser = not options.no_browser
        address = studio.start(host=options.host, port=options.port, open_browser=browser)
        print(f"AdaSpark Studio: {address}", flush=True)
        studio.wait()


def _engine(options: argparse.Namespace, folder: Path, limits: Any) -> Any:
    """The engine, loaded later: its code, torch and transformers, is imported in a thread."""
    from app.service.deferred_engine import DeferredEngine, default_config

    def load() -> Any:
        from adaspark.model.engine import Engine

        maximum = limits.video_tokens or None
        return Engine(options.model, options.device, max_video_tokens=maximum)

    return DeferredEngine(
        None if limits.replay_only else load,
        name=options.model,
        is_bundled=folder == BUNDLED_MODEL,
        default_config=default_config(folder, sparse=options.model == BUNDLED_SPARSE),
    )


def _parser() -> argparse.ArgumentParser:
    from app.web.limits import SWITCHES, ServerLimits

    own = ServerLimits()
    switches = (f"{name} ({getattr(own, field)})" for name, field in SWITCHES.items())
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="AdaSpark Studio.",
        epilog=f"Limits are set by the environment: {', '.join(switches)}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the network")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--model",
        default=os.environ.get("ADASPARK_MODEL") or BUNDLED,
        help="mini, mini-sparse, a folder, or a hub name (also: ADASPARK_MODEL)",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
