"""Scores on held-out SparkWorld clips, by greedy decoding through the chat template.

`python -m adaspark.mini.training.evaluate --frames 64 --size 224` prints it for the bundled model.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from adaspark.assets import BUNDLED_MODEL
from adaspark.mini.packed.dense_forward import patchify
from adaspark.mini.questions.families import (
    FAMILIES,
    question_stream,
    questions,
    score,
    settings_for,
)
from adaspark.mini.training.model import FPS, POSITION_STEP
from adaspark.mini.world.render import render
from adaspark.mini.world.seeds import held_out_seed
from adaspark.mini.world.world import sample_scene
from adaspark.model.cache_names import cache_argument, cache_in
from adaspark.model.mrope import VIDEO
from adaspark.model.prompt import Prompt, build_prompt


@torch.no_grad()
def evaluate(
    model: Any,
    tokenizer: Any,
    *,
    items: int = 200,
    frames: int = 16,
    size: tuple[int, int] = (112, 112),
    objects: tuple[int, int] = (2, 3),
    families: Sequence[str] = ("needle", "order", "count", "motion"),
    seed: int = 0,
    blind: bool = False,
) -> dict[str, float]:
    """Mean score per family over `items` clips, one question of each family a clip.

    Clips come from the stage tests' seeds, which training never draws, and are drawn for the
    families by turns. With `blind` the pictures are grey, which measures guessing. A family that a
    clip cannot answer is skipped for that clip.
    """
    right: dict[str, float] = dict.fromkeys(families, 0.0)
    total: Counter[str] = Counter()
    for index in range(items):
        family = families[index % len(families)]
        settings = settings_for(family, frames, size, objects=objects)
        scene = sample_scene(held_out_seed("test", seed * 10**6 + index), settings)
        rng = question_stream(scene)
        pictures = render([scene], [n / FPS for n in range(frames)], size)
        pixels = patchify(pictures.fill_(128) if blind else pictures).flatten(0, 2)
        grid = (frames // 2, size[0] // 28, size[1] // 28)
        reader = Reader(model, tokenizer, encode(model, pixels, grid), grid)
        for family in families:
            for question in questions(scene, rng, count=1, families=[family]):
                total[family] += 1
                right[family] += score(question, reader.answer(question.text))
    return {family: right[family] / total[family] for family in families if total[family]}


def encode(model: Any, pixels: Tensor, grid: Sequence[int]) -> Tensor:
    """Vision features [V, hidden] of one clip's pixel values; `grid` in merged tokens."""
    visual = model.model.visual
    patches = torch.tensor([[grid[0], grid[1] * 2, grid[2] * 2]], device=visual.device)
    out = visual(pixels.to(visual.device, visual.dtype), grid_thw=patches)
    features: Tensor = out.pooler_output
    return features


class Reader:
    """One encoded clip, read by the language model once and then asked many questions.

    `features` is [V, hidden] and `grid` (T, H, W) in merged tokens; `position_step` is the M-RoPE
    distance of two slices.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        features: Tensor,
        grid: Sequence[int],
        *,
        position_step: float = POSITION_STEP,
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.features, self.grid, self.position_step = features, grid, position_step
        self._cache: Any = None
        self._shared = 0

    @torch.no_grad()
    def answer(self, question: str, *, max_tokens: int = 8) -> str:
        """The greedy answer to one question, at most `max_tokens` tokens long."""
        prompt = build_prompt(self.tokenizer, question, self.grid, position_step=self.position_step)
        embeds = self._embed(prompt)
        positions = prompt.position_ids.to(embeds.device)
        if self._cache is not None:
            self._cache.crop(self._shared - self._cache.get_seq_length())
            embeds, positions = embeds[:, self._shared :], positions[..., self._shared :]
        ids: list[int] = []
        for index in range(max_tokens):
            token = self._step(embeds, positions)
            if int(token) == self.model.generation_config.eos_token_id:
                break
            ids.append(int(token))
            embeds = self.model.model.language_model.embed_tokens(token[:, None])
            positions = torch.full_like(positions[..., :1], prompt.next_position + index)
        self._shared = int((prompt.token_types[0] == VIDEO).nonzero()[-1]) + 1
        return str(self.tokenizer.decode(ids))

    def _embed(self, prompt: Prompt) -> Tensor:
        table = self.model.model.language_model.embed_tokens
        embeds: Tensor = table(prompt.input_ids.to(self.features.device))
        embeds[(prompt.token_types == VIDEO).to(embeds.device)] = self.features.to(embeds.dtype)
        return embeds

    def _step(self, embeds: Tensor, positions: Tensor) -> Tensor:
        text = self.model.model.language_model
        out = text(
            inputs_embeds=embeds,
            position_ids=positions,
            use_cache=True,
            **cache_argument(text, self._cache),
        )
        self._cache = cache_in(out)
        logits: Tensor = self.model.lm_head(out.last_hidden_state[:, -1])
        return logits.argmax(-1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the score of every family as one line of JSON."""
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    parser = argparse.ArgumentParser(prog="python -m adaspark.mini.training.evaluate")
    parser.add_argument("--model", default=BUNDLED_MODEL)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--blind", action="store_true")
    args = parser.parse_args(arguments)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(args.model, dtype=torch.float32)
    scores = evaluate(
        model.eval(),
        AutoTokenizer.from_pretrained(args.model),
        items=args.items,
        frames=args.frames,
        size=(args.size, args.size),
        families=tuple(FAMILIES),
        seed=args.seed,
        blind=args.blind,
    )
    print(json.dumps({family: round(score, 3) for family, score in scores.items()}))


if __name__ == "__main__":
    main()
