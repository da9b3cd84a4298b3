"""`adaspark bench`: its arguments, and which comparison they mean."""

from __future__ import annotations

import argparse

from adaspark.arguments import whole

MODELS = ("mini", "3B", "7B", "Qwen3-VL-8B", "Qwen3.5-9B")
PARTS = ("attention", "ffn", "decode", "captured", "flex", "flash", "model", "long")
CODECS = ("h264", "hevc", "vp9")
WHERE = ("cpu", "gpu", "serve", "hour")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of all comparisons."""
    parser.add_argument("where", choices=WHERE, metavar="|".join(WHERE))
    parser.add_argument("--tokens", type=whole, nargs="+", metavar="N", help="video tokens")
    parser.add_argument("--quick", action="store_true", help="fewer settings")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS[:3], help="on a GPU")
    parser.add_argument("--models", nargs="+", choices=MODELS, help="for serve and hour")
    parser.add_argument("--repeats", type=whole, default=9, metavar="N")
    parser.add_argument("--codecs", nargs="+", choices=CODECS, default=CODECS, help="for hour")
    parser.add_argument("--minutes", type=whole, default=60, metavar="N", help="for hour")
    parser.add_argument(
        "--frames", type=whole, nargs="+", default=[3600], metavar="N", help="for hour"
    )
    parser.add_argument("--json", metavar="PATH", help="write the figures")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.where == "hour":
        from adaspark.bench.hour import run as hour

        length = {"minutes": arguments.minutes, "frames": arguments.frames}
        given = {"codecs": arguments.codecs, "models": arguments.models}
        return hour.run(json_path=arguments.json, **given, **length)
    given = {"repeats": arguments.repeats, "json_path": arguments.json}
    given |= {"tokens": arguments.tokens, "quick": arguments.quick}
    if arguments.where == "gpu":
        from adaspark.bench.gpu import run as gpu

        return gpu.run(**given, parts=arguments.parts)
    if arguments.where == "serve":
        from adaspark.bench.serve import run as serve

        return serve.run(**given, models=arguments.models)
    from adaspark.bench.cpu import run as cpu

    return cpu.run(**given)
