"""The command line, `adaspark COMMAND`: each is a subcommand that `adaspark --help` names."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from adaspark import __version__
from adaspark.arguments import Parser, number, refuse, whole
from adaspark.ask.ask import add_ask, ask
from adaspark.ask.chat import add_chat, chat
from adaspark.bench.cli import add_arguments as add_bench
from adaspark.errors import UserError
from adaspark.model import freed_memory
from adaspark.outputs import check_outputs


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 when the input could not be used."""
    if argv is None:  # this process is the command's own
        freed_memory.keep()
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
    _add_ask(commands.add_parser("ask", help="ask questions about a video"))
    _add_chat(commands.add_parser("chat", help="talk about a video, line by line"))
    _add_train(commands.add_parser("train", help="train the bundled model anew"))
    _add_world(commands.add_parser("world", help="make a SparkWorld clip and its questions"))
    _add_bench(commands.add_parser("bench", help="time sparse against stock, parity first"))
    for name, (run, told) in _DELEGATED.items():
        commands.add_parser(name, help=told, add_help=False).set_defaults(run=run)
    _add_doctor(
        commands.add_parser("doctor", help="what is installed, what will run, what is missing")
    )
    return parser


def _add_ask(parser: argparse.ArgumentParser) -> None:
    add_ask(parser)
    parser.set_defaults(run=lambda arguments: ask(arguments, before_loading=_quiet))


def _add_chat(parser: argparse.ArgumentParser) -> None:
    add_chat(parser)
    parser.set_defaults(run=lambda arguments: chat(arguments, before_loading=_quiet))


def _add_bench(parser: argparse.ArgumentParser) -> None:
    add_bench(parser)
    compare = parser.get_default("run")

    def run(arguments: argparse.Namespace) -> int:
        _quiet()
        return int(compare(arguments))

    parser.set_defaults(run=run)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--compile",
        type=Path,
        nargs="?",
        const=True,
        metavar="VIDEO",
        help="compile a model's kernels ahead of any question: on a clip like those to come, or on "
        "noise of usual sizes",
    )
    parser.add_argument("--model", default="mini", metavar="M", help="whose, with --compile")
    parser.add_argument("--device", default="auto", metavar="D", help="where, with --compile")
    parser.set_defaults(run=_doctor)


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
    parser.add_argument("--frames", type=whole, default=64, metavar="N", help="the model's")
    parser.add_argument(
        "--fps", type=number, default=4.0, metavar="F", help="its frames a second, at most 4"
    )
    parser.add_argument("--size", type=whole, default=224, metavar="PIXELS", help="side")
    parser.add_argument("--depth", type=number, metavar="D", help="of a needle, from 0 to 1")
    parser.add_argument("--seed", type=whole, default=0, metavar="N")
    parser.set_defaults(run=_world)


def _app(arguments: argparse.Namespace) -> int:
    # Ours, whatever `app` lies in the folder that one is in.
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    clone = Path(__file__).resolve().parents[1]
    if (clone / "pyproject.toml").is_file():  # perhaps not installed
        paths = [str(clone), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    command = [sys.executable, "-m", "app", *arguments.rest]
    if sys.platform == "win32":  # has no exec that keeps the process
        return subprocess.call(command, env=environment)
    # In this process's place: whoever ends it by a signal ends the server.
    os.execve(sys.executable, command, environment)


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
        fps=arguments.fps,
    )
    for item in made["items"]:
        print(f"{item['question']} {item['answer']}")


def _inspect(arguments: argparse.Namespace) -> int:
    _quiet()
    from adaspark.inspect.cli import main as inspect

    return inspect(arguments.rest)


def _tune(arguments: argparse.Namespace) -> int:
    _quiet()
    from adaspark.tune.cli import main as tune

    return tune(arguments.rest)


def _eval(arguments: argparse.Namespace) -> int:
    _quiet()
    from adaspark.eval.cli import main as evaluate

    return evaluate(arguments.rest)


def _calibrate(arguments: argparse.Namespace) -> int:
    _quiet()
    from adaspark.eval.cli import run_command

    return run_command("calibrate", arguments.rest)


def _doctor(arguments: argparse.Namespace) -> int:
    if arguments.compile is not None:
        _quiet()
        from adaspark.ask.ahead import run as compile_for

        video = None if arguments.compile is True else arguments.compile
        return compile_for(arguments.model, arguments.device, video)
    from adaspark.doctor import run

    return run()


def _quiet() -> None:
    """Progress bars and advice of the libraries are not part of an answer."""
    from huggingface_hub.utils.tqdm import enable_progress_bars
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    enable_progress_bars()  # those of a download stay


def _gallery(arguments: argparse.Namespace) -> int:
    from adaspark.gallery import main as write_gallery

    return write_gallery(arguments.rest)


_DELEGATED = {
    "inspect": (_inspect, "ask many questions about many videos, into tables"),
    "tune": (_tune, "fine-tune a checkpoint with sparsity on: a LoRA adapter"),
    "app": (_app, "start the studio in the browser"),
    "eval": (_eval, "the paper's questions at small scale"),
    "gallery": (_gallery, "write recorded runs as a static site"),
    "calibrate": (_calibrate, "find the thresholds that meet a budget of FLOPs"),
}
"""Commands that read what follows them themselves."""
