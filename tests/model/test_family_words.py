"""At p = 1 the words of every family are those of untouched transformers, token for token."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from checkpoints import hub_checkpoint
from clips import write_clip
from family_models import BY_NAME, Shape, family_model, family_prompt
from long import some_of
from models import IMAGE_TOKEN, VISION_END, VISION_START, padded_batch
from torch import Tensor

from adaspark import AdaSparkConfig, restore, sparsify
from adaspark.model.engine import Engine
from adaspark.model.events import Result
from adaspark.model.request import Options
from adaspark.model.shown import chosen_sampling
from adaspark.video.clip import patchify, read_clip

DENSE = AdaSparkConfig((2, 2, 2), 1, 1)
TOKENS = 200
USUAL = ("qwen2_5_vl", "qwen3_vl", "qwen3_5")
"""One of each generation; the rest of a generation is tried in every case by a small model."""
SHOWN = {"max_frames": 6, "max_pixels": 64 * 128, "min_pixels": 64 * 64}
Inputs = dict[str, Tensor]


def with_image(inputs: Inputs, name: str, rows: int = 2, columns: int = 3) -> Inputs:
    """The prompt with an image before it."""
    image = [VISION_START, *[IMAGE_TOKEN] * (rows * columns), VISION_END]
    ids = torch.cat([torch.tensor([image]), inputs["input_ids"]], 1)
    types = inputs["mm_token_type_ids"]
    kinds = torch.cat([(ids[:, : len(image)] == IMAGE_TOKEN).to(types), types], 1)
    side = 16 if BY_NAME[name].frames_apart else 14
    pixels = torch.randn(4 * rows * columns, 3 * 2 * side**2, generator=torch.Generator())
    return {
        **inputs,
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": kinds,
        "pixel_values": pixels,
        "image_grid_thw": torch.tensor([[1, 2 * rows, 2 * columns]]),
    }


def two_turns(name: str) -> Inputs:
    """A question about one video, an answer, a question about another."""
    first, second = (family_prompt(name, [grid], seed=i) for i, grid in enumerate(VIDEOS))
    sequences = ("input_ids", "attention_mask", "mm_token_type_ids")
    return {
        key: torch.cat([first[key], second[key]], 1 if key in sequences else 0) for key in first
    }


VIDEOS = [(3, 3, 4), (2, 4, 3)]
CASES = {
    "video": lambda name: family_prompt(name, VIDEOS[:1]),
    "several videos": lambda name: family_prompt(name, VIDEOS),
    "image and video": lambda name: with_image(family_prompt(name, VIDEOS[:1]), name),
    "several turns": two_turns,
    "no vision": lambda name: family_prompt(name, []),
    "batch of four": lambda name: padded_batch(
        [
            family_prompt(name, grids, seed=i)
            for i, grids in enumerate(([VIDEOS[0]], [VIDEOS[1]], [], VIDEOS))
        ]
    ),
}


@pytest.fixture(scope="module", params=BY_NAME)
def stock(request: pytest.FixtureRequest) -> Any:
    return family_model(request.param, shape=Shape(layers=2))


@pytest.mark.few(6)
@pytest.mark.parametrize("case", CASES)
def test_greedy_words_are_the_stock_model_s(stock: Any, case: str) -> None:
    inputs, count = CASES[case](stock.config.model_type), TOKENS if case == "video" else 24
    settings = {"max_new_tokens": count, "min_new_tokens": count, "do_sample": False}
    settings |= {"repetition_penalty": 1.05}
    expected = stock.generate(**inputs, **settings)
    model = sparsify(copy.deepcopy(stock), DENSE)
    assert torch.equal(model.generate(**inputs, **settings), expected)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    # Two whole seconds a slice: transformers before 5.18 cuts what is left over.
    return write_clip(path, frames=36, fps=6, size=(480, 272))


def processed(engine: Engine, clip: Path, question: str) -> dict[str, Any]:
    """What transformers' processor makes of the question and of the frames that are shown."""
    checkpoint, name = engine._checkpoint, engine._checkpoint.family.model_type
    sampling = chosen_sampling(checkpoint.sampling, **SHOWN)
    shown = read_clip(clip, sampling)
    slices, rows, columns = shown.grid
    content = [{"type": "video"}, {"type": "text", "text": question}]
    text = checkpoint.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    pads = expanded(name, shown, sampling)
    ids = checkpoint.tokenizer(text.replace("<|video_pad|>", pads), return_tensors="pt").input_ids
    is_video = ids == checkpoint.model.config.video_token_id
    found = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": is_video.int() * 2,
        "pixel_values_videos": patchify(shown.frames, sampling, checkpoint.mean, checkpoint.std),
        "video_grid_thw": torch.tensor([[slices, 2 * rows, 2 * columns]]),
    }
    if checkpoint.family.counts_seconds:
        found["second_per_grid_ts"] = torch.tensor([shown.seconds_per_slice])
    return found


def expanded(name: str, shown: Any, sampling: Any) -> str:
    """The video's placeholder as the processor's own code writes it, without its torchvision."""
    slices, rows, columns = shown.grid
    if not BY_NAME[name].frames_apart:
        return "<|video_pad|>" * (slices * rows * columns)
    from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

    own = SimpleNamespace(
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
        video_token="<|video_pad|>",
        _calculate_timestamps=lambda *given: Qwen3VLProcessor._calculate_timestamps(None, *given),
    )
    fps = 6
    frames = [round((time - shown.info.start_secs) * fps) for time in shown.times_secs]
    # By index, as numpy's linspace has it: the first frame, the last, and even steps between.
    steps = torch.linspace(0, shown.info.frames - 1, len(frames), dtype=torch.float64)
    assert frames == steps.round().int().tolist()
    inputs = {
        "video_grid_thw": torch.tensor([[slices, 2 * rows, 2 * columns]]),
        "video_metadata": [SimpleNamespace(fps=fps, frames_indices=frames)],
    }
    return str(Qwen3VLProcessor.replace_video_token(own, inputs, 0))


@some_of("name", sorted(BY_NAME, key=lambda name: name not in USUAL), always=len(USUAL))
def test_a_checkpoint_answers_as_transformers_own_pipeline(
    name: str, clip: Path, tmp_path: Path
) -> None:
    """From the hub's files: template, times, positions, features of the tower, penalty."""
    folder = hub_checkpoint(tmp_path / name, family=name, layout="new", layers=4)
    engine = Engine(str(folder), "cpu")
    checkpoint = engine._checkpoint
    checkpoint.model.float()  # rounding in bf16 depends on how products are batched
    options = Options(DENSE, **SHOWN, max_new_tokens=TOKENS)
    *_, last = engine.ask(clip, "What happens?", options)
    assert isinstance(last, Result)
    inputs = processed(engine, clip, "What happens?")
    output = restore(checkpoint.model).generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
    expected = output[0, inputs["input_ids"].shape[1] :].tolist()
    read = list(last.answer_ids)  # the last word of all is never read
    assert read == expected[: len(read)] and 20 < len(expected) - 1 <= len(read)
