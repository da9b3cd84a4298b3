"""One run as rows: what its trace says, in columns whose names carry the units."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pyarrow as pa

from adaspark.inspect.inputs import Pair
from adaspark.trace.summary import summary
from adaspark.trace.trace import Trace

PHASES = ("decode", "vision", "prefill", "generate")
_AT_ENDS = ".,;:!?\"'()[]{}…"
_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()
ROWS = pa.schema(
    [
        ("video", _TEXT),
        ("question", _TEXT),
        ("answer", _TEXT),
        ("expected", _TEXT),
        ("correct", pa.bool_()),
        ("error", _TEXT),
        ("attention_density", _NUMBER),
        ("ffn_density", _NUMBER),
        ("flops_reduction", _NUMBER),
        *((f"seconds_{phase}", _NUMBER) for phase in PHASES),
        ("setting", _TEXT),
        ("flops_reduction_with_vision", _NUMBER),
        ("flops_dense", _NUMBER),
        ("flops_sparse", _NUMBER),
        ("flops_executed", _NUMBER),
        ("attention_entropy", _NUMBER),
        ("ffn_entropy", _NUMBER),
        ("answer_logprob_nats", _NUMBER),
        ("video_tokens", _COUNT),
        ("text_tokens", _COUNT),
        ("cubes", _COUNT),
        ("duration_seconds", _NUMBER),
        ("config", _TEXT),
        ("model", _TEXT),
        ("warnings", _TEXT),
        ("trace", _TEXT),
        ("report", _TEXT),
        ("thumbnail", _TEXT),
    ]
)
"""`rows.parquet`: one row a pair and a setting. Entropies are normalised to [0, 1]; `config` is
JSON; `trace`, `report` and `thumbnail` are paths in the folder; what is unknown is null."""
LAYERS = pa.schema(
    [
        ("video", _TEXT),
        ("question", _TEXT),
        ("setting", _TEXT),
        ("layer", _COUNT),
        ("attention_density", _NUMBER),
        ("ffn_density", _NUMBER),
        ("attention_entropy", _NUMBER),
        ("ffn_entropy", _NUMBER),
    ]
)
"""`layers.parquet`: one row a layer of each of them."""


def row_of(trace: Trace, pair: Pair, setting: str) -> dict[str, Any]:
    """The row of a finished run."""
    said, meta = summary(trace), trace.meta
    logprobs = [word.logprob for word in meta.words if word.kind == "answer"]
    known = [value for value in logprobs if value is not None]
    return {
        **named(pair, setting),
        "answer": said["answer"],
        "correct": is_correct(said["answer"] or "", pair.expected),
        "attention_density": said["attention_density"],
        "ffn_density": said["ffn_density"],
        **{f"flops_{name}": value for name, value in said["flops"].items()},
        **{f"seconds_{phase}": said["seconds"].get(phase) for phase in PHASES},
        "attention_entropy": _mean(said["layers"], "attention_entropy"),
        "ffn_entropy": _mean(said["layers"], "ffn_entropy"),
        "answer_logprob_nats": sum(known) if known and len(known) == len(logprobs) else None,
        "video_tokens": said["tokens"]["video"],
        "text_tokens": said["tokens"]["text"],
        "cubes": said["cubes"],
        "duration_seconds": meta.clip.duration_secs if meta.clip else None,
        "config": json.dumps(said["config"]),
        "model": said["model"],
        "warnings": " ".join(meta.warnings) or None,
    }


def failed_row(error: str, pair: Pair, setting: str) -> dict[str, Any]:
    """The row of a pair that could not be answered, with its sentence."""
    return {**named(pair, setting), "error": error}


def layer_rows(trace: Trace, pair: Pair, setting: str) -> list[dict[str, Any]]:
    """A row for each layer of a finished run."""
    about = {"video": pair.video, "question": pair.question, "setting": setting}
    layers = enumerate(summary(trace)["layers"])
    return [{**about, "layer": number, **values} for number, values in layers]


def named(pair: Pair, setting: str) -> dict[str, Any]:
    """What says which row it is."""
    return {**pair._asdict(), "setting": setting}


def is_correct(answer: str, expected: str | None) -> bool | None:
    """Whether both say the same, but for case, punctuation and spaces; None if nothing is expected.

    (Exact match after normalisation, as SQuAD counts it, without its dropping of articles.)
    """
    return None if expected is None else _plain(answer) == _plain(expected)


def _plain(text: str) -> str:
    """Punctuation counts inside a word alone: 2.5 is not 25."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(filter(None, (word.strip(_AT_ENDS) for word in folded.split())))


def _mean(layers: list[dict[str, float | None]], name: str) -> float | None:
    known = [value for layer in layers if (value := layer[name]) is not None]
    return sum(known) / len(known) if known else None
