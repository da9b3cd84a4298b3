"""The README's GPU figures from the committed runs of `adaspark bench gpu`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

CUBE = 128
TOKENS = (8192, 32768, 65536, 131072, 262144)
SHOWN = ((0.1, 1.0), (0.1, 2.0), (0.4, 1.0))
"""(density, inflation) of the rows that are shown, or what comes nearest."""


def written(folder: Path) -> str:
    """One layer, a whole model, and in words what the other parts found."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")}
    return "\n\n".join([_layer(read), _model(read), _words(read)])


def row(*cells: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def _layer(read: dict[str, Any]) -> str:
    titles = ["video tokens", "density", "inflation", "best dense", "choosing", "planning"]
    titles += ["attending", "speed", "useful rate"]
    lines = [row(*titles), row(*["---:"] * len(titles))]
    rows = [*read["layer"]["attention"], *read["layer_256k"]["attention"]]
    for tokens in TOKENS:
        there = [f for f in rows if (f["tokens"], f["cube"]) == (tokens, CUBE)]
        for density, inflation in SHOWN:
            found = min(there, key=partial(_distance, density, inflation))
            lines.append(
                row(
                    f"{tokens:,}",
                    f"{found['density']:.2f}",
                    f"{found['inflation']:.1f}",
                    *(f"{t * 1e3:.2f} ms" for t in _times(found)),
                    f"{found['speed']:.2f} x",
                    f"{found['rate']:.0%}".replace("%", " %"),
                )
            )
    return "\n".join(
        [
            "Attention of one layer of the 7B model on a GPU (28 query and 4 KV heads of 128, "
            f"bf16), cubes of {CUBE}, planted selections: AdaSpark with everything that it takes "
            "against the faster of PyTorch's flash and cuDNN backends. Inflation is what a tile of "
            "128 rows computes over what its rows selected; the useful rate is in selected "
            "products a second, against dense. Below 1 x we lose.",
            "",
            *lines,
            "",
            f"`adaspark bench gpu`, medians of {read['layer']['repeats']} (262,144 tokens: "
            f"`--quick`, medians of {read['layer_256k']['repeats']}, "
            f"{_commit(read['layer_256k'])}), parity checked first; {_where(read['layer'])}. "
            "All rows, cubes of 64 and 256 too, in `assets/results/bench/gpu`.",
        ]
    )


def _distance(density: float, inflation: float, found: dict[str, Any]) -> float:
    return float(abs(found["density"] - density) + abs(found["inflation"] / inflation - 1) / 5)


def _times(found: dict[str, Any]) -> tuple[float, ...]:
    return min(found["dense"].values()), found["choose"], found["plan"], found["attend"]


def _model(read: dict[str, Any]) -> str:
    titles = [
        "video tokens",
        "cubes of",
        "dense",
        "FFN only",
        "attention only",
        "both",
        "both, inflation 1.5",
    ]
    lines = [row(*titles), row(*["---:"] * len(titles))]
    for found in read["model"]["model"]:
        dense = found["dense ms"]
        conditions = ["ffn only", "attention only, inflation 1.0", "both, inflation 1.0"]
        conditions.append("both, inflation 1.5")
        speeds = (f"{dense / found[f'{condition} ms']:.2f} x" for condition in conditions)
        about = (f"{found['model tokens']:,}", str(found["cube"]), f"{dense / 1e3:.2f} s")
        lines.append(row(*about, *speeds))
    return "\n".join(
        [
            "Prefill of a random 7B language model, attention density 0.3 (planted, inflation 1 "
            "unless said) and FFN density 0.5; dense is stock transformers with SDPA.",
            "",
            *lines,
            "",
            f"`adaspark bench gpu --parts model`, medians of {read['model']['repeats']}; "
            f"{_where(read['model'])}.",
        ]
    )


def _words(read: dict[str, Any]) -> str:
    (long,) = read["long"]["long"]
    flex = [f["flex ms"] / f["attend ms"] for f in read["flex"]["flex"]]
    captured = read["captured"]["captured"]
    inflation = {p: [f["inflation"] for f in captured if f["p"] == p] for p in (0.9, 0.7)}
    speed = [f["dense"] / f["attend"] for f in captured]
    return (
        f"`--parts long`: {long['long tokens']:,} tokens, their cache kept, in "
        f"{long['seconds']:.0f} s and {long['peak GB']:.0f} GB (p {long['attn_top_p']}, FFN "
        f"density {long['ffn density']}, cubes of 256; {_commit(read['long'])}). `--parts flex`: "
        f"FlexAttention with the same mask takes {min(flex):.1f} to {max(flex):.1f} times as long "
        f"as our kernels (32,768 tokens; {_commit(read['flex'])}). `--parts captured`: selections "
        "of the bundled model (16,384 tokens, cubes of 64) have an inflation of "
        f"{median(inflation[0.9]):.1f} at p 0.9 and {median(inflation[0.7]):.1f} at p 0.7 in the "
        f"median layer; attending to them alone is {min(speed):.2f} to {max(speed):.2f} times as "
        f"fast as dense ({_commit(read['captured'])}).{_decoding(read)}"
    )


def _decoding(read: dict[str, Any]) -> str:
    """A step of decoding, where it was measured: planted choices, captured in graphs."""
    if (run := read.get("decode")) is None:
        return ""
    told = [
        f"{found['sparse ms at 0.25'] * 1e3:.0f} us against {_best(found) * 1e3:.0f} at "
        f"{found['decode tokens']:,} tokens"
        for found in run["decode"]
    ]
    return _flash(read) + (
        " `--parts decode`: one layer's attention of a new token, choice included, that reads a "
        f"quarter of the cubes, against the best dense one: {', '.join(told)} ({_commit(run)})."
    )


def _flash(read: dict[str, Any]) -> str:
    """The real flash-attn on the studio's own calls, where it was tried."""
    if (run := read.get("flash")) is None:
        return ""
    rows = run["flash"]
    times = {
        found.get("tower") or f"{found['flash tokens']:,} tokens": (
            f"{found['flash ms']:.2f} ms against {found['sdpa ms']:.2f}"
        )
        for found in rows  # a tower is timed once for each length: the last stands
    }
    told = ", ".join(f"{name} {time}" for name, time in times.items())
    error = max(found["error"] for found in rows)
    return (
        f" `--parts flash`: {rows[0]['package']} on a layer of p = 1 and a tower's windows, "
        f"against PyTorch's own attention: {told}; it is used where it is the faster one, and "
        f"differs by {error:.4f} of the largest output at most ({_commit(run)})."
    )


def _best(found: dict[str, Any]) -> float:
    return float(min(found["sdpa ms"], found["dense ms"]))


def _where(run: dict[str, Any]) -> str:
    used = run["setting"]
    return (
        f"{used['accelerator']}, torch {used['torch']}, {run['kernels'].split(',')[0]}, "
        f"{_commit(run)}"
    )


def _commit(run: dict[str, Any]) -> str:
    return f"commit {run['setting']['commit']}"
