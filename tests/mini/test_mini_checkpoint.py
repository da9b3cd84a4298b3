"""The bundled checkpoint: it loads like any other and knows its world."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from paths import ASSETS

from adaspark.mini.training.evaluate import Reader, encode, evaluate
from adaspark.mini.training.model import preprocessor_config
from adaspark.mini.training.tokenizer import train_tokenizer
from adaspark.mini.world.samples import MAX_BYTES, SAMPLES, answers
from adaspark.model.prompt import build_prompt

FOLDER = ASSETS / "mini"


@cache
def bundle() -> tuple[Any, Any]:
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(FOLDER, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(FOLDER)


def test_the_files_are_what_the_code_writes() -> None:
    assert bundle()[1].get_vocab() == train_tokenizer().get_vocab()
    assert json.loads((FOLDER / "preprocessor_config.json").read_text()) == preprocessor_config()
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 24e6


def test_held_out_clips_are_answered_far_above_chance() -> None:
    model, tokenizer = bundle()
    scores = evaluate(model, tokenizer, items=8, frames=16, seed=9)
    assert min(scores.values()) >= 0.75
    blind = evaluate(model, tokenizer, items=8, frames=16, seed=9, blind=True)
    assert sum(blind.values()) < sum(scores.values()) / 2


def test_the_reader_answers_as_generate_does() -> None:
    model, tokenizer = bundle()
    pixels, grid = torch.zeros(4 * 64, 1176), (4, 4, 4)
    reader = Reader(model, tokenizer, encode(model, pixels, grid).detach(), grid)
    for question in ("How many objects are there?", "Is there a red circle?", "What is this?"):
        prompt = build_prompt(tokenizer, question, grid, position_step=1.0)
        out = model.generate(
            input_ids=prompt.input_ids,
            mm_token_type_ids=prompt.token_types.int(),
            pixel_values_videos=pixels,
            video_grid_thw=torch.tensor([[4, 8, 8]]),
            second_per_grid_ts=torch.tensor([0.5]),
            max_new_tokens=6,
        )
        said = tokenizer.decode(out[0, prompt.tokens :], skip_special_tokens=True)
        assert reader.answer(question) == said


def test_every_sample_is_there_and_no_larger_than_it_may_be() -> None:
    """The JSON of a clip that is not shown the model's own way says how it is."""
    assert {path.stem for path in (ASSETS / "samples").iterdir()} == {s.name for s in SAMPLES}
    for sample in SAMPLES:
        clip = ASSETS / "samples" / f"{sample.name}.mp4"
        assert clip.stat().st_size < sample.max_bytes
        notes = json.loads(clip.with_suffix(".json").read_text())
        assert notes.get("sampling", {}) == dict(sample.sampling)


USUAL = [ASSETS / "samples" / f"{s.name}.mp4" for s in SAMPLES if not s.sampling]
"""What the model says of the others is in their recorded runs: to ask takes minutes."""


@pytest.mark.few(2)
@pytest.mark.parametrize("clip", USUAL, ids=lambda p: p.stem)
def test_sample_clips_are_answered_through_their_files(clip: Path) -> None:
    items = json.loads(clip.with_suffix(".json").read_text())["items"]
    expected = {item["question"]: item["answer"] for item in items}
    assert answers(clip, list(expected), *bundle()) == expected
    assert clip.stat().st_size < MAX_BYTES
