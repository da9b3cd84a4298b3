"""Windows attended to together: the features of transformers' own tower, in fewer calls."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from clips import write_clip
from models import tiny_model

from adaspark.method.config import AdaSparkConfig, Grid
from adaspark.model import features, vision
from adaspark.model.checkpoint import Checkpoint
from adaspark.video.clip import Sampling, patchify, read_clip

GRIDS = {
    "one window": (1, 2, 3),
    "windows all alike": (2, 4, 8),
    "ragged both ways": (3, 6, 11),
    "narrower than a window": (2, 1, 9),
    "one token": (2, 1, 1),
}


def tower(dtype: torch.dtype = torch.float32) -> Any:
    return sharp(tiny_model(dtype=dtype)).model.visual


def sharp(model: Any) -> Any:
    """Fresh weights attend to all alike; these choose, and what they chose is heard."""
    with torch.no_grad():
        for block in model.model.visual.blocks:
            block.attn.qkv.weight *= 30
            block.attn.proj.weight *= 30
    return model


def drawn(grid: Grid, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    count = 4 * grid[0] * grid[1] * grid[2]
    return torch.randn(count, 3 * 2 * 14 * 14, generator=generator).to(dtype)


def encoded(visual: Any, pixels: torch.Tensor, grid: Any) -> torch.Tensor:
    """The features alone: this tower adds nothing to later layers."""
    features, *rest = vision.encode(visual, pixels, grid)
    assert not rest
    return features


def stock(visual: Any, pixels: torch.Tensor, *grids: Grid) -> torch.Tensor:
    shapes = torch.tensor([(t, 2 * h, 2 * w) for t, h, w in grids])
    return visual(pixels, grid_thw=shapes).pooler_output


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@torch.no_grad()
def test_features_are_those_of_the_stock_tower(grid: Grid) -> None:
    visual, pixels = tower(), drawn(grid)
    expected = stock(visual, pixels, grid)
    assert (encoded(visual, pixels, grid) - expected).abs().max() <= 1e-5
    assert visual.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@torch.no_grad()
def test_in_bf16_the_error_is_at_most_twice_that_of_the_stock_tower(grid: Grid) -> None:
    visual, pixels = tower(torch.bfloat16), drawn(grid, torch.bfloat16)
    exact = stock(visual.double(), pixels.double(), grid)
    visual.bfloat16()
    theirs = (stock(visual, pixels, grid) - exact).square().mean().sqrt()
    mine = (encoded(visual, pixels, grid) - exact).square().mean().sqrt()
    assert mine <= 2 * theirs


@torch.no_grad()
def test_pictures_of_several_shapes_may_stand_in_one_call() -> None:
    visual, grids = tower(), [(2, 3, 5), (1, 4, 4), (1, 1, 2)]
    pixels = torch.cat([drawn(grid) for grid in grids])
    expected = stock(visual, pixels, *grids)
    with vision.windows_together(visual):
        assert (stock(visual, pixels, *grids) - expected).abs().max() <= 1e-5


def test_gradients_pass_after_features_were_made() -> None:
    visual, grid = tower(), GRIDS["ragged both ways"]
    with torch.inference_mode():
        vision.encode(visual, drawn(grid), grid)
    pixels = drawn(grid).requires_grad_()
    encoded(visual, pixels, grid).sum().backward()
    expected = drawn(grid).requires_grad_()
    stock(visual, expected, grid).sum().backward()
    assert pixels.grad is not None and expected.grad is not None
    torch.testing.assert_close(pixels.grad, expected.grad)


@pytest.mark.parametrize("slices", [1, 5])
@torch.no_grad()
def test_attention_is_called_once_for_each_length(
    monkeypatch: pytest.MonkeyPatch, slices: int
) -> None:
    """Windows of 4 x 4 tokens on 6 x 11: 4 x 4, 4 x 3, 2 x 4 and 2 x 3, then whole slices."""
    lengths: list[int] = []
    usual = vision.scaled_dot_product_attention

    def counted(query: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        lengths.append(query.shape[2])
        return usual(query, *given, **named)

    monkeypatch.setattr(vision, "scaled_dot_product_attention", counted)
    grid = (slices, 6, 11)
    vision.encode(tower(), drawn(grid), grid)
    assert lengths == [4 * 6, 4 * 8, 4 * 12, 4 * 16, 4 * 66]


@torch.no_grad()
def test_another_implementation_stays() -> None:
    visual, grid = tower(), (1, 3, 5)
    visual.config._attn_implementation = "eager"
    with vision.windows_together(visual):
        assert visual.config._attn_implementation == "eager"
    assert encoded(visual, drawn(grid), grid).shape == (15, 56)


@torch.no_grad()
def test_an_error_leaves_the_tower_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    visual = tower()
    with pytest.raises(ZeroDivisionError), vision.windows_together(visual):
        assert visual.config._attn_implementation == vision.PACKED
        raise ZeroDivisionError
    assert visual.config._attn_implementation == "sdpa"


def test_slices_at_once_are_bounded_by_number_and_by_patches() -> None:
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    assert vision.slices_at_once((768, 6, 11), 2, cuda) == 64
    assert vision.slices_at_once((768, 24, 24), 2, cuda) == 2**15 // (4 * 24 * 24)
    assert vision.slices_at_once((768, 90, 90), 2, cpu) == 1


@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_a_clip_in_any_chunks_has_the_features_of_the_stock_tower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(vision, "SLICES_AT_ONCE", at_once)
    path = write_clip(tmp_path / "clip.mp4", size=(112, 84), frames=14)
    sampling = Sampling(fps=30.0, max_frames=64, min_pixels=28 * 28, max_pixels=2**20)
    model = sharp(tiny_model())
    checkpoint = Checkpoint("tiny", model, None, sampling, (0.5,) * 3, (0.2,) * 3, AdaSparkConfig())
    clip = read_clip(path, sampling)
    heard: list[tuple[str, int, int]] = []
    found, seconds = features.encode(
        checkpoint, path, clip.grid, sampling, lambda *told: heard.append(told)
    )
    with torch.no_grad():
        pixels = patchify(clip.frames, sampling, checkpoint.mean, checkpoint.std)
        expected = stock(model.model.visual, pixels, clip.grid)
    assert (found.embeddings - expected).abs().max() <= 1e-5
    assert found.times_secs == clip.times_secs and set(seconds) == {"decode", "vision"}
    frames = len(clip.times_secs)
    assert [done for name, done, _ in heard if name == "decode"] == list(range(1, frames + 1))
    step = at_once * sampling.temporal_patch
    ends = [*range(step, frames, step), frames]
    assert [done for name, done, _ in heard if name == "vision"] == ends


class Looking(torch.nn.Module):
    """A tower that keeps where its arguments were."""

    spatial_merge_size = 2
    config = SimpleNamespace(_attn_implementation="eager")

    def forward(self, pixels: torch.Tensor, **given: torch.Tensor) -> Any:
        self.places = {name: value.device.type for name, value in given.items()}
        return SimpleNamespace(pooler_output=pixels)


@pytest.mark.parametrize(("learned", "place"), [(True, "meta"), (False, "cpu")])
def test_the_grid_is_where_learned_positions_are_looked_up(learned: bool, place: str) -> None:
    """Qwen3-VL's tower finds them on the grid's device; the others' grid is read by the host."""
    visual = Looking()
    if learned:
        visual.pos_embed = torch.nn.Embedding(4, 2, device="meta")
    vision.encode(visual, torch.zeros(8, 4, device="meta"), (1, 1, 2))
    assert visual.places == {"grid_thw": place, "position_ids": "meta"}
