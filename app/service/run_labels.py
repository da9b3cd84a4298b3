"""Labels of two runs that are shown beside each other: what sets them apart."""

from __future__ import annotations

from collections.abc import Mapping

from adaspark.method.config import AdaSparkConfig, TopP
from adaspark.trace.meta import required
from app.service.results import Finished

_RULES = {
    "top_p": "AdaSpark",
    "top_k": "Top-k",
    "uniform": "Even",
    "random": "Random",
    "recent": "Latest",
}


def labels(one: Finished, other: Finished) -> tuple[str, str]:
    """How each chooses, in a word or two; their settings if they choose alike."""
    fewer = other.options.keep_tokens is None and _slices(other) < _slices(one)
    names = _name(one), "Fewer frames" if fewer else _name(other)
    return names if names[0] != names[1] else (_settings(one), _settings(other))


def _name(finished: Finished) -> str:
    options, config = finished.options, _config(finished)
    if options.keep_tokens is not None:
        return f"Pruned to {options.keep_tokens:,} tokens"
    if options.forced:
        return _forced(options.forced)
    return "Dense" if config.is_dense else _RULES[config.attn_rule]


def _forced(forced: Mapping[int, bool]) -> str:
    sides = {on: [cube for cube, is_on in forced.items() if is_on == on] for on in (True, False)}
    named = {
        on: f"Cube {c[0]}" if len(c) == 1 else f"{len(c)} cubes" for on, c in sides.items() if c
    }
    return ", ".join(f"{name} {'on' if on else 'off'}" for on, name in named.items())


def _settings(finished: Finished) -> str:
    config = _config(finished)
    cube = " x ".join(map(str, config.cube))
    words = "" if config.text_top_p is None else f" (words {_threshold(config.text_top_p)})"
    attn, ffn = _threshold(config.attn_top_p), _threshold(config.ffn_top_p)
    weighed = "" if config.ffn_importance == "residual" else f" by {config.ffn_importance}"
    return f"p {attn}{words} and {ffn}{weighed}, cubes {cube}"


def _threshold(top_p: TopP) -> str:
    if not isinstance(top_p, tuple):
        return f"{top_p:g}"
    return f"{min(top_p):g} to {max(top_p):g} by layer"


def _config(finished: Finished) -> AdaSparkConfig:
    return required(finished.result.trace.meta.config, "settings")


def _slices(finished: Finished) -> int:
    return sum(int(grid[0]) for grid in finished.result.trace.meta.grids)
