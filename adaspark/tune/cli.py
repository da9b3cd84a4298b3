"""`adaspark tune --model FOLDER --data qa.jsonl --out FOLDER`."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from adaspark.arguments import (
    Parser,
    add_dials,
    add_shown,
    number,
    typed_dials,
    typed_shown,
    whole,
)
from adaspark.errors import UserError
from adaspark.inspect.inputs import Pair, read_pairs
from adaspark.method.config import AdaSparkConfig
from adaspark.model.checkpoint_source import BUNDLES, locate

NEEDS = ("peft", "accelerate")


def main(arguments: Sequence[str]) -> int:
    """Run the command. Raises UserError for what cannot be used."""
    given = parser().parse_args(arguments)
    if lacking := [name for name in NEEDS if find_spec(name) is None]:
        raise UserError(
            f"Tuning needs {' and '.join(lacking)}: pip install 'adaspark-studio[tune]'."
        )
    dials = typed_dials(given)
    AdaSparkConfig.from_dict(dials)
    train, held_out = split(_answered(given.data), given.held_out, given.seed)
    base = _base(given.model)
    out = _made(given.out)
    from adaspark.model.shown import preset_sampling
    from adaspark.model.tuning import Recipe, tune
    from adaspark.model.tuning_examples import Asked, Examples, Teacher

    recipe = Recipe(
        rank=given.lora,
        steps=given.steps,
        learning_rate=given.learning_rate,
        accumulate=given.accumulate,
        save_every=given.save_every,
        seed=given.seed,
        gradient_checkpointing=given.gradient_checkpointing,
    )
    teacher = Teacher(given.model, given.device)
    config = AdaSparkConfig.from_dict({**teacher.config.to_dict(), **dials})
    config.check_layers(teacher.model.config.text_config.num_hidden_layers)
    shown = {} if given.preset is None else dict(preset_sampling(given.preset))
    shown |= {name: value for name, value in typed_shown(given).items() if value is not None}

    def examples(pairs: Sequence[Pair]) -> Examples:
        asked = [Asked(pair.video, pair.question, str(pair.expected)) for pair in pairs]
        return teacher.examples(asked, shown, _say)

    tested = examples(held_out) if held_out else None
    losses = tune(teacher.model, config, examples(train), tested, out, recipe, base=base)
    if tested is not None:
        before, after = losses["loss_before"], losses["loss_after"]
        pairs = "1 held-out pair" if len(tested) == 1 else f"{len(tested)} held-out pairs"
        print(f"Loss on {pairs}: {before:.4f} before, {after:.4f} after.")
    print(f"adaspark ask VIDEO QUESTION --model {given.model} --adapter {out}")
    return 0


def split(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and the share that is held out (rounded, at least one if any is)."""
    if not 0 <= share < 1:
        raise UserError(f"--held-out must be from 0 to below 1, got {share:g}.")
    count = max(1, round(share * len(pairs))) if share else 0
    if count >= len(pairs):
        raise UserError(
            f"Too few pairs to hold {count} out ({len(pairs)}): give more, or --held-out 0."
        )
    mixed = random.Random(seed).sample(list(pairs), len(pairs))
    return mixed[count:], mixed[:count]


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = Parser(
        prog="adaspark tune",
        allow_abbrev=False,
        description="Fine-tune a model with sparsity on; the same command carries on.",
    )
    parser.add_argument("--model", default="mini", metavar="NAME", help="mini, folder or hub name")
    parser.add_argument(
        "--data",
        required=True,
        metavar="FILE",
        help="JSONL, CSV or Parquet: video, question, answer",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="for the adapter")
    parser.add_argument(
        "--lora", type=whole, nargs="?", const=16, default=16, metavar="RANK", help="(at first 16)"
    )
    parser.add_argument("--steps", type=whole, default=200, metavar="N", help="of the optimiser")
    parser.add_argument("--learning-rate", type=number, default=1e-4, metavar="X")
    parser.add_argument("--accumulate", type=whole, default=4, metavar="N", help="pairs a step")
    parser.add_argument("--save-every", type=whole, default=50, metavar="N", help="steps")
    parser.add_argument(
        "--held-out", type=number, default=0.1, metavar="SHARE", help="of the pairs"
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="N")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="less memory, slower")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    add_dials(parser)
    add_shown(parser)
    return parser


def _base(model: str) -> str:
    """How the adapter calls its base, wherever it is read from."""
    source = locate(model)
    if model in BUNDLES or source.folder is None:
        return model
    return str(source.folder.absolute())


def _answered(data: str) -> list[Pair]:
    pairs = read_pairs(data)
    if lacking := [pair for pair in pairs if pair.expected is None or not pair.expected.strip()]:
        raise UserError(f"{lacking[0].question!r} in {data} has no `answer`: every row needs one.")
    return pairs


def _made(out: str) -> Path:
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}): name another folder.") from error
    return Path(out)


def _say(sentence: str) -> None:
    print(f"adaspark: {sentence}", file=sys.stderr)
