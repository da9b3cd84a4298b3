"""The functions of `videoniah.yaml`: what is shown, asked and counted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

ASKED = "Answer with the option's letter from the given choices directly."
LETTERS = "ABCDEFGH"


def videos(doc: Mapping[str, Any]) -> list[str]:
    """The paths of what is shown."""
    return [doc["video"]]


def question(doc: Mapping[str, Any], _: Any = None) -> str:
    """The question, its options by letter, and how to answer."""
    options = zip(LETTERS, doc["options"], strict=False)
    listed = [f"{letter}. {option}" for letter, option in options]
    return "\n".join([doc["question"], *listed, ASKED])


def messages(doc: Mapping[str, Any], _: Any = None) -> list[dict[str, Any]]:
    """The same as one turn of a chat."""
    parts = [{"type": "video", "url": doc["video"]}, {"type": "text", "text": question(doc)}]
    return [{"role": "user", "content": parts}]


def judged(doc: Mapping[str, Any], results: Sequence[Any]) -> dict[str, Any]:
    """Whether this time was right, and of which item it was."""
    said = results[0] if isinstance(results[0], str) else results[0].text
    found = re.search(r"\b([A-H])\b", said.upper())
    right = float(found is not None and found[1] == doc["answer"].strip().upper())
    return {"accuracy": right, "circular_accuracy": {"item": doc["item"], "score": right}}


def circular_accuracy(answers: Sequence[Mapping[str, Any]]) -> float:
    """The share of items that were right every time."""
    times: dict[Any, list[float]] = defaultdict(list)
    for answer in answers:
        times[answer["item"]].append(answer["score"])
    return sum(min(scores) for scores in times.values()) / len(times)
