"""The command line: `adaspark ask | app | world | train | eval | calibrate | bench | doctor`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.arguments import Parser, add_dials, number, refuse, typed_dials, whole
from adaspark.config import AdaSparkConfig
from adaspark.errors import UserError
from adaspark.files import write_whole

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
    parser.add_argument(
        "video", metavar="VIDEO", help="file, or folder of images, --fps of which make a second"
    )
    parser.add_argument("question", metavar="QUESTION")
    add_dials(parser)
    parser.add_argument("--dense", action="store_true", help="drop nothing (both p = 1)")
    parser.add_argument("--model", default="mini", metavar="NAME", help="mini, folder or hub name")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    parser.add_argument("--fps", type=number, metavar="F", help="frames a second to show")
    parser.add_argument("--max-frames", type=whole, metavar="N", help="most frames to show")
    parser.add_argument("--max-new-tokens", type=whole, default=32, metavar="N")
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
    parser.add_argument("where", choices=["cpu", "gpu"], metavar="cpu|gpu")
    parser.add_argument("--tokens", type=whole, nargs="+", metavar="N", help="video tokens")
    parser.add_argument("--quick", action="store_true", help="fewer settings")
    parser.add_argument(
        "--parts", nargs="+", choices=BENCH_PARTS, default=BENCH_PARTS[:3], help="on a GPU"
    )
    parser.add_argument("--repeats", type=whole, default=9, metavar="N")
    parser.add_argument("--json", metavar="PATH", help="write the figures")
    parser.set_defaults(run=_bench)


def _ask(arguments: argparse.Namespace) -> None:
    json_path = None if arguments.json == "-" else arguments.json
    _check_outputs(json_path, arguments.trace, arguments.report)
    if not arguments.question.strip():
        raise UserError("The question is blank: type one, in quotes.")
    # Checked before the model is loaded: a wrong value should not cost a minute.
    given = typed_dials(arguments)
    if arguments.dense and given.keys() & {"attn_top_p", "ffn_top_p"}:
        raise UserError("--dense drops nothing, so it goes without --attn-top-p and --ffn-top-p.")
    if arguments.dense:
        given |= {"attn_top_p": 1.0, "ffn_top_p": 1.0}
    AdaSparkConfig.from_dict(given)
    from adaspark.video_probe import scan

    plays_in_browsers = scan(arguments.video, fps=arguments.fps).plays_in_browsers
    _quiet()
    from adaspark.engine import Engine
    from adaspark.request import Options, Result, Word

    engine = Engine(arguments.model, arguments.device)
    config = AdaSparkConfig.from_dict({**engine.default_config.to_dict(), **given})
    options = Options(config, arguments.fps, arguments.max_frames, arguments.max_new_tokens)
    # Words go to standard output as they come, unless the JSON does.
    words = sys.stderr if arguments.json == "-" else sys.stdout
    for event in engine.ask(arguments.video, arguments.question, options):
        if isinstance(event, Word):
            print(event.text, end="", file=words, flush=True)
        elif isinstance(event, Result):
            print(file=words)
            for warning in event.trace.meta["warnings"]:
                print(f"adaspark: {warning}", file=sys.stderr)
            try:
                _write_outputs(arguments, event, arguments.video if plays_in_browsers else None)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise UserError(
                    f"{error.filename} cannot be written ({error.strerror}): name another file."
                ) from error


def _write_outputs(arguments: argparse.Namespace, result: Any, shown_path: str | None) -> None:
    if arguments.json:
        text = json.dumps(result.summary(), indent=2, ensure_ascii=False)
        if arguments.json == "-":
            print(text)
        else:
            _write_text(arguments.json, text + "\n")
    if arguments.trace:
        write_whole(arguments.trace, result.trace.save)
    if arguments.report:
        from viz.page import report

        page = report(result.trace, video_path=shown_path)
        _write_text(arguments.report, page)


def _write_text(path: str, text: str) -> None:
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def _check_outputs(*paths: str | None) -> None:
    for path in paths:
        if path is not None and not _is_writable(path):
            raise UserError(f"{path!r} cannot be written: name a file in a folder that exists.")


def _is_writable(path: str) -> bool:
    """Whether a file could be made at `path`, as far as one can know without making it."""
    try:
        folder = Path(path).absolute().parent
        usable = path != "-" and not Path(path).is_dir() and folder.is_dir()
        return usable and os.access(folder, os.W_OK)
    except OSError:  # such as a name that is too long
        return False


def _app(arguments: argparse.Namespace) -> int:
    return subprocess.call([sys.executable, "-m", "app", *arguments.rest])


def _train(arguments: argparse.Namespace) -> int:
    from adaspark.mini.train import main as train

    return train(arguments)


def _world(arguments: argparse.Namespace) -> None:
    from adaspark.mini.clips import make_world

    _check_outputs(arguments.out)
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
        from adaspark.bench import gpu

        return gpu.run(**given, parts=arguments.parts)
    from adaspark.bench import cpu

    return cpu.run(**given)


def _doctor(arguments: argparse.Namespace) -> int:
    from adaspark.doctor import run

    return run()


def _quiet() -> None:
    """Progress bars and advice of the libraries are not part of an answer."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


_DELEGATED = {
    "app": (_app, "start the studio in the browser"),
    "eval": (_eval, "the paper's questions at small scale"),
    "calibrate": (_calibrate, "find the thresholds that meet a budget of FLOPs"),
}
"""Commands that read what follows them themselves."""
