"""The README's figures of whole requests, from the committed runs of `adaspark bench serve`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.bench.gpu.table import row as _row
from adaspark.bench.serve.agreement import sentence
from adaspark.bench.serve.conditions import PHASES
from adaspark.bench.serve.models import MODELS

CONDITIONS = {"stock": "stock", "ours": "ours", "recorded": "ours, recorded"}


def written(folder: Path) -> str:
    """A table for every run, each with its setting."""
    files = sorted(folder.glob("*.json"))
    return "\n\n".join(_table(json.loads(path.read_text("utf-8"))) for path in files)


def _table(run: dict[str, Any]) -> str:
    titles = ["model", "video tokens", "", *PHASES, "first word", "last word", "whole", "memory"]
    lines = [_row(*titles), _row("---", "---:", "---", *["---:"] * (len(titles) - 3))]
    for found in run["rows"]:
        for condition, named in CONDITIONS.items():
            seconds, memory = found["seconds"][condition], found["peak_gigabytes"][condition]
            times = [f"{seconds[name]:.2f}" for name in (*PHASES, *_ENDS)]
            memory = f"{memory:.1f} GB" if memory else "-"
            lines.append(_row(found["model"], f"{found['video_tokens']:,}", named, *times, memory))
    used = run["setting"]
    device = used["processor"] if used["accelerator"] == "none" else used["accelerator"]
    return "\n".join(
        [
            "A whole request about an hour of 320 x 180 video, in seconds: transformers' model and "
            "`generate` with SDPA (frames read by our reader), against the studio's own way, "
            "unrecorded and recorded as the page does. In ours, decoding and the vision tower "
            f"overlap. {run['words']} words; {_weights(run)} ({_densities(run)}).",
            "",
            *lines,
            "",
            f"{_afterwards(run)} `{_command(run)}`, {_repeats(run)} after a first "
            f"request of each kind, parity checked first; {device}, torch {used['torch']}, "
            f"transformers {used['transformers']}, {run['kernels'].split(',')[0]}, commit "
            f"{used['commit']}.",
        ]
    )


HOUR_TOKENS = 25_344
"""An hour shown in 768 frames."""


def nearest_to_hour(tokens: Sequence[int]) -> int:
    """The length that is asked about most, of those there are."""
    return min(tokens, key=lambda count: abs(count - HOUR_TOKENS))


_ENDS = ("first_word", "last_word", "whole")


def _weights(run: dict[str, Any]) -> str:
    if all(row["model"] in MODELS["cpu"] for row in run["rows"]):
        return "the bundled model and its own setting, on a video that is none of its world"
    return "random weights, whose choice is sparser than that of trained ones"


def _densities(run: dict[str, Any]) -> str:
    p = run["rows"][0]["config"]
    names = ("attention_density", "ffn_density")
    low, high = (
        [pick(found[name] for found in run["rows"]) for name in names] for pick in (min, max)
    )
    told = [f"{a:.2f} to {b:.2f}" for a, b in zip(low, high, strict=True)]
    return (
        f"p {p['attn_top_p']} and {p['ffn_top_p']}: attention density {told[0]}, FFN density "
        f"{told[1]}"
    )


def _afterwards(run: dict[str, Any]) -> str:
    """Of the length that is asked about most: the one nearest to an hour's."""
    usual = nearest_to_hour([row["video_tokens"] for row in run["rows"]])
    last = next(row for row in run["rows"] if row["video_tokens"] == usual)
    shapes = ", ".join(
        f"cubes of {cube.replace('x', ' x ')} take {first:.1f} s the first time and {again:.1f} s "
        "again"
        for cube, (first, again) in last["new_cube_shape"].items()
    )
    then = (
        f", another question its first word in {last['follow_up']:.2f} s"
        if "follow_up" in last
        else ""
    )
    agreed = f" {sentence(last['agreement'])}" if "agreement" in last else ""
    return (
        f"At {last['video_tokens']:,} tokens, with the features known, a moved slider gives its "
        f"answer and pictures in {last['slider_move']:.2f} s{then}; {shapes} (kernels that "
        f"sizes asked before had compiled were there).{agreed}"
    )


def _command(run: dict[str, Any]) -> str:
    """Those that a plain call asks too are not named."""
    names = dict.fromkeys(row["model"] for row in run["rows"])
    more = [name for name in names if not any(name in usual for usual in MODELS.values())]
    return " ".join(["adaspark bench serve", *(["--models", *more] if more else [])])


def _repeats(run: dict[str, Any]) -> str:
    return f"medians of {run['repeats']}" if run["repeats"] > 1 else "one request"
