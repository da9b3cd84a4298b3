"""Versions of transformers: a newer one is said once, and the cache has either name."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from family_models import family_prompt
from models import tiny_model

from adaspark import record, sparsify
from adaspark.method.config import AdaSparkConfig
from adaspark.model import qwen, versions
from adaspark.model.cache_names import cache_argument, cache_in

SPARSE = AdaSparkConfig((2, 2, 3), 0.5, 0.5)


def test_a_newer_minor_version_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    newer = f"{versions.NEWEST[0]}.{versions.NEWEST[1] + 1}.0"
    monkeypatch.setattr(qwen.transformers, "__version__", newer)
    model = tiny_model()
    with pytest.warns(UserWarning, match=f"transformers {newer} is newer than"):
        sparsify(model, SPARSE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparsify(model, SPARSE)


@pytest.mark.parametrize("version", ["5.17.0", "5.24.1", "5.24.0.dev0"])
def test_tested_versions_are_not_spoken_of(version: str) -> None:
    versions.check_transformers(version)


def _renamed(model: Any, old: str, new: str) -> None:
    """Give a base model the other version's name for its cache, as 5.24 did."""
    stock = type(model).forward

    class Renamed(type(model)):  # type: ignore[misc]
        pass

    arguments = "input_ids=None, attention_mask=None, position_ids=None"
    scope: dict[str, Any] = {"stock": stock}
    exec(  # a signature cannot be made otherwise
        f"def forward(self, {arguments}, {new}=None, **kwargs):\n"
        f"    return stock(self, input_ids, attention_mask, position_ids, {old}={new}, **kwargs)",
        scope,
    )
    Renamed.forward = scope["forward"]
    model.__class__ = Renamed


def test_the_cache_is_found_by_either_name() -> None:
    """A cache under a name that the patch did not know would be decoded densely, unsaid."""
    model, inputs = tiny_model(), family_prompt("qwen2_5_vl", [(5, 3, 7)])
    old = next(iter(cache_argument(model.model, None)))
    new = {"cache": "past_key_values", "past_key_values": "cache"}[old]
    words = torch.tensor([[7, 8, 9]])
    sparsify(model, SPARSE)
    with torch.no_grad():
        first = model.model(**inputs, use_cache=True)
        expected = model.model(input_ids=words, **{old: cache_in(first)})
    other = tiny_model()
    _renamed(other.model, old, new)
    sparsify(other, SPARSE)
    with torch.no_grad(), record(other) as trace:
        first = other.model(**inputs, use_cache=True)
        found = other.model(input_ids=words, **{new: cache_in(first)})
    assert next(iter(cache_argument(other.model, None))) == new
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state)
    assert [word.kind for word in trace.words[-3:]] == ["answer"] * 3
