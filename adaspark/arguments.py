"""What the command lines share: one line for a mistake, and values that say what they should be."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from adaspark.config import AdaSparkConfig

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
    """The method's three dials; what was typed of them is `typed_dials`."""
    parser.add_argument("--cube", metavar="T,H,W", type=cube, help="cube in merged tokens")
    parser.add_argument(
        "--attn-top-p", metavar="P", type=top_p, help="attention mass to keep; P,P,... by layer"
    )
    parser.add_argument(
        "--ffn-top-p", metavar="P", type=top_p, help="token importance to keep; P,P,... by layer"
    )


def typed_dials(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings of the configuration that were typed."""
    values = {name: getattr(arguments, name) for name in ("cube", "attn_top_p", "ffn_top_p")}
    return {name: value for name, value in values.items() if value is not None}
