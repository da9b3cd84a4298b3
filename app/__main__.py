"""`python -m app`: start the studio."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.arguments import Parser, whole
from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.model.checkpoint_source import locate

# Read when torch is loaded. The browser shares the processor: threads that wait for each other
# must sleep. If they spin, any other busy process makes a run many times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BUNDLED, BUNDLED_SPARSE = "mini", "mini-sparse"


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the app and wait.

    Exit status 0 if it was told to end, 2 with one line if it cannot start or its model cannot be
    loaded; any other is a fault of ours.
    """
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
    from app.web.logs import log_as_json
    from app.web.server import Studio

    limits = limits_from()
    is_bundled = options.model in (BUNDLED, BUNDLED_SPARSE)
    folder = BUNDLED_MODEL if is_bundled else locate(options.model).folder or Path(options.model)
    engine = _engine(options, folder, limits)
    samples = [*read_samples(), *real_footage()]
    given: dict[str, Any] = {"mcp": options.mcp, "root_path": options.root_path}
    with Studio(engine, samples, model_folder=folder, limits=limits, **given) as studio:
        browser = not options.no_browser
        address = studio.start(host=options.host, port=options.port, open_browser=browser)
        print(f"AdaSpark Studio: {address}", flush=True)
        if limits.log_json:
            log_as_json()
        studio.wait()


def _engine(options: argparse.Namespace, folder: Path, limits: Any) -> Any:
    """The engine, loaded later: its code, torch and transformers, is imported in a thread."""
    from app.service.deferred_engine import DeferredEngine, default_config

    def load() -> Any:
        from torch import cuda

        from adaspark.model.engine import Engine

        maximum = limits.video_tokens or None
        has_gpu = options.device != "cpu" and cuda.is_available()
        preset = "qwen" if has_gpu else None  # a CPU is shown less
        return Engine(
            options.model,
            options.device,
            adapter=options.adapter,
            max_video_tokens=maximum,
            preset=preset,
        )

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
    parser = Parser(
        prog="adaspark app",
        description="AdaSpark Studio.",
        epilog=f"Limits are set by the environment: {', '.join(switches)}.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 serves the network")
    parser.add_argument("--port", type=whole, default=7860, help="0 is any that is free")
    parser.add_argument(
        "--model",
        default=os.environ.get("ADASPARK_MODEL") or BUNDLED,
        help="mini, mini-sparse, a folder, or a hub name (also: ADASPARK_MODEL)",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--adapter", metavar="FOLDER", help="a LoRA adapter for the model")
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="tools for the Model Context Protocol, at /gradio_api/mcp",
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="FOLDER",
        help="the folder at which a reverse proxy serves the studio, such as /studio",
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
