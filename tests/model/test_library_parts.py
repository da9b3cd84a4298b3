"""A prompt that comes in parts: chunked prefill, and a video in a later turn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from library_versions import prefills_in_chunks
from models import padded_batch, prompt, tiny_model
from segments import check_segments
from torch import Tensor
from transformers import DynamicCache

from adaspark import record, sparsify
from adaspark.method.config import AdaSparkConfig
from adaspark.method.layout import CubeLayout
from adaspark.model.cache_names import cache_argument

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
DENSE = AdaSparkConfig(CUBE, 1.0, 1.0)
GRIDS = [(5, 3, 7), (2, 4, 4)]
Inputs = dict[str, Tensor]


@pytest.fixture
def stock() -> Any:
    return tiny_model()


@pytest.fixture
def model() -> Any:
    return sparsify(tiny_model(), SPARSE)


@pytest.fixture
def inputs() -> Inputs:
    return prompt(GRIDS)


@torch.no_grad()
def generate(model: Any, inputs: Inputs, count: int = 5, **options: Any) -> list[list[int]]:
    written = model.generate(**inputs, max_new_tokens=count, do_sample=False, **options)
    return written[:, inputs["input_ids"].shape[1] :].tolist()


@torch.no_grad()
def in_parts(model: Any, inputs: Inputs, ends: list[int], **options: Any) -> Tensor:
    """The logits of a prompt that is cut at `ends`, its video encoded beforehand."""
    embeds = model.get_input_embeddings()(inputs["input_ids"])
    features = model.get_video_features(inputs["pixel_values_videos"], inputs["video_grid_thw"])
    embeds[inputs["mm_token_type_ids"] == 2] = torch.cat(list(features.pooler_output))
    positions, _ = model.model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        video_grid_thw=inputs["video_grid_thw"],
    )
    cache, start, found = DynamicCache(config=model.config.text_config), 0, []
    for end in [*ends, embeds.shape[1]]:
        found.append(
            model(
                inputs_embeds=embeds[:, start:end],
                position_ids=positions[..., start:end],
                mm_token_type_ids=inputs["mm_token_type_ids"][:, start:end],
                **cache_argument(model, cache),
                **options,
            ).logits
        )
        start = end
    return torch.cat(found, 1)


FIRST = 4  # the first video token; a slab of the first video is 42 tokens


@pytest.mark.parametrize(
    "ends", [[FIRST], [FIRST + 42], [2, FIRST + 42, FIRST + 84], [FIRST + 105, FIRST + 109]]
)
def test_parts_that_cut_no_cube_are_one_prefill(
    model: Any, inputs: Inputs, ends: list[int]
) -> None:
    torch.testing.assert_close(
        in_parts(model, inputs, ends), in_parts(model, inputs, []), atol=1e-4, rtol=1e-4
    )


@pytest.mark.few(2)
@prefills_in_chunks
@pytest.mark.parametrize("size", [1, 5, 7, 32, 100])
def test_one_in_parts_of_any_size_is_the_stock_model(stock: Any, inputs: Inputs, size: int) -> None:
    expected = generate(stock, inputs, prefill_chunk_size=size)
    model = sparsify(stock, DENSE)
    with record(model) as trace:
        assert generate(model, inputs, prefill_chunk_size=size) == expected
    assert trace.attention_density == trace.ffn_density == 1.0
    assert len(trace.cube_from_token) == 137 and len(trace.layers) == 3


@pytest.mark.few(2)
@prefills_in_chunks
@pytest.mark.parametrize("cache", [{}, {"cache_implementation": "static"}])
@pytest.mark.parametrize("size", [7, 32, 100])
def test_chunked_prefill_runs_sparse(
    model: Any, inputs: Inputs, size: int, cache: dict[str, str]
) -> None:
    with record(model) as trace:
        answer = generate(model, inputs, prefill_chunk_size=size, **cache)
    assert len(answer[0]) == 5
    assert trace.meta.grids == GRIDS
    whole = CubeLayout(GRIDS, CUBE)
    assert trace.cube_from_token.tolist() == whole.cube_from_token.tolist()
    assert trace.bounds.tolist() == whole.bounds.tolist()
    assert trace.attention_density < 0.9 and trace.ffn_density < 0.9
    text = inputs["input_ids"].shape[1] - 137
    kinds = [word.kind for word in trace.words]
    assert len(kinds) - kinds.count("answer") == text == trace.meta.counts.text_tokens
    pairs = 7 * sum(range(1, inputs["input_ids"].shape[1] + 1))
    assert trace.causal_pairs.tolist() == [pairs] * 3


def test_what_is_recorded_in_parts_is_what_is_recorded_at_once(model: Any, inputs: Inputs) -> None:
    with record(model) as whole:
        in_parts(model, inputs, [])
    with record(model) as parts:
        in_parts(model, inputs, [2, FIRST + 42, FIRST + 84])
    assert [w.kind for w in parts.words] == [w.kind for w in whole.words]
    for name in ("kept_share", "ffn_kept", "query_cubes", "word_kept", "computed_pairs"):
        assert (getattr(parts, name) == getattr(whole, name)).all()
    for name in ("word_probs", "cube_entropy", "ffn_entropy", "ffn_importance"):
        torch.testing.assert_close(
            *(torch.tensor(getattr(t, name)).float() for t in (parts, whole)),
            atol=2e-3,
            rtol=2e-3,
            equal_nan=True,
        )


@prefills_in_chunks
def test_a_batch_in_chunks_answers_as_each_row_alone(model: Any) -> None:
    """Of one length, so that the chunks cut each row at the same places."""
    prompts = [prompt([(5, 3, 7)]), prompt([(3, 5, 7)], seed=1)]
    together = generate(model, padded_batch(prompts), prefill_chunk_size=32)
    assert together == [generate(model, p, prefill_chunk_size=32)[0] for p in prompts]


def test_a_video_in_a_later_turn_runs_sparse(stock: Any, inputs: Inputs) -> None:
    """Text, then the rest with a grid and plain positions: as one prefill with such positions."""

    @torch.no_grad()
    def in_two(which: Any, cut: int) -> Tensor:
        cache, found = DynamicCache(), []
        positions = torch.arange(inputs["input_ids"].shape[1]).expand(3, 1, -1)
        for part in (slice(0, cut), slice(cut, None)) if cut else (slice(None),):
            given = {name: inputs[name][:, part] for name in ("input_ids", "mm_token_type_ids")}
            if part.stop is None:
                given |= {n: inputs[n] for n in ("pixel_values_videos", "video_grid_thw")}
            call = which(**given, position_ids=positions[..., part], **cache_argument(which, cache))
            found.append(call.logits)
        return torch.cat(found, 1)

    dense = in_two(stock, 2)
    model = sparsify(stock, SPARSE)
    with record(model) as trace:
        sparse = in_two(model, 2)
    torch.testing.assert_close(sparse, in_two(model, 0), atol=1e-4, rtol=1e-4)
    assert not torch.equal(sparse, dense) and trace.attention_density < 1


def test_parts_of_a_video_without_its_positions_run_dense_and_say_so(
    model: Any, inputs: Inputs
) -> None:
    del inputs["pixel_values_videos"]
    cut = {name: inputs[name][:, :30] for name in ("input_ids", "mm_token_type_ids")}
    with pytest.warns(UserWarning, match="neither video_grid_thw nor 3-D position_ids"):
        model(**cut)


def test_the_layout_of_a_part_is_a_part_of_the_layout() -> None:
    layout = CubeLayout(GRIDS, CUBE)
    for first, end in [(0, 0), (0, 13), (13, 60), (42, 105), (100, 137)]:
        part = layout.part(first, end)
        assert part.tokens == end - first == sum(s.end_token - s.first_token for s in part.slabs)
        assert part.cubes == part.cube_from_token.unique().numel() == len(part.bounds)
        assert part.host_sizes.tolist() == part.cube_sizes.tolist()
        same = layout.cube_from_token[first:end]
        assert (
            (part.cube_from_token[:, None] == part.cube_from_token) == (same[:, None] == same)
        ).all()
        for slab in part.slabs:
            cubes = part.cube_from_token[slab.first_token : slab.end_token]
            assert (cubes >= slab.first_cube).all() and (cubes < slab.end_cube).all()


@pytest.mark.parametrize("cut", [3, 4, 9, 25, 46, 60, 109, 112])
def test_every_query_of_a_part_sees_what_stands_before_it(cut: int) -> None:
    from adaspark.method.sequence import SequenceMap

    is_video = prompt(GRIDS)["mm_token_type_ids"][0] == 2
    layout = CubeLayout(GRIDS, CUBE)
    first = int(is_video[:cut].sum())
    empty = SequenceMap.build(is_video[:0], [], CUBE)
    real = torch.ones_like(is_video)
    begun = empty.extended(is_video[:cut], real[:cut], layout.part(0, first))
    check_segments(begun)
    check_segments(begun.extended(is_video[cut:], real[cut:], layout), cut)
