"""`adaspark eval table DIR`: the paper's main table, from what lmms-eval has logged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.arguments import Parser
from adaspark.eval.lmms.runs import Run, read_runs
from adaspark.eval.report.tables import Columns, Row, Table, against

OF_THE_PAPER = {
    "mlvu_dev": "MLVU",
    "videomme": "VideoMME",
    "videomme_v2": "VideoMME v2",
    "longvideobench_val_v": "LongVideoBench",
    "lvbench": "LVBench",
    "vsibench": "VSIBench",
    "temporal_grounding_charades": "CharadesSTA",
    "videoniah": "VideoNIAH",
}
"""lmms-eval's name of each benchmark, and the paper's; VideoNIAH's task is ours."""
COLUMNS: Columns = {
    "benchmark": "text", "setting": "text", "questions": "count", "score": "number",
    "against dense": "points", "p": "p", "attention density": "share", "FFN density": "share",
    "FLOPs": "percent", "seconds a question": "number",
}  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Print the table as Markdown. Raises UserError if the folder holds no run."""
    parser = Parser(prog="adaspark eval table", description="The main table, of lmms-eval's logs.")
    parser.add_argument("folder", metavar="DIR", help="lmms-eval's --output_path")
    runs = read_runs(Path(parser.parse_args(arguments).folder))
    made = table(runs)
    print(made.markdown())
    print(f"\n{made.note}")
    return 0


def table(runs: Sequence[Run]) -> Table:
    """One row a benchmark and setting, dense first; sparse ones are paired with it by question."""
    ordered = sorted(runs, key=lambda run: (run.task, not run.is_dense, run.setting))
    dense = {run.task: run for run in ordered if run.is_dense}
    rows = [_row(run, dense.get(run.task)) for run in ordered]
    return Table("Benchmarks", COLUMNS, rows, note=_note(runs))


def _row(run: Run, dense: Run | None) -> Row:
    count = len(run.scores) or len(run.costs)
    difference, p_value = _paired(run, dense)
    return [
        OF_THE_PAPER.get(run.task, run.task),
        run.setting,
        count,
        run.score,
        difference,
        p_value,
        run.mean_cost("attention_density"),
        run.mean_cost("ffn_density"),
        _flops(run),
        run.seconds / count if count and run.seconds else None,
    ]


def _paired(run: Run, dense: Run | None) -> tuple[Any, Any]:
    """The difference to dense on the questions that both have, and McNemar's p."""
    if dense is None or run.is_dense:
        return None, None
    both = sorted(run.scores.keys() & dense.scores.keys())
    if not both:
        return None, None
    return against([run.scores[i] for i in both], [dense.scores[i] for i in both])


def _flops(run: Run) -> float | None:
    """The mean share of dense FLOPs that the language model's prefill took."""
    reduction = run.mean_cost("reduction")
    return None if reduction is None else 1 - reduction


def _note(runs: Sequence[Run]) -> str:
    missing = [name for task, name in OF_THE_PAPER.items() if task not in {r.task for r in runs}]
    here = "All of the paper's benchmarks are here."
    lacking = f"Not run here, for want of their data: {', '.join(missing)}."
    return (
        "Scores as the benchmark counts them; FLOPs of the language model's prefill as a share of "
        f"dense; seconds of the whole run, recording included. {lacking if missing else here}"
    )
