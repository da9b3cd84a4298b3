"""Whether a checkpoint's files are whole, and which is not: read before any weight is."""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.model.checkpoint_source import Source

_LFS = b"version https://git-lfs"
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model.safetensors", "pytorch_model.bin")
_SETTINGS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "chat_template.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "vocab.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "adaspark.json",
)
_TEXTS = ("merges.txt", "chat_template.jinja")
_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
_MOST_HEADER_BYTES = 100_000_000  # the safetensors format's own limit
_SHOWN_NAMES = 3


def read_json(source: Source, name: str) -> dict[str, Any]:
    """A JSON file of the checkpoint; empty where it has none. Raises UserError, naming the file."""
    path = source.files / name
    if not path.is_file():
        return {}
    refuse_pointer(source, path)
    try:
        values = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise unusable(source, name, f"is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise unusable(source, name, "holds no JSON object")
    return values


def check_settings(source: Source) -> None:
    """Raise UserError where a file of settings is damaged or there is no tokenizer."""
    for name in _SETTINGS:
        read_json(source, name)
    for name in _TEXTS:
        if (source.files / name).is_file():
            refuse_pointer(source, source.files / name)
    if not any(all((source.files / n).is_file() for n in names) for names in _TOKENIZERS):
        raise UserError(
            f"{source.name} has no tokenizer: it needs tokenizer.json, or vocab.json and "
            f"merges.txt; {source.remedy('tokenizer.json')}."
        )


def check_weights(source: Source) -> None:
    """Raise UserError where a file of weights is missing, cut short, or lacks what it should hold.

    Headers alone are read: seconds, not minutes, whatever the size of the model.
    """
    names = weight_files(source)
    if not names:
        raise UserError(
            f"{source.name} has no weights: it needs {_SINGLES[0]}, or {_INDEXES[0]} and the "
            f"files it lists; {source.remedy()}."
        )
    listed = _listed(source)
    for name in names:
        path = source.files / name
        if not path.is_file():
            raise UserError(f"{source.name} lacks {name}: {source.remedy(name)}.")
        refuse_pointer(source, path)
        if path.suffix == ".safetensors":
            held = _tensors(source, path)
            expected = listed.get(name, held)
            if lacking := expected - held:
                raise unusable(source, name, f"lacks {some(lacking)}, which its index lists")
            if unlisted := held - expected:
                what = f"does not list {some(unlisted)}, which {name} holds"
                raise unusable(source, _INDEXES[0], what)


def weight_files(source: Source) -> list[str]:
    """The names of the files of weights, by the index if there is one; they may not be there."""
    if listed := _listed(source):
        return sorted(listed)
    return [name for name in _SINGLES if (source.files / name).is_file()][:1]


def unusable(source: Source, name: str, what: str) -> UserError:
    """The error for a file (the weights if empty) of which `what` says what is wrong."""
    return UserError(f"{name or 'The weights'} of {source.name} {what}: {source.remedy(name)}.")


@contextmanager
def blamed(source: Source, name: str) -> Iterator[None]:
    """Say which file was being read when transformers failed.

    Its parsers raise whatever a wrong value leads to, so every exception is met here.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise unusable(source, name, f"cannot be used ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """An exception as part of one sentence."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200].rstrip('.:')}" if text else type(error).__name__


def some(names: Collection[str]) -> str:
    """The first few of many names, and how many there are."""
    first = sorted(names)[:_SHOWN_NAMES]
    more = f" and {len(names) - len(first):,} more" if len(names) > len(first) else ""
    return ", ".join(first) + more


def refuse_pointer(source: Source, path: Path) -> None:
    """Raise UserError for a file that stands for another: Git's, where LFS was not installed."""
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise unusable(source, path.name, "is a Git LFS pointer, not the file itself")


def _listed(source: Source) -> dict[str, set[str]]:
    """The tensors of each file, by the index; empty where it has none, and needs none."""
    if (source.files / _SINGLES[0]).is_file():  # as transformers: one file comes before an index
        return {}
    for name in _INDEXES:
        if not (source.files / name).is_file():
            continue
        table = read_json(source, name).get("weight_map")
        if not isinstance(table, dict) or not table:
            raise unusable(source, name, "lists no weights (weight_map)")
        listed: dict[str, set[str]] = {}
        for tensor, file in table.items():
            if not isinstance(file, str) or Path(file).name != file:
                raise unusable(source, name, f"lists {tensor} in no file of its folder")
            listed.setdefault(file, set()).add(tensor)
        return listed
    return {}


def _tensors(source: Source, path: Path) -> set[str]:
    """The names in a safetensors file, whose size must be what its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        try:
            if not 2 <= length <= min(_MOST_HEADER_BYTES, size - 8):
                raise ValueError("its header is cut short")
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = (
                8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
            )
        except (ValueError, KeyError, TypeError, AttributeError, LookupError) as error:
            what = f"is cut short or damaged ({size:,} bytes, no readable header)"
            raise unusable(source, path.name, what) from error
    if size != end:
        raise unusable(source, path.name, f"has {size:,} bytes of {end:,}")
    return set(header)
