"""One scene and its questions, through the packed sparse forward and the product's path."""

from __future__ import annotations

import random
from contextlib import nullcontext
from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from adaspark.method.config import AdaSparkConfig
from adaspark.mini.packed import masked_forward
from adaspark.mini.packed.decisions import Decisions
from adaspark.mini.packed.dense_forward import patchify
from adaspark.mini.packed.geometry import PackedGeometry, cube_layout
from adaspark.mini.packed.masked_forward import SparseForward
from adaspark.mini.packed.packing import Packer, geometry
from adaspark.mini.questions.families import questions
from adaspark.mini.questions.question import Question
from adaspark.mini.training.model import build_model
from adaspark.mini.world.render import render
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.world import sample_scene
from adaspark.model import checkpoint
from adaspark.model.mrope import VIDEO
from adaspark.model.prompt import build_prompt
from adaspark.model.qwen import record, restore, sparsify
from adaspark.trace.trace import Trace

GRID, SIZE = (5, 3, 4), (84, 112)


ASKED = 2


CONFIGS = {
    "both halves": AdaSparkConfig((2, 2, 2), 0.6, 0.5),
    "attention": AdaSparkConfig((2, 2, 3), 0.4, 1.0),
    "top-k, bypass": AdaSparkConfig(
        (2, 2, 2), 1.0, attn_rule="top_k", attn_keep=0.3, ffn_top_p=0.4, ffn_skipped="bypass"
    ),
    "recent and uniform": AdaSparkConfig(
        (1, 2, 2), attn_rule="recent", attn_keep=0.3, ffn_rule="uniform", ffn_keep=0.4
    ),
    "random": AdaSparkConfig(
        (2, 2, 2), attn_rule="random", attn_keep=0.4, ffn_rule="random", ffn_keep=0.5
    ),
    "words apart": AdaSparkConfig((2, 2, 2), 0.3, 0.5, text_top_p=1.0),
    "words keep less": AdaSparkConfig((1, 2, 2), 0.8, 1.0, text_top_p=0.2),
    "by the FFN's input": AdaSparkConfig((2, 2, 2), 0.6, 0.4, ffn_importance="input"),
    "nothing": AdaSparkConfig((2, 2, 2), 0.0, 0.0),
    "by layer": AdaSparkConfig(
        (2, 2, 2), (0.3, 1.0, 0.6, 0.0, 0.9, 0.7), (0.5, 0.2, 1.0, 0.8, 0.0, 0.6)
    ),
}


@cache
def bundled() -> tuple[Any, Packer]:
    loaded = checkpoint.load(device="cpu")
    return loaded.model, Packer(loaded.tokenizer)


@cache
def fresh() -> tuple[Any, Packer]:
    """Random weights, sharper than fresh ones: else every softmax is flat, and with gains of their
    own: a norm of ones leaves every token of the FFN's input equally long, and rounding chooses.
    """
    packer = bundled()[1]
    model = build_model(packer.tokenizer, seed=1).eval()
    draws = torch.Generator().manual_seed(2)
    for layer in model.model.language_model.layers:
        for project in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            project.weight.data *= 10
        gains = layer.post_attention_layernorm.weight.data
        gains.copy_(torch.rand(gains.shape, generator=draws) * 2)
    return model, packer


MODELS = {"bundled": bundled, "fresh": fresh}


@cache
def scene_and_questions() -> tuple[Any, tuple[Question, ...]]:
    scene = sample_scene(5, SceneSettings(10, SIZE, (2, 2)))
    return scene, tuple(questions(scene, random.Random(2), count=ASKED, loose=False))


@cache
def features(name: str) -> Tensor:
    model, _ = MODELS[name]()
    scene, _ = scene_and_questions()
    patches = patchify(render([scene], [n / 4 for n in range(10)], SIZE)).flatten(0, 2)
    grid = torch.tensor([[GRID[0], 2 * GRID[1], 2 * GRID[2]]])
    # Kept for all tests, so that it may not be of the first one's autocast.
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        out: Tensor = model.model.visual(patches, grid_thw=grid).pooler_output
    return out


def geometry_for(packer: Packer, config: AdaSparkConfig, runs: int | None = None) -> PackedGeometry:
    shape = geometry(packer, GRID, ASKED)
    return PackedGeometry.build(shape, cube_layout(GRID, config.cube, runs), packer.block_tokens)


def packed(
    name: str,
    config: AdaSparkConfig,
    runs: int | None = None,
    *,
    masked: bool = False,
    **more: Any,
) -> tuple[Tensor, Decisions]:
    """Logits [Q, L, vocabulary] of two clips' worth of blocks, and what was decided.

    `masked` computes the prefix by masks too, as training does.
    """
    model, packer = MODELS[name]()
    blocks = torch.tensor([[packer.block(q)[0] for q in scene_and_questions()[1]]])
    recorded = Decisions(**more)
    by_masks = patch.object(masked_forward, "_needs_no_masks", return_value=False)
    with torch.no_grad(), by_masks if masked else nullcontext():
        forward = SparseForward(
            model, geometry_for(packer, config, runs), config, decisions=recorded
        )
        states = forward.states(blocks.expand(2, -1, -1), features(name).expand(2, -1, -1))
        logits: Tensor = model.lm_head(states).view(2, ASKED, packer.block_tokens, -1)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=1e-4)  # BLAS may differ
    return logits[0], recorded


def product(name: str, config: AdaSparkConfig, question: Question) -> tuple[Tensor, Trace]:
    """Logits [tokens after the video, vocabulary] of one ordinary prompt, answer included."""
    model, packer = MODELS[name]()
    prompt = build_prompt(packer.tokenizer, question.text, GRID, position_step=1.0)
    table = model.model.language_model.embed_tokens
    ids = packer.encode(question.answer)
    embeds = table(torch.cat([prompt.input_ids[0], torch.tensor(ids)]))[None]
    types = torch.nn.functional.pad(prompt.token_types, (0, len(ids)))
    embeds[types == VIDEO] = features(name)
    after = prompt.next_position + torch.arange(len(ids)).expand(3, 1, -1)
    sparsify(model, config)
    try:
        with torch.no_grad(), record(model) as trace:
            out = model(
                inputs_embeds=embeds,
                position_ids=torch.cat([prompt.position_ids, after], -1),
                mm_token_type_ids=types,
                video_grid_thw=torch.tensor([[GRID[0], 2 * GRID[1], 2 * GRID[2]]]),
            )
    finally:
        restore(model)
    first = int((types[0] == VIDEO).nonzero()[-1]) + 1
    return out.logits[0, first:], trace
