"""`adaspark inspect INPUT --questions FILE --out DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from adaspark.arguments import (
    Parser,
    add_dials,
    add_limits,
    add_model,
    add_shown,
    add_words,
    number,
    typed_dials,
    typed_drawing,
    typed_limits,
    typed_shown,
    whole,
)
from adaspark.errors import UserError
from adaspark.inspect.inputs import read_pairs
from adaspark.inspect.settings import read_settings


def main(arguments: Sequence[str]) -> int:
    """Run the command. Raises UserError for what cannot be used, before a model is loaded."""
    given = parser().parse_args(arguments)
    settings = read_settings(typed_dials(given), given.grid, dense=given.dense)
    pairs = read_pairs(given.input, given.questions)
    from adaspark.inspect.plan import Plan, weights_of
    from adaspark.inspect.run import run
    from adaspark.model.shown import chosen_sampling, preset_sampling
    from adaspark.video.sampling import Sampling

    plan = Plan(
        out=str(Path(given.out).absolute()),
        settings=tuple(settings),
        model=given.model,
        weights=weights_of(given.model, given.adapter),
        adapter=given.adapter,
        device=given.device,
        preset=given.preset,
        max_new_tokens=given.max_new_tokens,
        sampling=typed_shown(given),
        drawing=typed_drawing(given),
        limits=typed_limits(given),
    )
    chosen_sampling(Sampling(), **plan.sampling)
    if plan.preset is not None:
        preset_sampling(plan.preset)
    if plan.max_new_tokens < 1:
        raise UserError(f"--max-new-tokens must be at least 1, got {plan.max_new_tokens}.")
    if given.reports < 0:
        raise UserError(f"--reports must be at least 0, got {given.reports}.")
    cluster = None
    if given.ray is not None:
        from adaspark.inspect.on_ray import Cluster

        cluster = Cluster(given.ray, workers=given.workers, cpus=given.cpus)
    run(plan, pairs, reports=given.reports, cluster=cluster)
    return 0


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = Parser(
        prog="adaspark inspect",
        allow_abbrev=False,
        description="Ask every question of every video; the same command carries on.",
    )
    parser.add_argument("input", metavar="INPUT", help="folder, pattern, video or table")
    parser.add_argument("--questions", metavar="FILE", help="one a line, or JSONL")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of tables and traces")
    add_dials(parser)
    parser.add_argument("--dense", action="store_true", help="ask dense too, beside the others")
    parser.add_argument(
        "--grid",
        nargs="+",
        default=[],
        metavar="p=P,P",
        help="ask under each setting: p, attn-top-p, ffn-top-p, or cube=T,H,W;T,H,W",
    )
    add_model(parser)
    add_shown(parser)
    add_words(parser)
    add_limits(parser)
    parser.add_argument(
        "--reports",
        type=whole,
        default=100,
        metavar="N",
        help="offline pages, for the first N",
    )
    parser.add_argument("--ray", metavar="ADDRESS|auto", help="work on this Ray cluster")
    parser.add_argument("--workers", type=whole, metavar="N", help="most models on the cluster")
    parser.add_argument(
        "--cpus", type=number, default=2, metavar="N", help="for each model, where there is no GPU"
    )
    return parser
