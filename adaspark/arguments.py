"""What the command lines share: one line for a mistake, and values that say what they should be."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from adaspark.errors import UserError
from adaspark.method.config import THRESHOLDS, AdaSparkConfig

if TYPE_CHECKING:
    from adaspark.model.drawing import Drawing
    from adaspark.video.limits import Limits

BAD_INPUT = 2
"""exit status where what was given cannot be used"""


class Parser(argparse.ArgumentParser):
    """argparse, with one line for a mistake instead of the usage text."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        sys.exit(refuse(f"{message}. See `{self.prog} --help`."))


def refuse(message: str) -> int:
    """Say on one line of standard error why nothing was done; the exit status for it."""
    print(f"adaspark: {' '.join(message.split())}", file=sys.stderr)
    return BAD_INPUT


def cube(text: str) -> list[int]:
    """`T,H,W` as three whole numbers."""
    try:
        return list(AdaSparkConfig(cube=[int(side) for side in text.split(",")]).cube)  # type: ignore[arg-type]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"a cube is three whole numbers of at least 1 (time,height,width), such as 4,4,4; "
            f"got {text!r}"
        ) from None


def number(text: str) -> float:
    """A number."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def top_p(text: str) -> float | list[float]:
    """`P`, or `P,P,...` with one number a layer."""
    found = [number(part) for part in text.split(",")]
    return found if len(found) > 1 else found[0]


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def add_dials(parser: argparse.ArgumentParser) -> None:
    """The method's dials; what was typed of them is `typed_dials`."""
    parser.add_argument("--cube", metavar="T,H,W", type=cube, help="cube in merged tokens")
    parser.add_argument(
        "--attn-top-p", metavar="P", type=top_p, help="attention mass to keep; P,P,... by layer"
    )
    parser.add_argument(
        "--ffn-top-p", metavar="P", type=top_p, help="token importance to keep; P,P,... by layer"
    )
    parser.add_argument(
        "--text-top-p",
        metavar="P",
        type=top_p,
        help="attention mass that question and answer keep (at first as --attn-top-p)",
    )
    parser.add_argument(
        "--ffn-importance",
        metavar="residual|input",
        help="whose norm says how important a token is to the FFN (at first the residual's)",
    )


def typed_dials(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings of the configuration that were typed."""
    names = ("cube", *THRESHOLDS, "ffn_importance")
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def add_model(parser: argparse.ArgumentParser) -> None:
    """Which model answers, and where it runs."""
    parser.add_argument(
        "--model", default="mini", metavar="NAME", help="mini, folder, hub name[@revision] or URL"
    )
    parser.add_argument("--adapter", metavar="FOLDER", help="a LoRA adapter for the model")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda")


def add_shown(parser: argparse.ArgumentParser) -> None:
    """Which frames of the video are shown, and how large; what was typed is `typed_shown`."""
    parser.add_argument(
        "--preset",
        metavar="NAME",
        help="qwen: as Qwen evaluates, 2 frames a second, 768 at most, of 24,576 tokens",
    )
    parser.add_argument("--fps", type=number, metavar="F", help="frames a second to show")
    parser.add_argument(
        "--max-frames", type=whole, metavar="N", help="most frames to show (at first 64)"
    )
    parser.add_argument(
        "--min-pixels",
        type=whole,
        metavar="N",
        help="fewest pixels of a frame as shown (Qwen: 100,352)",
    )
    parser.add_argument(
        "--max-pixels",
        type=whole,
        metavar="N",
        help="most pixels of a frame as shown (Qwen: 602,112)",
    )
    parser.add_argument(
        "--max-video-tokens",
        type=whole,
        metavar="N",
        help="most tokens of the video: frames shrink to fit (Qwen: 115,200; on a CPU 5,120)",
    )


def typed_shown(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was typed of `adaspark.model.request.SAMPLING`, None for what was not."""
    from adaspark.model.request import SAMPLING

    return {name: getattr(arguments, name) for name in SAMPLING}


def add_words(parser: argparse.ArgumentParser) -> None:
    """How many words are written, and how each is chosen; the latter is `typed_drawing`."""
    parser.add_argument(
        "--max-new-tokens", type=whole, default=32, metavar="N", help="most tokens of the answer"
    )
    parser.add_argument(
        "--sample",
        action="store_true",
        help="draw words at random, with the checkpoint's own settings",
    )
    parser.add_argument("--seed", type=whole, metavar="N", help="of --sample (at first 0)")
    parser.add_argument("--temperature", type=number, metavar="T", help="of --sample")


def typed_drawing(arguments: argparse.Namespace) -> Drawing | None:
    """How words are drawn, None where the likeliest are wanted. Raises UserError."""
    from adaspark.model.drawing import Drawing

    if arguments.sample:
        return Drawing(arguments.seed or 0, arguments.temperature)
    for name in ("seed", "temperature"):
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} says how words are drawn: give --sample with it.")
    return None


def add_limits(parser: argparse.ArgumentParser) -> None:
    """How large a file may be; what was typed is `typed_limits`."""
    parser.add_argument(
        "--max-bytes", type=whole, metavar="N", help="refuse a larger file (at first any size)"
    )
    parser.add_argument(
        "--max-seconds", type=number, metavar="S", help="refuse a longer video (at first any)"
    )


def typed_limits(arguments: argparse.Namespace) -> Limits:
    """The limits of the file: none but those that were typed. Raises UserError."""
    from adaspark.video.limits import Limits

    for name, value in (("bytes", arguments.max_bytes), ("seconds", arguments.max_seconds)):
        if value is not None and not value > 0:
            raise UserError(f"--max-{name} must be above 0, got {value:g}.")
    return Limits(max_bytes=arguments.max_bytes, max_duration_secs=arguments.max_seconds)
