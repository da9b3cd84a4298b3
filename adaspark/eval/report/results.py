"""The files of one evaluation: `results.json`, its items and its PNGs, in one folder.

Items (see `ItemLog`) are added as they are computed, so that a stopped run can resume, and are
kept, so that pictures can be drawn anew without the model. Runs go to `runs/eval/NAME`; those that
the README shows are committed in `assets/results/NAME`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from adaspark.environment import setting
from adaspark.errors import UserError
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.items import OWN_FIELDS, ItemLog
from adaspark.eval.report.tables import Table
from adaspark.figures_json import text_of
from adaspark.files import write_whole
from adaspark.trace.summary import finite_or_none

SCHEMA = 1
RUNS = Path("runs/eval")

Label = Literal["S", "A", "R", "Q"]
LABELS: dict[Label, str] = {
    "S": "Small model, synthetic video",
    "A": "Arithmetic",
    "R": "Real weights",
    "Q": "Quoted from a named paper",
}


@dataclass
class Results:
    """One evaluation on disk. Opening it again with the same plan takes up the items it holds.

    `plan`, `config` and `seed` must name everything that the items depend on, the weights
    included (see `fingerprint`): items of another plan stay in the file and are ignored. `data`
    holds what pictures need beyond items and tables, `page` the words of the page. `setting`
    (hardware, versions, commit) is taken from this machine unless given; `device` is where the
    model runs.

    Raises UserError if the folder cannot be used.
    """

    folder: Path
    command: str
    plan: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    label: Label = "S"
    device: str = "cpu"
    setting: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    page: dict[str, Any] = field(default_factory=dict)
    items: list[dict[str, Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise ValueError(f"A label is one of {', '.join(LABELS)}; got {self.label!r}.")
        self.folder = Path(self.folder)
        self.setting = self.setting or setting(self.device)
        self.plan_hash = _hash(self.plan, self.config, self.seed)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._log = ItemLog(self.folder)
            self.items = [i for i in self._log.read() if i["plan"] == self.plan_hash]
        except OSError as error:
            raise _unusable(error) from error
        self._keys = {_key(item["key"]) for item in self.items}
        self._since = time.monotonic()

    @property
    def seconds(self) -> float:
        """Time spent on the items, over all runs that computed them."""
        return float(sum(item["seconds"] for item in self.items))

    @property
    def commits(self) -> list[str]:
        """The commits that the items were computed with."""
        return sorted({item["commit"] for item in self.items}) or [self.setting["commit"]]

    def has(self, *key: str | float) -> bool:
        """Whether the item of that key, such as (seed, family, condition), has been computed."""
        return _key(key) in self._keys

    def add(self, *key: str | float, **values: Any) -> None:
        """Append an item to the file. Arrays become lists, NaN null; six figures are kept.

        Raises ValueError for a key that is there or a value called plan, commit, seconds or key;
        UserError if the disk refuses.
        """
        if self.has(*key):
            raise ValueError(f"There is an item {key} already: ask `has` before computing it.")
        if taken := OWN_FIELDS & values.keys():
            raise ValueError(f"An item's {', '.join(sorted(taken))} is not the caller's to set.")
        now = time.monotonic()
        line = {
            "plan": self.plan_hash,
            "commit": self.setting["commit"],
            "seconds": now - self._since,
            "key": list(key),
        }
        item = _plain({**line, **values})
        try:
            self._log.append(item)
        except OSError as error:
            raise _unusable(error) from error
        self.items.append(item)
        self._keys.add(_key(key))
        self._since = now

    def save(self, tables: Sequence[Table], figures: Sequence[Figure] = ()) -> None:
        """Write `results.json` and the figures, in place of what an earlier run left; pack items.

        Raises UserError if the disk refuses.
        """
        self.tables, self.figures = list(tables), list(figures)
        text = text_of(_plain(self.to_dict()))
        for figure in figures:
            write(self.folder / figure.file, figure.png)
        write(self.folder / "results.json", text.encode())
        try:
            self._log.pack()
        except OSError as error:
            raise _unusable(error) from error

    def to_dict(self) -> dict[str, Any]:
        """What `results.json` says."""
        return {
            "schema": SCHEMA,
            "label": self.label,
            "command": self.command,
            "plan": dict(self.plan),
            "plan_hash": self.plan_hash,
            "config": dict(self.config),
            "seed": self.seed,
            "device": self.device,
            "setting": self.setting,
            "commits": self.commits,
            "seconds": self.seconds,
            "items": len(self.items),
            "tables": [table.to_dict() for table in self.tables],
            "figures": [{"file": f.file, "title": f.title, "alt": f.alt} for f in self.figures],
            "page": self.page,
            "data": self.data,
        }


def load(folder: str | Path) -> Results:
    """What a finished evaluation left: items, data, tables, the words of its page, and those of its
    pictures that are still beside it.

    Raises UserError if there is none, or one that this version cannot read.
    """
    path = Path(folder) / "results.json"
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["schema"] != SCHEMA:
            raise UserError(
                f"{path} has schema {values['schema']!r}, this version reads {SCHEMA}; "
                "run the evaluation again."
            )
        names = ("command", "plan", "config", "seed", "label", "device", "setting", "data")
        tables = [Table.from_dict(table) for table in values["tables"]]
        pictures = _pictures(Path(folder), values["figures"])
        given = {name: values[name] for name in names} | {"page": values.get("page", {})}
        return Results(Path(folder), tables=tables, figures=pictures, **given)
    except FileNotFoundError as error:
        raise UserError(f"{folder} holds no results: run the evaluation first.") from error
    except OSError as error:
        raise _unusable(error) from error
    except UserError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a result of AdaSpark: run the evaluation again.") from error


def _pictures(folder: Path, listed: Sequence[Mapping[str, str]]) -> list[Figure]:
    there = [(folder / str(known["file"]), known) for known in listed]
    return [
        Figure(path.stem, path.read_bytes(), known["title"], known["alt"])
        for path, known in there
        if path.is_file()
    ]


def fingerprint(path: str | Path) -> str:
    """Twelve hexadecimal digits of a file's SHA-256: the weights' part of a plan."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises UserError if the disk refuses."""
    try:
        write_whole(path, lambda draft: draft.write_bytes(content))
    except OSError as error:
        raise _unusable(error) from error


def _hash(plan: Mapping[str, Any], config: Mapping[str, Any], seed: int) -> str:
    text = json.dumps(_plain([plan, config, seed]), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _key(parts: Sequence[str | float]) -> str:
    return json.dumps(_plain(parts))


def _plain(value: Any) -> Any:
    """JSON-ready: arrays and tuples as lists, six significant figures, NaN and infinity as null."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return finite_or_none(float(f"{value:.6g}"))
    return value


def _unusable(error: OSError) -> UserError:
    return UserError(
        f"{error.filename} cannot be used ({error.strerror}): name another folder with --out."
    )
