"""What the records of the families say, against transformers' own models and configurations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from checkpoint_configs import config_of
from family_models import BY_NAME, Shape, family_model, family_prompt
from models import EOS, VIDEO_TOKEN
from transformers import AutoConfig

from adaspark import AdaSparkConfig, flops, record, sparsify
from adaspark.errors import UserError
from adaspark.model.families import (
    attention_layers,
    family_of,
    language_shape,
    layers_note,
    refusal,
)
from adaspark.trace.cost import vision_flops

CUBE = (2, 2, 3)
APART = [name for name, family in BY_NAME.items() if family.frames_apart]


@pytest.mark.parametrize("name", BY_NAME)
def test_modules_are_where_the_record_says(name: str) -> None:
    model, family = family_model(name), BY_NAME[name]
    assert family_of(model.config) is family and type(model).__name__ == family.model_class
    base = model.model
    layers = getattr(base, family.text).layers
    assert hasattr(base, family.vision)
    for i, layer in enumerate(layers):
        assert hasattr(layer, family.norm) and hasattr(layer, family.ffn)
        has_attention = i in attention_layers(getattr(base, family.text), family)
        assert has_attention == hasattr(layer, family.attention)
        assert has_attention or hasattr(layer, family.mixer or "")


@pytest.mark.parametrize("name", BY_NAME)
def test_the_shape_is_that_of_the_weights(name: str) -> None:
    """Heads times their size are the rows of the projections, whatever the hidden size is."""
    model = family_model(name)
    text = model.model.language_model
    shape = language_shape(text)
    attention = text.layers[attention_layers(text, BY_NAME[name])[0]].self_attn
    assert shape["kv_heads"] * shape["head_dim"] == attention.k_proj.out_features
    assert shape["heads"] * shape["head_dim"] == attention.o_proj.in_features
    assert language_shape(model.config.text_config) == shape


def test_dense_flops_are_the_products_of_the_weights() -> None:
    """2 FLOPs for each weight that a token meets, attention pairs apart: DeltaNet's rule too."""
    name = "qwen3_5"
    model = sparsify(family_model(name), AdaSparkConfig(CUBE, 1, 1))
    with torch.no_grad(), record(model) as trace:
        model(**family_prompt(name, [(2, 3, 4)]))
    counts, shape = trace.meta.counts, trace.meta.shape
    assert counts is not None
    layers = model.model.language_model.layers
    linear = [m for layer in layers for m in layer.modules() if isinstance(m, torch.nn.Linear)]
    met = sum(m.weight.numel() for m in linear)
    config = model.config.text_config
    values = config.linear_num_value_heads * config.linear_value_head_dim
    keys = config.linear_num_key_heads * config.linear_key_head_dim
    rule = 6 * values * config.linear_key_head_dim
    rule += 2 * config.linear_conv_kernel_dim * (2 * keys + values)
    mixers = shape["layers"] - shape["attention_layers"]
    expected = counts.tokens * (2 * met + mixers * rule)
    dense = flops(trace).dense
    assert dense.projections + dense.ffn == expected


@pytest.mark.parametrize("name", APART)
def test_cubes_span_time_where_frames_stand_apart(name: str) -> None:
    model = sparsify(family_model(name), AdaSparkConfig((3, 2, 3), 0.5, 0.5))
    with torch.no_grad(), record(model) as trace:
        model(**family_prompt(name, [(5, 3, 7)]))
    assert trace.meta.grids == [(5, 3, 7)]
    assert set(map(tuple, trace.bounds[:, 1:3].tolist())) == {(0, 3), (3, 5)}
    assert len(trace.bounds) == 2 * 2 * 3 and len(trace.cube_from_token) == 5 * 3 * 7


@pytest.mark.parametrize("name", APART)
def test_times_between_frames_join_their_slice(name: str) -> None:
    """They are no words of the prompt then, and nobody attends to all of them."""
    inputs = family_prompt(name, [(5, 3, 7)])
    traces = {}
    for timestamps in ("slice", "text"):
        config = AdaSparkConfig(CUBE, 0.0, 1.0, timestamps=timestamps)
        model = sparsify(family_model(name), config)
        with torch.no_grad(), record(model) as traces[timestamps]:
            model(**inputs)
    joined, apart = traces["slice"], traces["text"]
    # Between five frames there are four times, of three words and the two marks around a frame.
    assert len(apart.words) - len(joined.words) == 4 * 5
    assert joined.attention_density < apart.attention_density
    tokens = int((inputs["input_ids"] == VIDEO_TOKEN).sum())
    for trace in (joined, apart):
        assert trace.meta.counts is not None
        assert trace.meta.counts.tokens == inputs["input_ids"].shape[1]
        assert trace.meta.counts.tokens - trace.meta.counts.text_tokens == tokens


@pytest.mark.parametrize("name", APART)
def test_interventions_go_by_the_cubes_that_are_seen(name: str) -> None:
    """Cubes of times have numbers in between, which nobody is shown."""
    inputs = family_prompt(name, [(5, 3, 7)])
    last = 3 * 2 * 3 - 1
    model = sparsify(family_model(name), AdaSparkConfig(CUBE, 0.0, 1.0), forced={last: True})
    with torch.no_grad(), record(model) as trace:
        model(**inputs)
    asked = [i for i, word in enumerate(trace.words) if word.kind == "question"]
    layers = trace.meta.attention_layers or range(len(trace.layers))
    kept = trace.word_mask()[list(layers)][:, asked]
    assert kept[..., last].all() and not kept[..., :last].any()


@pytest.mark.parametrize("name", APART)
def test_a_video_is_told_by_its_features_where_no_grid_is_given(name: str) -> None:
    """`generate` encodes the video itself and keeps its grid."""
    model = sparsify(family_model(name), AdaSparkConfig(CUBE, 0.5, 0.5))
    inputs = family_prompt(name, [(5, 3, 7), (2, 4, 4)])
    with torch.no_grad(), record(model) as trace:
        model.generate(**inputs, max_new_tokens=2, do_sample=False)
    assert trace.meta.grids == [(5, 3, 7), (2, 4, 4)]


def test_runs_that_no_grid_explains_run_dense_and_say_so() -> None:
    model = sparsify(family_model("qwen3_vl"), AdaSparkConfig(CUBE, 0.5, 0.5))
    inputs = family_prompt("qwen3_vl", [(3, 3, 4)])
    given: dict[str, Any] = {key: inputs[key] for key in ("input_ids", "mm_token_type_ids")}
    with torch.no_grad(), pytest.warns(UserWarning, match="tell one video's frames"):
        model(**given, position_ids=torch.arange(given["input_ids"].shape[1]).expand(3, 1, -1))


def test_parts_cut_between_frames_are_one_prefill() -> None:
    """The cut is where a range of slices ends; what stands before the next one is text then."""
    from adaspark.model.cache_names import cache_argument, cache_in

    name, grid = "qwen3_vl", (4, 3, 4)
    config = AdaSparkConfig(CUBE, 0.5, 1.0, timestamps="text")
    model = sparsify(family_model(name), config)
    inputs = family_prompt(name, [grid])
    ids, types = inputs["input_ids"], inputs["mm_token_type_ids"]
    positions, _ = model.model.get_rope_index(
        ids, mm_token_type_ids=types, video_grid_thw=inputs["video_grid_thw"]
    )
    embeds = model.get_input_embeddings()(ids).detach()
    generator = torch.Generator().manual_seed(3)
    embeds[types == 2] = torch.randn(int((types == 2).sum()), embeds.shape[-1], generator=generator)

    def call(part: slice, cache: Any) -> Any:
        return model(
            inputs_embeds=embeds[:, part],
            mm_token_type_ids=types[:, part],
            position_ids=positions[..., part],
            video_grid_thw=inputs["video_grid_thw"],
            use_cache=True,
            **cache_argument(model, cache),
        )

    with torch.no_grad():
        whole = call(slice(None), None).logits
        end = int((types[0] == 2).nonzero()[2 * grid[1] * grid[2] - 1]) + 1
        first = call(slice(end), None)
        rest = call(slice(end, None), cache_in(first))
    torch.testing.assert_close(rest.logits, whole[:, end:], atol=1e-4, rtol=1e-4)


def test_layers_without_attention_are_spoken_of() -> None:
    assert layers_note(family_model("qwen3_vl").model) == []
    (note,) = layers_note(family_model("qwen3_5", shape=Shape(layers=4)).model)
    assert note.startswith("3 of 4 layers have no attention (Gated DeltaNet)")


@pytest.mark.parametrize("name", BY_NAME)
def test_the_tower_s_flops_are_counted_from_each_configuration(name: str) -> None:
    ids = {mark: i for i, mark in enumerate(_MARKS)}
    values = config_of(name, 4, ids, 768)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    small, large = (vision_flops(config.vision_config, (t, 4, 6)) for t in (2, 4))
    assert small > 0 and large == 2 * small  # slices do not see each other


_MARKS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)


@pytest.mark.parametrize(
    "kind, missing",
    [
        ("glm46v", "bear the image's id"),
        ("internvl", "no grid of its video tokens"),
        ("smolvlm", "no grid of its video tokens"),
        ("llava_onevision", "no grid of its video tokens"),
        ("qwen4_exp", "chooses blocks itself"),
    ],
)
def test_other_families_are_refused_by_what_is_missing(kind: str, missing: str) -> None:
    other = torch.nn.Linear(1, 1)
    other.config = type("Config", (), {"model_type": kind, "pad": EOS})()
    with pytest.raises(
        UserError, match=f"is a {kind} model, which AdaSpark cannot run: .*{missing}"
    ):
        sparsify(other)
    assert "CONTRIBUTING.md" in str(refusal("X", kind))
