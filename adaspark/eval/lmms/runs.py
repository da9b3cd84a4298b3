"""What lmms-eval wrote of its runs: scores, samples and the costs that our model adds to them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.eval.lmms.arguments import split_arguments
from adaspark.eval.lmms.registry import MODEL
from adaspark.method.config import AdaSparkConfig

Cost = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One task under one setting. `scores` and `costs` are by document; `config` is None for a
    model that is not ours, and so dense.
    """

    task: str
    config: AdaSparkConfig | None
    score: float
    metric: str
    seconds: float
    scores: dict[int, float] = field(default_factory=dict)
    costs: dict[int, Cost] = field(default_factory=dict)

    @property
    def is_dense(self) -> bool:
        """Whether nothing was dropped."""
        return self.config is None or self.config.is_dense

    @property
    def setting(self) -> str:
        """A name for the settings."""
        if self.config is None or self.config.is_dense:
            return "dense"
        cube = "x".join(map(str, self.config.cube))
        return f"cube {cube}, p {self.config.attn_top_p} and {self.config.ffn_top_p}"

    def mean_cost(self, name: str) -> float | None:
        """The mean over the requests with video; None where none was counted."""
        found = [cost[name] for cost in self.costs.values() if name in cost]
        return sum(found) / len(found) if found else None


def read_runs(folder: Path) -> list[Run]:
    """The runs in a folder and below it, the latest of each task and setting.

    Raises UserError if there is none, or a file of theirs cannot be read.
    """
    found: dict[tuple[str, str], Run] = {}
    for path in sorted(folder.rglob("*_results.json"), key=lambda path: path.name):
        for run in _runs_of(path):
            found[run.task, run.setting] = run
    if not found:
        raise UserError(
            f"{folder} holds no run of lmms-eval: give the folder of --output_path, with "
            f"--log_samples."
        )
    return list(found.values())


def _runs_of(path: Path) -> Iterator[Run]:
    results = _json(path)
    arguments = _arguments(results.get("config", {}))
    ours = results.get("model_name") == MODEL or results.get("config", {}).get("model") == MODEL
    config = split_arguments(arguments)[0] if ours else None
    costs = _costs(path, arguments.get("costs"))
    for task, values in results.get("results", {}).items():
        scored = [(name, value) for name, value in values.items() if _is_score(name, value)]
        if not scored:
            continue
        metric, score = scored[0]
        name = metric.split(",")[0]
        samples = path.with_name(path.name.replace("_results.json", f"_samples_{task}.jsonl"))
        yield Run(
            task=task,
            config=config,
            score=float(score),
            metric=name,
            seconds=float(results.get("total_evaluation_time_seconds") or 0),
            scores=dict(_scores(samples, name)),
            costs={number: cost for (of, number), cost in costs.items() if of == task},
        )


def _is_score(name: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and "stderr" not in name and name not in ("alias", "samples")


def _scores(path: Path, metric: str) -> Iterator[tuple[int, float]]:
    """Each document's own score, where its metric has one: a number, or right and wrong."""
    if not path.is_file():
        return
    for line in path.read_text("utf-8").splitlines():
        sample = json.loads(line)
        value = sample.get(metric)
        if isinstance(value, Mapping):
            value = _of_parts(value)
        if isinstance(value, int | float):
            yield int(sample["doc_id"]), float(value)


def _of_parts(value: Mapping[str, Any]) -> float | None:
    if isinstance(value.get("score"), int | float):
        return float(value["score"])
    if "pred_answer" in value and "answer" in value:
        return float(value["pred_answer"] == value["answer"])
    return None


def _costs(path: Path, costs: Any) -> dict[tuple[str, int], Cost]:
    """The file that the model was told, where it is, or beside the results by its name."""
    if not costs:
        return {}
    places = [Path(str(costs)), *(folder / Path(str(costs)).name for folder in path.parents[:3])]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return {}
    lines = [json.loads(line) for line in found.read_text("utf-8").splitlines() if line.strip()]
    return {(line["task"], int(line["doc_id"])): line for line in lines}


def _arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The model's arguments, as text or as lmms-eval has read them."""
    given = config.get("model_args") or {}
    if isinstance(given, Mapping):
        return dict(given)
    pairs = (part.partition("=") for part in _parts(str(given)))
    return {name.strip(): _number(value) for name, _, value in pairs}


def _parts(text: str) -> Iterator[str]:
    """The text at its commas, but for those in brackets."""
    depth, part = 0, ""
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            yield part
            part = ""
        else:
            part += letter
    if part:
        yield part


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): leave it out.") from error
    return found
