"""What a run is about: videos and questions of a folder, a pattern or a table, as pairs."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adaspark.errors import UserError

TABLES = (".jsonl", ".csv", ".parquet")
SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"}
    | {".vob", ".flv", ".wmv", ".asf", ".ogv", ".3gp", ".3g2", ".dv", ".gif", ".apng"}
)
"""Files of a folder that are taken for videos, whether or not they turn out to be."""


class Pair(NamedTuple):
    """One question about one video (a path); `expected` is the right answer where it is known."""

    video: str
    question: str
    expected: str | None = None


def read_pairs(source: str, questions: str | None = None) -> list[Pair]:
    """Every question of every video, videos one after the other, each pair once.

    `source` is a folder, a pattern, one video, or a JSONL, CSV or Parquet table with a column
    `video` and, unless there are `questions`, a column `question`; `answer` is optional. Paths of
    a table count from its folder, else from where one is. `questions` is a file with one a line, or
    JSONL with `question` and optionally `answer`. Raises UserError for what cannot be read.
    """
    if Path(source).suffix.lower() in TABLES:
        pairs = _table_pairs(Path(source), questions)
    elif questions is None:
        raise UserError("There are no questions: give --questions FILE, one a line.")
    else:
        asked = _read_questions(Path(questions))
        pairs = [Pair(video, *each) for video in _videos(source) for each in asked]
    first_at = {video: at for at, video in reversed(list(enumerate(p.video for p in pairs)))}
    return sorted(dict.fromkeys(pairs), key=lambda pair: first_at[pair.video])


def _videos(source: str) -> list[str]:
    place = Path(source)
    if place.is_dir():
        found = [path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES]
        what = f"{source} holds no video: give a folder of MP4, MKV, WebM or other video files."
    elif place.is_file():
        return [source]
    else:
        found = [Path(name) for name in glob.glob(source, recursive=True)]  # noqa: PTH207
        what = f"There is no video at {source}: give a folder, a pattern, or a table of videos."
    files = sorted(path for path in found if path.is_file())
    if not files:
        raise UserError(what)
    return [str(path) for path in files]


def _table_pairs(path: Path, questions: str | None) -> list[Pair]:
    rows = list(_rows(path))
    if not rows:
        raise UserError(f"{path} has no rows: give each video and question a row.")
    has_questions = any(row.get("question") is not None for row in rows)
    if has_questions and questions is not None:
        raise UserError(f"{path} has questions of its own: leave out --questions, or that column.")
    if not has_questions and questions is None:
        raise UserError(f"{path} has no column `question`: add it, or give --questions FILE.")
    asked = [] if questions is None else _read_questions(Path(questions))
    pairs = []
    for number, row in enumerate(rows, 1):
        video = _beside(path, _text(path, number, row, "video"))
        if has_questions:
            pairs.append(Pair(video, _text(path, number, row, "question"), _answer(row)))
        else:
            pairs += [Pair(video, *each) for each in asked]
    return pairs


def _read_questions(path: Path) -> list[tuple[str, str | None]]:
    if path.suffix.lower() == ".jsonl":
        rows = enumerate(_json_lines(path), 1)
        asked = [(_text(path, number, row, "question"), _answer(row)) for number, row in rows]
    else:
        asked = [(line.strip(), None) for line in _lines(path) if line.strip()]
    if not asked:
        raise UserError(f"{path} holds no question: write one a line.")
    return asked


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    if path.suffix.lower() == ".jsonl":
        return _json_lines(path)
    from pyarrow import ArrowException, csv, parquet

    kind = "CSV" if path.suffix.lower() == ".csv" else "Parquet"
    try:
        table = csv.read_csv(path) if kind == "CSV" else parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise UserError(f"{path} cannot be read as {kind} ({error}): check it.") from error
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise UserError(f"Line {number} of {path} is not an object of JSON: mend it.")
            yield row


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): give a text file in UTF-8.") from error


def _text(path: Path, number: int, row: Mapping[str, Any], name: str) -> str:
    value = str(row.get(name) if row.get(name) is not None else "").strip()
    if not value:
        raise UserError(f"Row {number} of {path} has no `{name}`: every row needs one.")
    return value


def _answer(row: Mapping[str, Any]) -> str | None:
    value = row.get("answer")
    return None if value is None else str(value)


def _beside(table: Path, video: str) -> str:
    beside = table.parent / video
    return str(beside) if beside.exists() or not Path(video).exists() else video
