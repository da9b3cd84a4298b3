"""FFN inertia: how far the FFN moves each token, recorded, in old files, and drawn."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, tiny_model
from torch import Tensor
from trace_factory import make_trace

from adaspark import record, sparsify
from adaspark.method.config import AdaSparkConfig
from adaspark.trace.trace import Trace
from viz.data import series
from viz.data.statistics import TraceView
from viz.figures import figures

GRIDS = [(4, 3, 5)]
LAYERS = 3


def run(config: AdaSparkConfig) -> tuple[Trace, np.ndarray[Any, Any]]:
    """The trace, and float32 [L, N] measured at the modules from outside."""
    model, inputs = sparsify(tiny_model(layers=LAYERS), config), prompt(GRIDS)
    entering: list[Tensor] = []
    leaving: list[Tensor] = []
    for layer in model.model.language_model.layers:
        norm, mlp = layer.post_attention_layernorm, layer.mlp
        norm.register_forward_pre_hook(lambda _, args: entering.append(args[0][0].norm(dim=-1)))
        mlp.register_forward_hook(lambda _, __, output: leaving.append(output[0].norm(dim=-1)))
    with torch.no_grad(), record(model) as trace:
        model(**inputs)
    return trace, (torch.stack(leaving) / torch.stack(entering)).numpy()


@pytest.mark.parametrize("p", [1.0, 0.5])
def test_it_is_the_norm_that_leaves_over_the_norm_that_enters(p: float) -> None:
    trace, measured = run(AdaSparkConfig((2, 2, 2), 0.6, p))
    is_video = (prompt(GRIDS)["mm_token_type_ids"][0] == 2).numpy()
    passed = trace.ffn_mask()
    assert passed.all() == (p == 1)
    expected = np.where(passed, measured[:, is_video], np.nan)
    np.testing.assert_allclose(trace.ffn_ratio, expected, rtol=2e-3)
    np.testing.assert_allclose(trace.text_ffn_ratio, measured[:, ~is_video], rtol=2e-3)


def test_a_file_from_before_it_was_recorded_loads(tmp_path: Path) -> None:
    trace = make_trace()
    trace.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as file:
        old = {name: file[name] for name in file.files if "ffn_ratio" not in name}
    np.savez_compressed(tmp_path / "old.npz", **old)
    loaded = Trace.load(tmp_path / "old.npz")
    assert loaded.ffn_ratio.size == loaded.text_ffn_ratio.size == 0
    np.testing.assert_array_equal(loaded.ffn_kept, trace.ffn_kept)
    assert series.ffn_inertia(TraceView(loaded)) == ([], [])
    drawn = figures.draw("ffn_inertia", loaded)
    assert "before" in drawn.layout.title.text and figures.table("ffn_inertia", loaded) == []


def test_the_figure_and_its_table_are_of_the_tokens_that_passed() -> None:
    trace = copy.deepcopy(make_trace(ffn_top_p=0.5))
    trace.ffn_ratio[1] = np.nan  # a layer in which nothing is known
    means, spreads = series.ffn_inertia(TraceView(trace))
    rows = figures.table("ffn_inertia", trace)
    tables = {"Text tokens": trace.text_ffn_ratio, "Video tokens": trace.ffn_ratio}
    for mean, spread in zip(means, spreads, strict=True):
        for layer, (m, s, row) in enumerate(zip(mean.y, spread.y, rows, strict=True)):
            known = tables[mean.name][layer].astype(float)
            known = known[~np.isnan(known)]
            assert m == (pytest.approx(known.mean()) if known.size else None)
            assert s == (pytest.approx(known.std()) if known.size else None)
            assert row[f"{mean.name}: mean of output / input norm"] == m
    figure = figures.ffn_inertia(TraceView(trace))
    assert [part.name for part in figure.data] == [*tables, *tables]
