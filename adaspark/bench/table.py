"""The README's figures from the committed results: `python -m adaspark.bench.table`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "assets" / "results"


def figures() -> str:
    """Both tables in Markdown, each with its command, hardware and commit."""
    bench = _read("bench/cpu.json")
    families = [_read(f"families/{name}.json") for name in ("frames16_px112", "frames64_px224")]
    return f"{_families(families)}\n\n{_bench(bench)}\n"


def _families(results: Sequence[dict[str, Any]]) -> str:
    names = list(results[0]["families"])
    lines = [
        _row("frames, pixels", "", *names, "attention density", "FFN density", "FLOPs"),
        _row(*["---"] * (len(names) + 5)),
    ]
    for result in results:
        plan, means = result["plan"], result["means"]
        for arm in ("dense", "adaspark"):
            right = [f"{result['families'][name][arm]:.1%}" for name in names]
            sparse = [
                f"{means['attention_density']:.2f}",
                f"{means['ffn_density']:.2f}",
                f"-{means['reduction']:.0%}",
            ]
            cost = sparse if arm == "adaspark" else ["1", "1", ""]
            lines.append(_row(f"{plan['frames']}, {plan['size']}", arm, *right, *cost))
    first = results[0]
    config = first["config"]
    cube = " x ".join(str(side) for side in config["cube"])
    return "\n".join(
        [
            "Exact answers on held-out SparkWorld clips with two or three objects, the bundled "
            f"model, untuned; cubes of {cube}, p {config['attn_top_p']} and {config['ffn_top_p']}. "
            "Small model, synthetic video.",
            "",
            *lines,
            "",
            "`adaspark eval families --frames F --size S`, "
            + " and ".join(f"{r['plan']['clips']} clips" for r in results)
            + f"; {_where(first)}.",
        ]
    )


def _bench(result: dict[str, Any]) -> str:
    titles = ["video tokens", "attention density", "FFN density", "stock", "AdaSpark", "speed"]
    titles += ["by FLOPs", "by tiles alone", "by key cubes alone"]
    lines = [_row(*titles), _row(*["---"] * len(titles))]
    for row in result["rows"]:
        seconds, stock = row["seconds"], row["seconds"]["stock"]
        lines.append(
            _row(
                f"{row['video_tokens']:,}",
                f"{row['attention_density']:.2f}",
                f"{row['ffn_density']:.2f}",
                f"{stock:.2f} s",
                f"{seconds['adaspark']:.2f} s",
                f"{row['speedup']:.2f} x",
                f"{row['ideal']:.2f} x",
                f"{stock / seconds['tiles']:.2f} x",
                f"{stock / seconds['key_cubes']:.2f} x",
            )
        )
    cube = " x ".join(str(side) for side in result["cube"])
    return "\n".join(
        [
            "Prefill of the bundled language model, stock with SDPA against AdaSpark, fp32, cubes "
            f"of {cube}, thresholds searched for these densities; below 1 x we lose.",
            "",
            *lines,
            "",
            f"`adaspark bench cpu`, medians of {result['repeats']}, one run, parity checked first; "
            f"{_where(result)}.",
        ]
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _where(result: dict[str, Any]) -> str:
    used = result["setting"]
    return (
        f"{used['processor']}, torch {used['torch']}, transformers {used['transformers']}, "
        f"commit {used['commit']}"
    )


def _read(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((RESULTS / name).read_text("utf-8"))
    return values


if __name__ == "__main__":
    print(figures(), end="")
