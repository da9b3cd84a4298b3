"""The header of a trace: what is written is read again, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paths import ASSETS

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.trace.flops import Flops, Parts
from adaspark.trace.meta import Clip, Counts, Meta, Part, Pruned, Word, required
from adaspark.trace.trace import Trace

PUBLISHED = sorted((ASSETS / "traces").glob("*.npz"))
_text = st.text(max_size=8)
_number = st.floats(allow_nan=False, allow_infinity=False)
_count = st.integers(0, 2**40)
_grid = st.tuples(*[st.integers(1, 99)] * 3)
_work = st.floats(1, 1e30)
_parts = st.builds(Parts, _work, _work, _work, _work)
_metas = st.builds(
    Meta,
    config=st.none() | st.just(AdaSparkConfig((1, 2, 3), (0.5, 0.25), 1.0)),
    grids=st.lists(_grid, max_size=2),
    forced=st.lists(st.tuples(_count, st.booleans()), max_size=2),
    words=st.lists(
        st.builds(Word, _text, _text, _count, st.none() | _count, st.none() | _number)
        | st.builds(Word, _text, part=st.builds(Part, _count, _count, _text)),
        max_size=3,
    ),
    counts=st.none() | st.builds(Counts, _count, _count, _count),
    question=st.none() | _text,
    seconds=st.dictionaries(_text, _number, max_size=2),
    stopped=st.none() | st.booleans(),
    clip=st.none() | st.builds(Clip, _text, frames=st.none() | _count),
    pruned=st.none() | st.builds(Pruned, _grid, st.lists(_count, max_size=3)),
    flops=st.none() | st.builds(Flops, _parts, _parts, _parts, _number),
)


@given(_metas)
def test_what_is_written_is_read_again(meta: Meta) -> None:
    assert Meta.from_dict(json.loads(json.dumps(meta.to_dict()))) == meta


@pytest.mark.few(3)
@pytest.mark.parametrize("path", PUBLISHED, ids=[path.stem for path in PUBLISHED])
def test_every_published_trace_keeps_its_header(path: Any) -> None:
    with np.load(path) as file:
        written = json.loads(str(file["meta"]))
    assert written == {"schema_version": 1, **Trace.load(path).meta.to_dict()}


@pytest.mark.parametrize(
    "spoiled, told",
    [
        ({"clip": {"name": 3}}, "clip.name"),
        ({"clip": {}}, "clip.name"),
        ({"words": [{"text": "a", "position": "late"}]}, "words.0.position"),
        ({"grids": [[1, 2]]}, "grids.0"),
        ({"config": {"cube": [0, 1, 1]}}, "at least 1"),
        ({"colour": "red"}, "Unknown entry 'colour'"),
    ],
)
def test_a_header_of_another_form_is_refused_by_place(
    tmp_path: Any, spoiled: dict[str, Any], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        Meta.from_dict(spoiled)
    path = tmp_path / "odd.npz"
    np.savez(path, meta=np.array(json.dumps({"schema_version": 1, **spoiled})))
    with pytest.raises(UserError, match=r"odd\.npz"):
        Trace.load(path)


def test_what_a_trace_does_not_say_is_named() -> None:
    assert required(3, "tokens") == 3
    with pytest.raises(UserError, match="does not say its tokens"):
        required(None, "tokens")
