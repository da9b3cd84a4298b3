"""Words are those of transformers' `generate`, token for token, under any generation config."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from checkpoints import edit_json, hub_checkpoint, linked, write_json
from clips import write_clip

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.checkpoint import load
from adaspark.model.decoding import Decoding, Unread
from adaspark.model.drawing import Drawing
from adaspark.model.engine import Engine
from adaspark.model.events import Result
from adaspark.model.prompt import build_prompt
from adaspark.model.qwen import restore
from adaspark.model.request import Options
from adaspark.model.shown import chosen_sampling
from adaspark.video.clip import patchify, read_clip

QUESTION = "What happens in this video, and in which order?"
DENSE = AdaSparkConfig((2, 2, 2), 1, 1)
SHOWN = {"max_frames": 4, "max_pixels": 56 * 112, "min_pixels": 56 * 56}
TOKENS = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_checkpoint(tmp_path_factory.mktemp("hub") / "Qwen2.5-VL")


class Case(NamedTuple):
    """An engine and the video that it is asked about."""

    engine: Engine
    clip: Path


def exact_engine(folder: Path) -> Engine:
    made = Engine(str(folder), "cpu")
    made._checkpoint.model.float()  # rounding in bf16 depends on how products are batched
    return made


@pytest.fixture(scope="module")
def case(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    # Two whole seconds a slice: transformers before 5.18 cuts what is left over.
    return Case(exact_engine(folder), write_clip(path, frames=24, fps=6, size=(480, 272)))


def written(case: Case, **changes: Any) -> list[int]:
    """All ids of an answer at p = 1: those of its words, and the last, which is never read."""
    options = Options(DENSE, **{**SHOWN, "max_new_tokens": TOKENS, **changes})
    ids: list[int] = []
    taken = Decoding.choose

    def noted(self: Decoding, logits: torch.Tensor) -> Unread:
        chosen = taken(self, logits)
        ids.append(int(chosen.token))
        return chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoding, "choose", noted)
        *_, last = case.engine.ask(case.clip, QUESTION, options)
    assert isinstance(last, Result)
    return ids


def stock(case: Case, **settings: Any) -> list[int]:
    """What the untouched model's own `generate` writes after the same inputs."""
    checkpoint = case.engine._checkpoint
    model = restore(copy.deepcopy(checkpoint.model))
    sampling = chosen_sampling(checkpoint.sampling, **SHOWN)
    frames = read_clip(case.clip, sampling).frames
    estimate = case.engine.estimate(case.clip, **SHOWN)
    slices, rows, columns = estimate.grid
    rate = model.config.vision_config.tokens_per_second
    step = rate * estimate.seconds_per_slice
    prompt = build_prompt(checkpoint.tokenizer, QUESTION, estimate.grid, position_step=step)
    output = model.generate(
        input_ids=prompt.input_ids,
        attention_mask=torch.ones_like(prompt.input_ids),
        mm_token_type_ids=prompt.token_types,
        pixel_values_videos=patchify(frames, sampling, checkpoint.mean, checkpoint.std),
        video_grid_thw=torch.tensor([[slices, 2 * rows, 2 * columns]]),
        second_per_grid_ts=torch.tensor([estimate.seconds_per_slice]),
        **{"max_new_tokens": TOKENS, "do_sample": False, "tokenizer": checkpoint.tokenizer}
        | settings,
    )
    ids: list[int] = output[0, prompt.input_ids.shape[1] :].tolist()
    return ids


def generating(case: Case, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Give the engine's model another generation config for one test."""
    config = copy.deepcopy(case.engine._checkpoint.model.generation_config)
    config.update(**settings)
    monkeypatch.setattr(case.engine._checkpoint.model, "generation_config", config)


def test_greedy_words_are_those_of_generate(case: Case) -> None:
    """The hub's settings, penalty on: 120 tokens, and not those without the penalty."""
    ids = written(case)
    assert ids == stock(case) and len(ids) == TOKENS
    assert ids != stock(case, repetition_penalty=1.0)


def test_words_follow_the_question_where_the_clip_counts_on_past_it(
    case: Case, tmp_path: Path
) -> None:
    """The last slice of 80 seconds stands at a later position than the question that follows it."""
    clip = write_clip(tmp_path / "slow.mp4", frames=80, fps=1, size=(480, 272))
    assert (ids := written(case._replace(clip=clip))) == stock(case._replace(clip=clip))
    assert len(ids) == TOKENS


SETTINGS: dict[str, dict[str, Any]] = {
    "no penalty": {"repetition_penalty": 1.0},
    "strong penalty": {"repetition_penalty": 1.8},
    "no_repeat_ngram": {"no_repeat_ngram_size": 2, "repetition_penalty": 1.0},
    "suppressed": {"suppress_tokens": [*range(100, 400)]},
    "suppressed at first": {"begin_suppress_tokens": [*range(300, 700)]},
    "bad words": {"bad_words_ids": [[i] for i in range(100, 300)]},
    "sequence bias": {"sequence_bias": [[[101], 9.0], [[102, 103], 5.0]]},
    "prompt penalty": {"encoder_repetition_penalty": 1.5},
    "forced end": {"forced_eos_token_id": 2},
    "stop string": {"stop_strings": ["a", "e"]},
}


@pytest.mark.few(4)
@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_of_the_generation_config_counts(
    case: Case, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    generating(case, monkeypatch, **SETTINGS[name])
    assert written(case, max_new_tokens=48) == stock(case, max_new_tokens=48)


@pytest.mark.parametrize("length", [1, 2, 7])
def test_an_answer_is_as_long_as_it_may_be(case: Case, length: int) -> None:
    ids = written(case, max_new_tokens=length)
    assert ids == stock(case, max_new_tokens=length) and len(ids) == length


def test_an_answer_ends_where_the_config_says(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    tenth = written(case, max_new_tokens=10)[-1]
    generating(case, monkeypatch, eos_token_id=[0, tenth])
    ids = written(case)
    assert ids == stock(case) and len(ids) <= 10 and ids[-1] == tenth
    generating(case, monkeypatch, eos_token_id=[0, tenth], min_new_tokens=20)
    longer = written(case)
    assert longer == stock(case) and len(longer) >= 20


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("settings", [{}, {"top_k": 5}, {"top_p": 0.6}, {"min_p": 0.2}])
def test_drawn_words_are_those_of_generate(
    case: Case, monkeypatch: pytest.MonkeyPatch, seed: int, settings: dict[str, Any]
) -> None:
    generating(case, monkeypatch, temperature=1.3, **settings)
    ids = written(case, drawing=Drawing(seed), max_new_tokens=40)
    torch.manual_seed(seed)
    assert ids == stock(case, do_sample=True, max_new_tokens=40)


def test_temperature_and_seed_may_be_given(case: Case) -> None:
    drawn = [written(case, drawing=Drawing(s, 2.0), max_new_tokens=30) for s in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    torch.manual_seed(1)
    assert drawn[0] == stock(case, do_sample=True, temperature=2.0, max_new_tokens=30)


def test_the_global_random_state_is_left_alone(case: Case) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    written(case, drawing=Drawing(1), max_new_tokens=5)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    "drawing, message",
    [((0, 0.0), "temperature must be above 0"), ((0, -1.0), "above 0"), ((-1, None), "seed must")],
)
def test_a_wrong_drawing_is_refused(drawing: tuple[int, float | None], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Drawing(*drawing)


def _number(path: Path) -> None:
    edit_json(path, repetition_penalty="much")


def _negative(path: Path) -> None:
    edit_json(path, repetition_penalty=-1.0)


def _beams(path: Path) -> None:
    edit_json(path, num_beams=4)


def _list(path: Path) -> None:
    write_json(path, [1, 2])


def _cut(path: Path) -> None:
    path.write_text(path.read_text()[:40])


@pytest.mark.parametrize("spoil", [_number, _negative, _beams, _list, _cut])
def test_a_wrong_generation_config_is_refused_by_name(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    copied = linked(tmp_path / "copy", folder)
    path = copied / "generation_config.json"
    content = path.read_text()
    path.unlink()
    path.write_text(content)
    spoil(path)
    with pytest.raises(UserError, match=r"generation_config\.json"):
        load(str(copied), device="cpu")


def test_without_a_generation_config_the_model_s_own_ends_apply(
    case: Case, folder: Path, tmp_path: Path
) -> None:
    copied = linked(tmp_path / "copy", folder)
    (copied / "generation_config.json").unlink()
    case = Case(exact_engine(copied), case.clip)
    assert written(case, max_new_tokens=40) == stock(case, max_new_tokens=40)
