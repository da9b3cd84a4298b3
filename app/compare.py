"""Compare: the run in view against dense, another rule, fewer frames, or fewer tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from adaspark.config import AdaSparkConfig
from adaspark.request import Options
from adaspark.rivals import rival
from app.beside import run_beside, sides
from app.results import Finished, Message
from app.service import Service

RIVAL_NAMES = {
    "dense": "Dense: everything",
    "top_k": "Top-k cubes, as many",
    "uniform": "Evenly spread cubes, as many",
    "random": "Random cubes, as many",
    "recent": "Latest cubes, as many",
    "frames": "Dense on fewer frames, same FLOPs",
    "prune": "Token pruning: dense on fewer tokens, same FLOPs",
}
"""Of each rival in `adaspark.rivals.RIVALS`, what the page calls it."""
SHORT_NAMES = {
    "top_p": "AdaSpark",
    "top_k": "Top-k",
    "uniform": "Even",
    "random": "Random",
    "recent": "Latest",
}


def compare(service: Service, session: str, key: object, name: object) -> Iterator[Message]:
    """Run a rival of a finished run: the states, the last one with both `sides`."""

    def vary(base: Finished) -> Options:
        other = rival(base.result.trace, str(name))
        frames = other.max_frames or base.options.max_frames
        return replace(
            base.options, config=other.config, max_frames=frames, keep_tokens=other.keep_tokens
        )

    def tell(base: Finished, other: Finished) -> Message:
        labels = label(base), label(other) if name != "frames" else "Fewer frames"
        return {"sides": sides(base, other, labels)}

    return run_beside(service, session, key, vary, tell)


def label(finished: Finished) -> str:
    """A run's way of choosing in a word or two."""
    if finished.options.keep_tokens is not None:
        return f"Pruned to {finished.options.keep_tokens:,} tokens"
    config = AdaSparkConfig.from_dict(finished.result.trace.meta["config"])
    return "Dense" if config.is_dense else SHORT_NAMES[config.attn_rule]
