"""Training sees what run time builds, computes what transformers computes, and resumes exactly."""

import json
import random
from dataclasses import replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch

from adaspark.mini.packed.dense_forward import (
    encode_clips,
    packed_states,
    patchify,
    use_packed_attention,
)
from adaspark.mini.packed.packing import IGNORE, Packer, geometry
from adaspark.mini.questions.families import questions
from adaspark.mini.questions.question import Question
from adaspark.mini.training.auxiliary import NUMBERS, number_labels, token_labels
from adaspark.mini.training.config import TrainConfig
from adaspark.mini.training.data import (
    FAMILY_NAMES,
    BatchSpec,
    batches,
    held_out_batch,
    training_batch,
)
from adaspark.mini.training.model import IMAGE_MEAN, IMAGE_STD, build_model
from adaspark.mini.training.stages import HOUR, STAGES, Clips
from adaspark.mini.training.tokenizer import train_tokenizer
from adaspark.mini.training.trainer import Trainer
from adaspark.mini.world.render import render
from adaspark.mini.world.seeds import HELD_OUT_SEED
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.world import sample_scene
from adaspark.model.prompt import build_prompt
from adaspark.video.preprocess import patchify as file_patchify

TINY = replace(
    STAGES[0],
    clips=(Clips(4, (56, 56), (1, 1)),),
    test=Clips(4, (56, 56), (1, 1)),
    max_steps=4,
    min_steps=100,
)
SPEC = BatchSpec(seed=3, tokens=300, asked=2)


@cache
def packer() -> Packer:
    return Packer(train_tokenizer())


@pytest.mark.parametrize("step", [1.0, 1.25, 0.97])
def test_blocks_are_the_prompts_of_run_time(step: float) -> None:
    grid = (4, 4, 7)
    asked = questions(sample_scene(1, SceneSettings()), random.Random(0), count=6)
    shape = geometry(packer(), grid, len(asked), position_step=step)
    prefix = packer().prefix(4 * 4 * 7)
    for index, question in enumerate(asked):
        prompt = build_prompt(packer().tokenizer, question.text, grid, position_step=step)
        length = prompt.tokens - len(prefix)
        ids, labels = packer().block(question)
        assert prefix + ids[:length] == prompt.input_ids[0].tolist()
        start = len(prefix) + index * packer().block_tokens
        own = torch.cat([torch.arange(len(prefix)), torch.arange(start, start + length)])
        assert torch.equal(shape.positions[:, own], prompt.position_ids[:, 0])
        answer = [label for label in labels if label != IGNORE]
        assert packer().tokenizer.decode(answer) == question.answer + "<|im_end|>"
        assert labels.index(answer[0]) == length - 1, "the last token of the prompt answers"


def test_a_question_in_capitals_still_fits() -> None:
    text = "IN WHICH PART OF THE VIDEO DOES THE PURPLE TRIANGLE APPEAR?"
    ids, labels = packer().block(Question("when", text, "middle"))
    assert len(ids) == len(labels) == packer().block_tokens


def test_patches_equal_those_of_a_file() -> None:
    pictures = render([sample_scene(2, SceneSettings())], [0.0, 0.25, 0.5, 0.75], (112, 196))
    ours = patchify(pictures).flatten(0, 2)
    theirs = file_patchify(
        pictures[0], mean=IMAGE_MEAN, std=IMAGE_STD, patch=14, merge=2, temporal_patch=2
    )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_the_packed_forward_is_transformers_forward() -> None:
    """Each question of a packed sequence gets the logits it gets alone, from stock modules."""
    model = build_model(packer().tokenizer, seed=1).eval()
    scene, grid = sample_scene(3, SceneSettings(frames=8, size=(112, 196))), (4, 4, 7)
    asked = questions(scene, random.Random(1), count=3)
    patches = patchify(render([scene], [n / 4 for n in range(8)], (112, 196)))
    shape = geometry(packer(), grid, 3)
    blocks = torch.tensor([[packer().block(question)[0] for question in asked]])
    prefix = torch.tensor(packer().prefix(112))
    with torch.no_grad():
        video = {
            "pixel_values_videos": patches.flatten(0, 2),
            "video_grid_thw": torch.tensor([[4, 8, 14]]),
        }
        expected = []
        for question in asked:
            prompt = build_prompt(packer().tokenizer, question.text, grid, position_step=1.0)
            out = model(
                input_ids=prompt.input_ids,
                mm_token_type_ids=prompt.token_types.int(),
                position_ids=prompt.position_ids,
                **video,
            )
            expected.append((prompt.tokens - len(prefix) - 1, out.logits[0, -1]))
        use_packed_attention(model)
        features = encode_clips(model.model.visual, patches, 4, 7)
        states = packed_states(model, blocks, features, shape)
        logits = model.lm_head(states).view(3, packer().block_tokens, -1)
    for index, (last, alone) in enumerate(expected):
        torch.testing.assert_close(logits[index, last], alone, atol=1e-5, rtol=1e-5)


def test_batches_follow_from_seed_and_step_alone() -> None:
    def drawn(start: int) -> list[Any]:
        steps = batches(packer(), TINY, SPEC, range(start, 3), workers=0)
        return [(b.ids, b.table["events"]) for b in steps]

    first, later = drawn(0), drawn(2)
    assert torch.equal(first[2][0], later[0][0]) and torch.equal(first[2][1], later[0][1])
    assert not torch.equal(first[0][1], first[1][1])


def test_training_and_test_seeds_never_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def spy(seed: int, scene_settings: SceneSettings) -> Any:
        seeds.append(seed)
        return sample_scene(seed, scene_settings)

    monkeypatch.setattr("adaspark.mini.training.data.sample_scene", spy)
    training_batch(packer(), TINY, SPEC, 0)
    assert seeds and max(seeds) < HELD_OUT_SEED
    seeds.clear()
    held_out_batch(packer(), TINY, SPEC, 0, 4)
    assert min(seeds) >= HELD_OUT_SEED


def test_token_labels_name_the_object_in_each_token() -> None:
    batch = training_batch(packer(), STAGES[0], SPEC, 0)
    labels = token_labels(batch.table, batch.times_secs, batch.size)
    color_of_clip = batch.table["events"][:, 0, 13].long() + 1
    for clip, color in enumerate(color_of_clip.tolist()):
        if batch.table["events"][clip, 1, 0] > 1e8:  # one object alone
            assert set(labels["color"][clip].tolist()) <= {0, color}
            assert labels["begun"][clip].max() == 1


@pytest.mark.parametrize("number", [0, 7, 10, 36, NUMBERS - 1])
def test_every_digit_is_labelled_with_the_number_that_it_ends(number: int) -> None:
    text = f"At {number} seconds, what color is the object? {number}"
    ids = torch.tensor([packer().encode(text)] * 2)
    labels = number_labels(ids, packer().digit_ids)
    written = list(accumulate(str(number), lambda read, digit: read + digit))
    assert labels.shape == ids.shape and labels[0].equal(labels[1])
    assert labels[0][labels[0] >= 0].tolist() == [int(read) for read in written] * 2
    assert (labels[0] >= 0).sum() + (labels[0] == IGNORE).sum() == ids.shape[1]


def test_a_run_cut_in_two_gives_the_same_weights(tmp_path: Path) -> None:
    def config(name: str, steps: int) -> TrainConfig:
        stage = replace(TINY, max_steps=steps)
        return TrainConfig(
            tmp_path / name, seed=3, stages=(stage, TINY), tokens=300, asked=2, workers=0,
            test_every=1, test_clips=2, device="cpu", warmup_steps=2,
        )  # fmt: skip

    whole = Trainer(config("whole", 2))
    whole.config = replace(whole.config, stages=(replace(TINY, max_steps=2),))
    whole.run()
    part = Trainer(config("part", 2))
    for batch in batches(packer(), TINY, part.spec, range(1), workers=0):
        part.config = replace(part.config, stages=(replace(TINY, max_steps=2),))
        part.train_step(batch)
        part.step, part.stage_step = 1, 1
    part.save()
    again = Trainer(replace(part.config))
    again.resume()
    assert again.step == 1
    again.run()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    lines = (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_the_hour_keeps_short_clips_and_asks_long_ones_what_they_can_answer() -> None:
    lengths = {clips.frames for clips in HOUR.clips}
    assert {8, 16, 148, 1024, 2048, 3600} <= lengths and HOUR not in STAGES
    short = tuple(replace(c, frames=16) for c in HOUR.clips if c.frames > 256)
    stage, spec = replace(HOUR, clips=short), BatchSpec(0, 1500, 3)
    seen = [training_batch(packer(), stage, spec, step) for step in range(6)]
    steps = {batch.position_step for batch in seen}
    assert steps <= {1.0, 2.0, 4.0} and len(steps) > 1
    known = {FAMILY_NAMES.index(family) for clips in short for family in clips.families}
    assert all(set(batch.families.flatten().tolist()) <= known | {-1} for batch in seen)
