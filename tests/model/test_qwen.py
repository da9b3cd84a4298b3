"""sparsify, restore and record on transformers' Qwen2.5-VL: generation, prompts, the patch."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from models import IMAGE_TOKEN, padded_batch, prompt, text_after, tiny_model
from torch import Tensor
from transformers import DynamicCache, Qwen2_5_VLForConditionalGeneration

from adaspark import record, restore, sparsify
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.cache_names import cache_argument, cache_in

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
VIDEOS = [(5, 3, 7), (2, 4, 4)]
DENSE_CALL = "AdaSpark runs this call dense: "
Inputs = dict[str, Tensor]


@pytest.fixture
def stock() -> Any:
    return tiny_model()


@pytest.fixture
def model() -> Any:
    return sparsify(tiny_model(), SPARSE)


@pytest.fixture
def inputs() -> Inputs:
    return prompt(VIDEOS)


@torch.no_grad()
def logits(model: Any, inputs: Inputs) -> Tensor:
    return model(**inputs).logits


@torch.no_grad()
def generate(model: Any, inputs: Inputs, count: int = 8, **options: Any) -> list[list[int]]:
    written = model.generate(**inputs, max_new_tokens=count, do_sample=False, **options)
    return written[:, inputs["input_ids"].shape[1] :].tolist()


def test_forward_and_generate_agree_on_the_first_token(model: Any, inputs: Inputs) -> None:
    assert generate(model, inputs)[0][0] == logits(model, inputs)[0, -1].argmax()


def test_generation_without_a_cache_is_generation_with_one(model: Any, inputs: Inputs) -> None:
    assert generate(model, inputs, 4, use_cache=False) == generate(model, inputs, 4)


def test_a_left_padded_batch_answers_as_each_row_alone(model: Any) -> None:
    prompts = [prompt([(5, 3, 7)]), prompt([(1, 2, 3)], seed=1), prompt([], seed=2)]
    together = generate(model, padded_batch(prompts), 5)
    assert together == [generate(model, p, 5)[0] for p in prompts]


def test_beams_work_and_one_beam_is_greedy(model: Any, inputs: Inputs) -> None:
    assert len(generate(model, inputs, 4, num_beams=3, num_return_sequences=2)) == 2
    assert generate(model, inputs, 4, num_beams=1) == generate(model, inputs, 4)


def test_prompt_lookup_gives_the_greedy_answer(model: Any, inputs: Inputs) -> None:
    assert generate(model, inputs, prompt_lookup_num_tokens=3) == generate(model, inputs)


def test_assisted_decoding_gives_the_greedy_answer(model: Any, inputs: Inputs) -> None:
    assistant = sparsify(tiny_model(layers=1), SPARSE)
    greedy = generate(model, inputs)
    assert generate(model, inputs, assistant_model=assistant) == greedy


def test_one_prefill_serves_several_questions_by_a_copied_cache(model: Any) -> None:
    inputs = prompt([(5, 3, 7)])
    with torch.no_grad():
        cache = cache_in(model(**inputs))
        for ids in ([5, 6], [7, 8, 9]):
            branch = copy.deepcopy(cache)
            asked = model(input_ids=torch.tensor([ids]), **cache_argument(model, branch)).logits
            whole = logits(model, text_after(inputs, ids))[:, -len(ids) :]
            torch.testing.assert_close(asked, whole, atol=1e-4, rtol=1e-4)


def test_two_prompts_may_be_decoded_in_turns(model: Any) -> None:
    """Each cache knows its own video; the positions are given, as the model keeps one offset."""
    prompts = [prompt([(5, 3, 7)]), prompt([(2, 4, 4)], seed=1)]
    longer = [text_after(inputs, [4]) for inputs in prompts]
    whole = [logits(model, inputs)[:, -1:] for inputs in longer]
    caches = [DynamicCache(), DynamicCache()]
    with torch.no_grad():
        for inputs, cache in zip(prompts, caches, strict=True):
            model(**inputs, **cache_argument(model, cache))
        for inputs, cache, expected in zip(longer, caches, whole, strict=True):
            positions, _ = model.model.get_rope_index(**without_pixels(inputs))
            step = model(
                input_ids=torch.tensor([[4]]),
                position_ids=positions[..., -1:],
                **cache_argument(model, cache),
            )
            torch.testing.assert_close(step.logits, expected, atol=1e-4, rtol=1e-4)


def without_pixels(inputs: Inputs) -> Inputs:
    return {name: value for name, value in inputs.items() if name != "pixel_values_videos"}


def test_no_video_is_the_stock_model_to_the_bit(model: Any, stock: Any) -> None:
    inputs = prompt([])
    assert torch.equal(logits(model, inputs), logits(stock, inputs))
    assert generate(model, inputs) == generate(stock, inputs)


def with_image(inputs: Inputs) -> Inputs:
    """The prompt with an image of 2 x 3 merged tokens before everything."""
    ids = torch.cat([torch.tensor([[1, *[IMAGE_TOKEN] * 6, 2]]), inputs["input_ids"]], 1)
    types = (ids == IMAGE_TOKEN).int()
    types[:, 8:] = inputs["mm_token_type_ids"]
    generator = torch.Generator().manual_seed(9)
    return {
        **inputs,
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": types,
        "pixel_values": torch.randn(24, 1176, generator=generator),
        "image_grid_thw": torch.tensor([[1, 4, 6]]),
    }


def test_an_image_alone_is_the_stock_model_to_the_bit(model: Any, stock: Any) -> None:
    inputs = with_image(prompt([]))
    assert torch.equal(logits(model, inputs), logits(stock, inputs))


def test_an_image_beside_a_video_is_read_like_text(model: Any, stock: Any) -> None:
    inputs = with_image(prompt(VIDEOS))
    with record(model) as trace, torch.no_grad():
        sparse = model(**inputs).logits
    assert not torch.equal(sparse, logits(stock, inputs))
    assert len(trace.cube_from_token) == 5 * 3 * 7 + 2 * 4 * 4
    assert trace.meta.counts.text_tokens == inputs["input_ids"].shape[1] - 137
    sparsify(model, AdaSparkConfig(CUBE, 1.0, 1.0))
    assert (logits(model, inputs) - logits(stock, inputs)).abs().max() <= 1e-4


def test_token_types_may_be_missing(model: Any, inputs: Inputs) -> None:
    """The stock model then takes plain positions; the cubes are the same."""
    del inputs["mm_token_type_ids"]
    with record(model) as trace, torch.no_grad():
        model(**inputs)
    assert len(trace.cube_from_token) == 137 and trace.attention_density < 1


def test_embeddings_may_come_instead_of_ids(model: Any, inputs: Inputs) -> None:
    """As the engine calls it: embeddings with the video in place, positions and types."""
    expected = logits(model, inputs)
    with torch.no_grad():
        embeds = model.get_input_embeddings()(inputs["input_ids"])
        features = model.get_video_features(
            inputs["pixel_values_videos"], inputs["video_grid_thw"]
        ).pooler_output
        embeds[inputs["mm_token_type_ids"] == 2] = torch.cat(features)
        positions, _ = model.model.get_rope_index(
            inputs["input_ids"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
            video_grid_thw=inputs["video_grid_thw"],
        )
        given = model(
            inputs_embeds=embeds,
            position_ids=positions,
            mm_token_type_ids=inputs["mm_token_type_ids"],
            video_grid_thw=inputs["video_grid_thw"],
        ).logits
    torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)


def test_names_and_values_of_parameters_stay(stock: Any, inputs: Inputs) -> None:
    model = sparsify(copy.deepcopy(stock), SPARSE)
    logits(model, inputs)
    mine, theirs = model.state_dict(), stock.state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_copy_is_a_sparse_model_of_its_own(model: Any, stock: Any, inputs: Inputs) -> None:
    expected = logits(model, inputs)
    twin = copy.deepcopy(model)
    assert torch.equal(logits(twin, inputs), expected)
    sparsify(twin, AdaSparkConfig((1, 1, 1), 0.1, 0.1))
    changed = logits(twin, inputs)
    assert not torch.equal(changed, expected)
    assert torch.equal(logits(model, inputs), expected)
    restore(model)
    assert torch.equal(logits(twin, inputs), changed)
    assert torch.equal(logits(restore(twin), inputs), logits(stock, inputs))


def test_a_pickled_model_comes_back_sparse(model: Any, inputs: Inputs) -> None:
    expected = logits(model, inputs)
    assert torch.equal(logits(pickle.loads(pickle.dumps(model)), inputs), expected)


def test_a_saved_model_is_a_stock_one(
    model: Any, stock: Any, inputs: Inputs, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    loaded = Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert loaded.config.text_config._attn_implementation == "sdpa"
    assert torch.equal(logits(loaded, inputs), logits(stock, inputs))


def test_two_models_run_two_configurations(stock: Any, inputs: Inputs) -> None:
    configs = [AdaSparkConfig(CUBE, 0.3, 0.3), AdaSparkConfig((1, 3, 7), 0.8, 0.8)]
    alone = [logits(sparsify(copy.deepcopy(stock), c), inputs) for c in configs]
    models = [sparsify(copy.deepcopy(stock), config) for config in configs]
    for model, expected in zip(models, alone, strict=True):
        assert torch.equal(logits(model, inputs), expected)
    restore(models[0])
    assert torch.equal(logits(models[1], inputs), alone[1])
    assert torch.equal(logits(models[0], inputs), logits(stock, inputs))


def test_restore_gives_back_the_implementation_that_was_chosen(inputs: Inputs) -> None:
    model = tiny_model()
    model.set_attn_implementation("eager")
    expected = logits(model, inputs)
    sparsify(model, SPARSE)
    assert model.config.vision_config._attn_implementation == "eager"
    logits(model, inputs)
    restore(model)
    assert model.config.text_config._attn_implementation == "eager"
    assert torch.equal(logits(model, inputs), expected)


def test_the_vision_tower_is_left_alone(model: Any, stock: Any, inputs: Inputs) -> None:
    call = (inputs["pixel_values_videos"], inputs["video_grid_thw"])
    with torch.no_grad():
        mine = model.get_video_features(*call).pooler_output
        theirs = stock.get_video_features(*call).pooler_output
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    assert model.config.vision_config._attn_implementation == "sdpa"


def test_the_default_configuration_is_the_package_s(stock: Any, inputs: Inputs) -> None:
    with record(sparsify(stock)) as trace:
        logits(stock, inputs)
    assert trace.meta.config == AdaSparkConfig()


@pytest.mark.parametrize("kind", ["bert", None])
def test_other_models_are_refused_by_name(kind: str | None) -> None:
    linear = torch.nn.Linear(2, 2)
    if kind:
        linear.config = type("Config", (), {"model_type": kind})()
    with pytest.raises(UserError, match="Linear is a bert model" if kind else "not on Linear"):
        sparsify(linear)


def test_recording_a_dense_model_says_what_to_do(stock: Any) -> None:
    with (
        pytest.raises(UserError, match=r"call sparsify\(model, config\) before record"),
        record(stock),
    ):
        pass


def test_an_error_in_a_call_leaves_the_model_usable(model: Any, inputs: Inputs) -> None:
    expected = logits(model, inputs)
    with pytest.raises(ValueError):
        model(**{**inputs, "video_grid_thw": torch.tensor([[1, 2, 2]])})
    assert torch.equal(logits(model, inputs), expected)
