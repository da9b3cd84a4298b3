"""The README's figures from the committed results: `python -m adaspark.bench.readme_figures`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from adaspark.assets import RESULTS
from adaspark.bench.gpu import table as gpu_table
from adaspark.bench.gpu.table import row as _row
from adaspark.bench.hour import table as hour_table
from adaspark.bench.serve import table as serve_table
from adaspark.eval.report.cells import Cell, written
from adaspark.eval.report.results import Results, load
from adaspark.method.config import as_typed

FAMILIES = ("families", "families_one_p")
"""The bundled model's default, and one p for all attention, as the paper has it."""


def figures() -> str:
    """All tables in Markdown, each with its command, hardware and commit."""
    parts = [
        *(families_table(load(RESULTS / folder)) for folder in FAMILIES),
        _bench(_read("bench/cpu.json")),
        serve_table.written(RESULTS / "bench/serve"),
        gpu_table.written(RESULTS / "bench/gpu"),
        hour_table.written(RESULTS / "bench/hour"),
    ]
    return "\n\n".join(parts) + "\n"


def families_table(results: Results) -> str:
    """Right answers by length, condition and family, densities and FLOPs, from saved tables."""
    answers = [table for table in results.tables if table.title.startswith("Answers, ")]
    costs = next(table.rows for table in results.tables if table.title == "Cost")
    names = [str(row[0]) for row in answers[0].rows]
    titles = ["frames, pixels", "", *names, "attention density", "FFN density", "FLOPs"]
    lines = [_row(*titles), _row("---", "---", *["---:"] * (len(titles) - 2))]
    for table, length in zip(answers, dict.fromkeys(row[0] for row in costs), strict=True):
        shares: dict[str, list[Cell]] = {"dense": [1.0, 1.0, 1.0]}
        shares |= {str(row[1]): [row[2], row[4], row[5]] for row in costs if row[0] == length}
        for condition, (attention, ffn, flops) in shares.items():
            column = list(table.columns).index(condition)
            right = [written(_value(row[column]), "percent") for row in table.rows]
            densities = written(attention, "share"), written(ffn, "share")
            cells = [*right, *densities, written(flops, "percent")]
            lines.append(_row(str(length).replace("x", ", "), condition, *cells))
    return "\n".join(
        [
            f"Right answers on held-out SparkWorld clips, at most {results.plan['items']} "
            "questions of each family at each length, and what the prefill computes as a share of "
            "dense. "
            f"Grounding is mIoU. {_dials(results.config)} Small model, synthetic video.",
            "",
            *lines,
            "",
            f"`{results.command}`, intervals and paired tests in "
            f"`assets/results/{results.folder.name}`; "
            f"{_where({'setting': results.setting})}.",
        ]
    )


def _value(cell: Cell) -> Cell:
    """A cell without its interval."""
    return cell[0] if isinstance(cell, tuple | list) else cell


def _dials(config: Mapping[str, Any]) -> str:
    cube = _cubes(config["cube"])
    attn, ffn = (as_typed(config[name]) for name in ("attn_top_p", "ffn_top_p"))
    whose = config.get("ffn_importance", "residual")
    if "text_top_p" not in config:
        return f"Cubes of {cube}, the paper's one p of attention {attn}, FFN {ffn} ({whose})."
    text = as_typed(config["text_top_p"])
    return (
        f"Cubes of {cube}, p {attn} for the video's queries and {text} for those of text (ours; "
        f"the paper has one p), FFN {ffn} ({whose})."
    )


def _bench(result: dict[str, Any]) -> str:
    titles = ["model", "video tokens", "cubes", "attention density", "FFN density", "stock"]
    titles += ["AdaSpark", "recorded", "speed", "by FLOPs", "memory, stock", "memory, AdaSpark"]
    lines = [_row(*titles), _row("---", *["---:"] * (len(titles) - 1))]
    for row in result["rows"]:
        seconds, memory = row["seconds"], row["peak_megabytes"]
        lines.append(
            _row(
                row["model"],
                f"{row['video_tokens']:,}",
                _cubes(row["cube"]) + (", its own setting" if row["is_own"] else ""),
                f"{row['attention_density']:.2f}",
                f"{row['ffn_density']:.2f}",
                f"{seconds['stock']['total']:.3f} s",
                f"{seconds['adaspark']['total']:.3f} s",
                f"{seconds['recorded']['total']:.3f} s",
                f"{row['speedup']:.2f} x",
                f"{row['ideal']:.2f} x",
                f"{memory['stock']:.0f} MB",
                f"{memory['adaspark']:.0f} MB",
            )
        )
    return "\n".join(
        [
            "Prefill of the language model on a CPU, stock with SDPA against AdaSpark, fp32, "
            "thresholds searched for these densities, and the bundled model's own; below 1 x we "
            "lose. Memory is what the prefill takes at its peak beyond the loaded model.",
            "",
            *lines,
            "",
            f"`adaspark bench cpu`, medians of {_rounds(result)}, one run, parity checked first; "
            f"{_where(result)}, {result['kernels']}.",
        ]
    )


def _rounds(result: dict[str, Any]) -> str:
    most = max(row.get("rounds", 0) for row in result["rows"])
    short = f" (up to {most} where a prefill is short)" if most > result["repeats"] else ""
    return f"{result['repeats']}{short}"


def _cubes(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))


def _where(result: dict[str, Any]) -> str:
    used = result["setting"]
    device = used["processor"] if used["accelerator"] == "none" else used["accelerator"]
    return (
        f"{device}, torch {used['torch']}, transformers {used['transformers']}, "
        f"commit {used['commit']}"
    )


def _read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((RESULTS / name).read_text("utf-8"))
    return values


if __name__ == "__main__":
    print(figures(), end="")
