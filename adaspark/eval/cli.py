"""`adaspark eval NAME` and `adaspark calibrate`: one way to run, resume and redraw them all.

A command is a module of this package with a `Plan` (frozen; its defaults are the full run,
`quick()` the one that ends within three minutes on two CPU cores), `run(plan, context)`, which adds
items to the context's results, `summarise(items)`, which gives their tables, and `draw(results)`,
which saves tables, pictures and the page.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from adaspark.arguments import Parser, add_dials, number, typed_dials, whole
from adaspark.eval.report.results import RUNS, Results, load
from adaspark.method.config import AdaSparkConfig

COMMANDS = {
    "attention": "Fig. 1: where attention lies, and what the FFN moves",
    "layers": "Fig. 4: kept cubes and tokens by layer, kind of query and family",
    "fidelity": "beyond the paper: how near the sparse computation stays to the dense one",
    "families": "main tables: ten families of questions at three lengths, dense and sparse",
    "niah": "Fig. 3: a needle in a haystack, frames by depth, four ways of choosing",
    "case": "Fig. 5: chosen cubes on the frames, for chosen words",
    "ablation": "ablations: halves, rules, shapes and sizes of cubes, compensation",
    "settings": "beyond the paper: settings of the dials against dense, family by family",
    "pareto": "beyond the paper: accuracy against FLOPs, with baselines from outside the method",
}
"""Name of the module, and what it asks."""
TABLE = "table"
QUICK_SECS = 150.0
"""after which a quick run starts nothing new, so that even a slow machine ends in 3 minutes"""


def main(arguments: Sequence[str]) -> int:
    """`adaspark eval ARGUMENTS`."""
    if arguments and arguments[0] in COMMANDS:
        return run_command(arguments[0], arguments[1:])
    if arguments and arguments[0] == TABLE:
        from adaspark.eval.lmms.table import main as table

        return table(arguments[1:])
    parser = Parser(prog="adaspark eval", description="The paper's questions at small scale.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        commands.add_parser(name, help=purpose)
    commands.add_parser(TABLE, help="the paper's main table, of lmms-eval's logs")
    parser.parse_args(arguments)
    return 0


def run_command(name: str, arguments: Sequence[str]) -> int:
    """Run one command, or with --redraw its drawing alone.

    Raises UserError for what cannot be used.
    """
    started = time.monotonic()
    module: Any = import_module(f"adaspark.eval.{name}.run")
    given = command_parser(name, module.Plan).parse_args(arguments)
    if given.redraw is None:
        typed = f"{_program(name)} {shlex.join(_what(arguments))}".rstrip()
        results = _computed(name, module, given, typed, started)
    else:
        results = load(given.redraw)
    if find_spec("matplotlib"):
        module.draw(results)
        print(f"See {results.folder / 'index.html'}")
    else:
        results.save(module.summarise(results.items))
        print(f"With matplotlib installed, --redraw {results.folder} draws it.")
    for table in results.tables:
        print(f"\n{table.plain()}")
    return 0


def command_parser(name: str, plan: Any) -> argparse.ArgumentParser:
    """The options that all commands share, the dials, and one for each option of the plan."""
    parser = Parser(prog=_program(name), allow_abbrev=False)
    parser.add_argument("--quick", action="store_true", help="a small plan, for 3 minutes on a CPU")
    parser.add_argument("--model", default="mini", metavar="mini|mini-sparse|FOLDER")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda")
    parser.add_argument(
        "--out", metavar="FOLDER", help="folder of results; items in it are not computed again"
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="N", help="seed of the scenes")
    parser.add_argument(
        "--budget-secs", type=number, metavar="S",
        help=f"start nothing new after this ({QUICK_SECS:g} with --quick)",
    )  # fmt: skip
    parser.add_argument("--redraw", metavar="FOLDER", help="draw saved results, without a model")
    add_dials(parser)
    for each in fields(plan):
        if "help" in each.metadata:
            _add_option(parser, each)
    return parser


def plan_of(plan: Any, given: Mapping[str, Any]) -> Any:
    """The full or the quick plan, with the options that were typed."""
    base = plan.quick() if given["quick"] else plan()
    typed = {each.name: given[each.name] for each in fields(plan) if each.name in given}
    return replace(base, **{n: tuple(v) if isinstance(v, list) else v for n, v in typed.items()})


def _add_option(parser: argparse.ArgumentParser, each: Field[Any]) -> None:
    """One field of a plan as an option; not typed, it is not in the result."""
    default: Any = each.default
    several = isinstance(default, tuple)
    kind = type(default[0] if several else default)
    how: dict[str, Any] = {"help": each.metadata["help"], "default": argparse.SUPPRESS}
    if kind is bool:
        how["action"] = argparse.BooleanOptionalAction
    else:
        how["type"], how["metavar"] = {int: (whole, "N"), float: (number, "X")}.get(
            kind, (str, "NAME")
        )
    if several:
        how["nargs"] = "+"
    parser.add_argument(f"--{each.name.replace('_', '-')}", **how)


def _computed(
    name: str, module: Any, given: argparse.Namespace, typed: str, started: float
) -> Results:
    """Run a command; what can be refused is refused before the model is loaded."""
    plan = plan_of(module.Plan, vars(given))
    dials = typed_dials(given)
    AdaSparkConfig.from_dict(dials)
    from adaspark.eval.harness.context import Context, plan_dict
    from adaspark.model import checkpoint

    named = plan_dict(plan, given.model)
    loaded = checkpoint.load(given.model, device=given.device)
    loaded.model.float()  # as the bundled models are: a folder's may be half precision
    config = AdaSparkConfig.from_dict({**loaded.config.to_dict(), **dials})
    config.check_layers(loaded.model.config.text_config.num_hidden_layers)
    results = Results(
        given.out or RUNS / (f"{name}-quick" if given.quick else name),
        typed,
        plan=named,
        config=config.to_dict(),
        seed=given.seed,
        device=str(loaded.device),
    )
    budget = QUICK_SECS if given.quick and given.budget_secs is None else given.budget_secs
    deadline = None if budget is None else started + budget
    module.run(plan, Context(loaded, config, results, given.seed, deadline))
    return results


def _what(arguments: Sequence[str]) -> list[str]:
    """The options without --out: the results' folder is not part of what they are."""
    kept = list(arguments)
    while "--out" in kept:
        at = kept.index("--out")
        del kept[at : at + 2]
    return [each for each in kept if not each.startswith("--out=")]


def _program(name: str) -> str:
    return f"adaspark {name}" if name == "calibrate" else f"adaspark eval {name}"
