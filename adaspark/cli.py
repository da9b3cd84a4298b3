"""The command line: `adaspark ask | app | world | train | eval | calibrate | bench | doctor`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adaspark import __version__
from adaspark.arguments import (
    Parser,
    add_dials,
    add_limits,
    add_shown,
    add_words,
    number,
    refuse,
    typed_dials,
    typed_drawing,
    typed_limits,
    typed_shown,
    whole,
)
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.checkpoint_source import locate
from adaspark.outputs import check_outputs, write_outputs

BENCH_MODELS = ("mini", "3B", "7B")
BENCH_PARTS = ("attention", "ffn", "decode", "captured", "flex", "model", "long")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 when the input could not be used."""
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.command not in _DELEGATED:
        parser.error(f"unrecognised: {' '.join(rest)}")
    arguments.rest = rest
    try:
        return int(arguments.run(arguments) or 0)
    except UserError as error:
        return refuse(str(error))
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command; `run` in what it returns is the command's function."""
    parser = Parser(prog="adaspark", description="Adaptive sparsity for long-video models.")
    parser.add_argument("--version", action="version", version=f"adaspark {__version__}")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    _add_ask(commands.add_parser("ask", help="ask a question about a video"))
    _add_train(commands.add_parser("train", help="train the bundled model anew"))
    _add_world(commands.add_parser("world", help="make a SparkWorld clip and its questions"))
    _add_bench(commands.add_parser("bench", help="time sparse against stock, parity first"))
    for name, (run, told) in _DELEGATED.items():
        commands.add_parser(name, help=told, add_help=False).set_defaults(run=run)
    doctor = commands.add_parser("doctor", help="what is installed, what will run, what is missing")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_ask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", metavar="VIDEO")
    parser.add_argument("question", metavar="QUESTION")
    add_dials(parser)
    parser.add_argument("--dense", action="store_true", help="drop nothing (both p = 1)")
    parser.add_argument(
        "--model", default="mini", metavar="NAME", help="mini, folder, hub name[@revision] or URL"
    )
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    add_shown(parser)
    add_words(parser)
    add_limits(parser)
    parser.add_argument("--json", metavar="PATH", help="write the figures (- for standard output)")
    parser.add_argument("--trace", metavar="PATH.npz", help="write what was decided")
    parser.add_argument("--report", metavar="PATH.html", help="write an offline page")
    parser.set_defaults(run=_ask)


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="FOLDER", help="resumes what it holds")
    parser.add_argument("--seed", type=whole, default=0, metavar="N")
    parser.add_argument("--hours", type=number, metavar="H", help="stop after this long")
    parser.add_argument("--sparse", action="store_true", help="tune the bundled model to sparsity")
    parser.add_argument(
        "--from", dest="source", metavar="PATH", help="start from a bundle or a weights.pt"
    )
    parser.add_argument("--stage", metavar="NAME", help="of the curriculum, to begin with")
    parser.add_argument("--steps", type=whole, metavar="N", help="of sparse tuning")
    parser.set_defaults(run=_train)


def _add_world(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT.mp4", help="the questions go to OUT.json")
    parser.add_argument("--family", default="order", metavar="NAME", help="what it can answer")
    parser.add_argument("--frames", type=whole, default=64, metavar="N", help="at 4 a second")
    parser.add_argument("--size", type=whole, default=224, metavar="PIXELS", help="side")
    parser.add_argument("--depth", type=number, metavar="D", help="of a needle, from 0 to 1")
    parser.add_argument("--seed", type=whole, default=0, metavar="N")
    parser.set_defaults(run=_world)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("where", choices=["cpu", "gpu", "serve"], metavar="cpu|gpu|serve")
    parser.add_argument("--tokens", type=whole, nargs="+", metavar="N", help="video tokens")
    parser.add_argument("--quick", action="store_true", help="fewer settings")
    parser.add_argument(
        "--parts", nargs="+", choices=BENCH_PARTS, default=BENCH_PARTS[:3], help="on a GPU"
    )
    parser.add_argument("--models", nargs="+", choices=BENCH_MODELS, help="for serve")
    parser.add_argument("--repeats", type=whole, default=9, metavar="N")
    parser.add_argument("--json", metavar="PATH", help="write the figures")
    parser.set_defaults(run=_bench)


def _ask(arguments: argparse.Namespace) -> None:
    json_path = None if arguments.json == "-" else arguments.json
    check_outputs(json_path, arguments.trace, arguments.report)
    if not arguments.question.strip():
        raise UserError("The question is blank: type one, in quotes.")
    # Checked before the model is loaded: a wrong value should not cost a minute.
    given = typed_dials(arguments)
    if arguments.dense and given.keys() & {"attn_top_p", "ffn_top_p"}:
        raise UserError("--dense drops nothing, so it goes without --attn-top-p and --ffn-top-p.")
    if arguments.dense:
        given |= {"attn_top_p": 1.0, "ffn_top_p": 1.0}
    config = AdaSparkConfig.from_dict(given)
    from adaspark.model.request import Options, Result, Word
    from adaspark.model.shown import chosen_sampling
    from adaspark.video.clip import Sampling
    from adaspark.video.probe import scan

    options = Options(
        config,
        max_new_tokens=arguments.max_new_tokens,
        drawing=typed_drawing(arguments),
        limits=typed_limits(arguments),
        **typed_shown(arguments),
    )
    chosen_sampling(Sampling(), **options.sampling)
    locate(arguments.model)
    scanned = scan(arguments.video, options.limits, fps=options.fps)
    _quiet()
    from adaspark.model.engine import Engine

    engine = Engine(arguments.model, arguments.device)
    config = AdaSparkConfig.from_dict({**engine.default_config.to_dict(), **given})
    options = replace(options, config=config)
    if note := engine.estimate(arguments.video, limits=options.limits, **options.sampling).note:
        print(f"adaspark: {note}.", file=sys.stderr)
    # Words go to standard output as they come, unless the JSON does.
    words = sys.stderr if arguments.json == "-" else sys.stdout
    for event in engine.ask(arguments.video, arguments.question, options):
        if isinstance(event, Word):
            print(event.text, end="", file=words, flush=True)
        elif isinstance(event, Result):
            print(file=words)
            for warning in event.trace.meta.warnings:
                print(f"adaspark: {warning}", file=sys.stderr)
            files = (arguments.json, arguments.trace, arguments.report)
            write_outputs(event, arguments.video if scanned.plays_in_browsers else None, *files)


def _app(arguments: argparse.Namespace) -> int:
    return subprocess.call([sys.executable, "-m", "app", *arguments.rest])


def _train(arguments: argparse.Namespace) -> int:
    from adaspark.mini.training.train import main as train

    return train(arguments)


def _world(arguments: argparse.Namespace) -> None:
    from adaspark.mini.world.clips import make_world

    check_outputs(arguments.out)
    made = make_world(
        arguments.family,
        arguments.frames,
        arguments.seed,
        Path(arguments.out),
        size=(arguments.size, arguments.size),
        depth=arguments.depth,
    )
    for item in made["items"]:
        print(f"{item['question']} {item['answer']}")


def _eval(arguments: argparse.Namespace) -> int:
    _quiet()
    from adaspark.eval.cli import main as evaluate

    return evaluate(arguments.rest)


def _calibrate(arguments: argparse.Namespace) -> int:
    _quiet()
    from adaspark.eval.cli import run_command

    return run_command("calibrate", arguments.rest)


def _bench(arguments: argparse.Namespace) -> int:
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


def _doctor(arguments: argparse.Namespace) -> int:
    from adaspark.doctor import run

    return run()


def _quiet() -> None:
    """Progress bars and advice of the libraries are not part of an answer."""
    from huggingface_hub.utils.tqdm import enable_progress_bars
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    enable_progress_bars()  # those of a download stay


_DELEGATED = {
    "app": (_app, "start the studio in the browser"),
    "eval": (_eval, "the paper's questions at small scale"),
    "calibrate": (_calibrate, "find the thresholds that meet a budget of FLOPs"),
}
"""Commands that read what follows them themselves."""
