"""Runs to compare with the one in view: the same video and question, with one thing changed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from app.service.messages import BesideMessage, Comparison, Piece, RunSide
from app.service.queue import sentence
from app.service.results import Finished
from app.service.service import Service
from app.service.sessions import Asked

GONE = "The run in view is no longer on the server; ask again."
Vary = Callable[[Finished], dict[str, Any]]
"""Which options of a finished run are others in the run beside it."""
Describe = Callable[[Finished, Finished], Comparison]


def run_beside(
    service: Service, session_id: str, key: object, vary: Vary, describe: Describe
) -> Iterator[BesideMessage]:
    """Run a finished run again with what `vary` changes: the states, the last with `describe`.

    A newer run of the same session ends it: the last state is then "superseded". Never raises.
    """
    try:
        base = service.results.get(str(key))
        if base is None:
            raise UserError(GONE)
        service.videos.check_present(base.video)
        run = service.sessions.get(session_id).begin_beside()
        options = replace(base.options, **vary(base))
        for message in service.run(run, Asked(base.video, base.question), options):
            other = service.results.get(str(message.get("key", "")))
            yield {**other.message(), **describe(base, other)} if other else message
        if run.superseded:
            yield {"state": "superseded"}
    except Exception as error:
        yield {"state": "error", "error": sentence(error)}


def sides(base: Finished, other: Finished, labels: tuple[str, str]) -> list[RunSide]:
    """Both runs as the page shows them: answers with their differences, densities, costs.

    Seconds are compared with seconds of this server alone, not with those of a recorded run, nor
    with those of a follow-up, which did not read the video.
    """
    answers = marked(base.result.answer, other.result.answer)
    both = zip((base, other), labels, answers, strict=True)
    timed = not any(run.is_recorded or run.result.trace.meta.cached_tokens for run in (base, other))
    return [_side(finished, label, words, timed) for finished, label, words in both]


def marked(first: str, second: str) -> tuple[list[Piece], list[Piece]]:
    """Both texts in pieces: `same` are the words that the other has too, in the same order."""
    a, b = (re.findall(r"\s*\S+|\s+$", text) for text in (first, second))
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    matcher = SequenceMatcher(None, [w.strip() for w in a], [w.strip() for w in b], autojunk=False)
    for kind, *ends in matcher.get_opcodes():
        for into, words, (start, end) in zip(pieces, (a, b), (ends[:2], ends[2:]), strict=True):
            if start < end:
                into.append({"text": "".join(words[start:end]), "same": kind == "equal"})
    return pieces


def _side(finished: Finished, label: str, answer: list[Piece], timed: bool) -> RunSide:
    summary: dict[str, Any] = finished.result.summary()
    pruned = finished.result.trace.meta.pruned
    # A dense run scores no cubes, so the cost of choosing them is not counted.
    counted = "dense" if AdaSparkConfig.from_dict(summary["config"]).is_dense else "sparse"
    return {
        "label": label,
        "answer": answer,
        "tokens": summary["tokens"]["video"],
        "pruned_from": math.prod(pruned.grid) if pruned else None,
        "attention_density": summary["attention_density"],
        "ffn_density": summary["ffn_density"],
        "flops": summary["flops"][counted],
        "seconds": summary["seconds"].get("prefill") if timed else None,
        "recorded": finished.is_recorded,
    }
