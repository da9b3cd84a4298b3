"""AdaS-Attn by the GPU kernels against exact selection and plain attention, on odd shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import interpreted
import pytest
import rounding
import torch
from geometry import ODD, Scene, allowed_mask, tensors
from long import some_of
from torch import Tensor

from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu import gather_kernel
from adaspark.kernels.gpu import tables as gpu_tables
from adaspark.kernels.gpu.thresholds import MEASURED, Thresholds, TileShape
from adaspark.method.attention import Choice
from adaspark.method.layout import CubeLayout
from adaspark.method.rules import CUBE_RULES, Rule, top_p
from adaspark.method.segment import Segment
from adaspark.method.sequence import SequenceMap

DEVICE = interpreted.DEVICE
BIG = Scene(((4, 5, 9), (1, 4, 6)), (5, 2, 3), (4, 5, 5))  # cubes of 100 tokens: two blocks
SMALL = ODD["two videos, text between"]
GATHER = Thresholds(gather_rows=1, gather_slots=1, pair_keys=16, min_gain=-1.0)


@pytest.fixture
def poison(request: pytest.FixtureRequest) -> None:
    """Memory that is used before it is written makes no number: NaN, or far from any index."""
    if DEVICE == "cpu":
        request.getfixturevalue("poisoned_memory")
    else:  # the caching allocator hands out again what these leave
        sizes = [2**27, *[2**17] * 64]
        held = [torch.full((size,), torch.nan, device=DEVICE) for size in sizes]
        del held


@dataclass
class Ran:
    """One call: what went in, what came out, what was recorded."""

    sequence: SequenceMap
    qkv: tuple[Tensor, Tensor, Tensor]
    rule: Rule
    output: Tensor
    recorded: list[tuple[Segment, Choice]]

    @property
    def scale(self) -> float:
        return float(self.qkv[0].shape[-1] ** -0.5)

    def exact(self, *, dtype: torch.dtype = torch.float64) -> Tensor:
        """Plain attention over what the choices allow, by position alone."""
        queries, keys, values = (t.to(dtype) for t in self.qkv)
        heads = queries.shape[0]
        keys, values = (t.repeat_interleave(heads // t.shape[0], 0) for t in (keys, values))
        scores = (queries @ keys.mT * self.scale).masked_fill(~self.allowed(), -torch.inf)
        weights = scores.softmax(-1, dtype=torch.promote_types(dtype, torch.float32))
        return weights.nan_to_num(0.0).to(dtype) @ values

    def allowed(self) -> Tensor:
        """bool [H, S, N]."""
        return allowed_mask(self.sequence, self.recorded, self.qkv[0].shape[1])

    def check(self) -> None:
        """The output is that of plain attention given the choice; the choice is a nucleus."""
        rounding.check_attention(self.output, self.qkv, self.allowed(), scale=self.scale)
        if self.rule.name == "top_p":
            assert self.wrong_choices() == 0

    def wrong_choices(self) -> int:
        """Rows whose choice is no nucleus: weighed in fp64, with 1e-5 of room for rounding."""
        queries, keys, _ = (t.double() for t in self.qkv)
        start, room = self.sequence.length - queries.shape[1], 1e-5
        layout = self.sequence.layout
        means = torch.stack(
            [
                keys[:, self.sequence.video_positions[layout.cube_from_token == cube]].mean(1)
                for cube in range(layout.cubes)
            ]
            or [keys[:, 0]],
            1,
        ).repeat_interleave(queries.shape[0] // keys.shape[0], 0)
        wrong = 0
        for segment, choice in self.recorded:
            if not segment.end_cube:
                continue
            p = self.rule.of_rows(segment.is_text).amount
            scores = queries[:, segment.positions - start] @ means[:, : segment.end_cube].mT
            scores = (scores * self.scale).masked_fill(~segment.candidates, -torch.inf)
            mass = scores.softmax(-1).nan_to_num(0.0)
            least = mass.masked_fill(~choice.kept, torch.inf).amin(-1)
            dropped = mass.masked_fill(choice.kept, 0.0).amax(-1)
            total = (mass * choice.kept).sum(-1)
            some = choice.kept.any(-1)
            reaches = (total >= p - room) | ~segment.candidates.any(-1)
            minimal = ~some | (total - least <= p + room) | (least <= room)
            wrong += int((~reaches | ~minimal | (dropped > least + room)).sum())
            wrong += int((choice.kept & ~segment.candidates).sum())
        return wrong


def run(
    scene: Scene | SequenceMap,
    *,
    heads: int = 4,
    groups: int = 2,
    width: int = 64,
    dtype: torch.dtype = torch.float32,
    rule: Rule | float = 0.6,
    last: int | None = None,
    thresholds: Thresholds = MEASURED,
) -> Ran:
    """The kernels on random tensors, as peaked as trained ones."""
    sequence = on_device(scene) if isinstance(scene, Scene) else scene
    drawn = tensors(sequence, heads=heads, groups=groups, width=width, dtype=dtype, last=last)
    qkv = (drawn[0].to(DEVICE), drawn[1].to(DEVICE), drawn[2].to(DEVICE))
    rule = rule if isinstance(rule, Rule) else top_p(rule)
    ran = Ran(sequence, qkv, rule, torch.empty(0), [])
    with torch.inference_mode():
        ran.output = gpu_attention.sparse_attention(
            *qkv,
            sequence,
            rule=rule,
            scale=ran.scale,
            observe=lambda segment, choice: ran.recorded.append((segment, choice)),
            thresholds=thresholds,
        )
    return ran


def on_device(scene: Scene) -> SequenceMap:
    return scene.build(DEVICE)


@pytest.mark.long
@pytest.mark.parametrize("stamps", [(3, 2, 3, 1), (0, 2, 0, 3), (2, 0, 0, 0)])
def test_text_that_belongs_to_slices_is_chosen_in_cubes_of_its_own(stamps: tuple[int, ...]) -> None:
    layout = CubeLayout([(4, 4, 4)], (2, 2, 2), device=DEVICE, stamps=[stamps])
    length = layout.tokens + 6
    places = torch.arange(length, device=DEVICE)
    video = places[2 : 2 + layout.tokens]
    text = torch.cat([places[:2], places[2 + layout.tokens :]])
    sequence = SequenceMap(layout, video, text, length)
    for rule in (top_p(0.5), top_p(0.9), Rule("top_p", 0.5, text_amount=0.95)):
        run(sequence, rule=rule).check()


@pytest.mark.few
@pytest.mark.usefixtures("poison")
@some_of("name", ODD, always=3)
def test_odd_shapes(name: str) -> None:
    run(ODD[name]).check()


@pytest.mark.few
@pytest.mark.usefixtures("poison")
@some_of("p", [0.0, 0.3, 0.95, 1.0], always=2)
def test_thresholds(p: float) -> None:
    run(SMALL, heads=2, rule=p).check()


@pytest.mark.few
@pytest.mark.usefixtures("poison")
@some_of("name", ["two videos, text between", "padded", "no text before"])
@some_of("p, text_p", [(0.5, 1.0), (0.9, 0.2), (0.3, 0.0), (1.0, 0.4), (0.0, 1.0)], always=2)
def test_rows_of_text_have_a_threshold_of_their_own(name: str, p: float, text_p: float) -> None:
    ran = run(ODD[name], rule=Rule("top_p", p, text_amount=text_p))
    ran.check()
    for segment, choice in ran.recorded:
        if (of := text_p if segment.is_text else p) in (0.0, 1.0):
            every = segment.candidates & (of == 1)
            assert torch.equal(choice.kept, every.expand_as(choice.kept))


@pytest.mark.usefixtures("poison")
def test_words_share_rows_of_a_program_with_video_whatever_they_keep() -> None:
    """Eight or 32 rows of both kinds are chosen for by one program, with the scores of both."""
    rule = Rule("top_p", 0.4, text_amount=1.0)
    thresholds = [Thresholds(many_rows=many, short_scores=2**10) for many in (1, 2**18)]
    one, other = (run(SMALL, heads=2, rule=rule, thresholds=t) for t in thresholds)
    one.check()
    assert torch.equal(one.allowed(), other.allowed())


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("name", [name for name in CUBE_RULES if name != "top_p"])
def test_other_rules_choose_as_everywhere(name: str) -> None:
    from adaspark.method import attention

    ran = run(SMALL, rule=Rule(name, 0.5))
    ran.check()
    queries, keys, _ = ran.qkv
    means = attention.cube_means(keys, ran.sequence)
    for segment, choice in ran.recorded:
        _, expected = attention.decide(queries, segment, means, 0, rule=ran.rule, scale=ran.scale)
        assert torch.equal(choice.kept, expected.kept)


@pytest.mark.few
@pytest.mark.usefixtures("poison")
@some_of("dtype", [torch.bfloat16, torch.float16, torch.float32])
@some_of("width, groups", [(64, 1), (128, 2), (256, 1)], always=2)
def test_the_error_is_at_most_twice_that_of_plain_attention(
    dtype: torch.dtype, width: int, groups: int
) -> None:
    ran = run(ODD["one slice"], heads=7 * groups, groups=groups, width=width, dtype=dtype)
    exact = ran.exact()
    mine = (ran.output.double() - exact).square().mean().sqrt()
    theirs = (ran.exact(dtype=dtype).double() - exact).square().mean().sqrt()
    assert ran.output.dtype == dtype and mine <= 2 * theirs, f"{mine:.2e} against {theirs:.2e}"
    assert ran.wrong_choices() == 0


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("last", [1, 4])
@pytest.mark.parametrize("splits", [1, 4])
def test_few_queries_read_keys_once_for_a_group(last: int, splits: int) -> None:
    """The heads of a group are rows of one tile, whose cubes several programs may share."""
    run(SMALL, heads=14, last=last, thresholds=Thresholds(splits=splits)).check()


def test_decoding_continues_what_was_prefilled() -> None:
    sequence = on_device(SMALL)
    run(sequence.continued(sequence.length, 1), last=1).check()


@pytest.mark.long
@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("scene", [BIG, ODD["ragged"]], ids=["big cubes", "ragged"])
def test_keys_that_are_copied_cube_by_cube(scene: Scene) -> None:
    run(scene, heads=2, groups=1, thresholds=Thresholds(copy_queries=1)).check()


@pytest.mark.long
@pytest.mark.usefixtures("poison")
@some_of(
    "scene, max_pairs, splits",
    [(BIG, 1, 1), (BIG, 2**21, 2), (ODD["ragged"], 1, 2), (ODD["ragged"], 2**21, 1)],
    ids=["big cubes, tile by tile", "big cubes, shared", "ragged, shared", "ragged, at once"],
)
def test_what_few_rows_selected_may_be_gathered(
    monkeypatch: pytest.MonkeyPatch, scene: Scene, max_pairs: int, splits: int
) -> None:
    """Some tiles at a time, each by one program or shared: no row of another tile is touched."""
    thresholds = replace(GATHER, splits=splits, max_pairs=max_pairs)
    pairs = 0
    usual = gather_kernel.gather

    def counted(*args: object, **rest: object) -> gpu_tables.Pairs:
        nonlocal pairs
        found = usual(*args, **rest)  # type: ignore[arg-type]
        pairs += int(found.count.sum())
        return found

    monkeypatch.setattr(gather_kernel, "gather", counted)
    ran = run(scene, heads=2, groups=1, thresholds=thresholds)
    ran.check()
    assert pairs > 20


@pytest.mark.usefixtures("poison")
@some_of("step", [1, 2])
@some_of("splits", [1, 3])
def test_blocks_may_be_added_two_at_a_time(step: int, splits: int) -> None:
    """Odd numbers of blocks included: the last one has no second."""
    thresholds = Thresholds(tile=TileShape(64, 4, 1, step), splits=splits)
    run(ODD["ragged"], heads=2, groups=1, thresholds=thresholds).check()


@pytest.mark.long
@pytest.mark.usefixtures("poison")
def test_small_chunks_change_nothing() -> None:
    whole = run(SMALL, heads=2)
    parts = run(SMALL, heads=2, thresholds=Thresholds(selection_bytes=1))
    assert torch.equal(parts.allowed(), whole.allowed())
    parts.check()
    whole.check()


@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("scores, many", [(32, 1), (2**10, 2**18), (2**15, 1)])
def test_rows_choose_some_at_a_time(scores: int, many: int) -> None:
    thresholds = Thresholds(many_rows=many, score_bytes=1, short_scores=scores)
    run(ODD["no text after"], heads=2, thresholds=thresholds).check()


def test_recording_changes_no_bit() -> None:
    ran = run(SMALL, heads=2)
    silent = gpu_attention.sparse_attention(*ran.qkv, ran.sequence, rule=ran.rule, scale=ran.scale)
    assert torch.equal(silent, ran.output)


@pytest.mark.few
@pytest.mark.parametrize("gathers", [False, True])
def test_executed_pairs_count_what_the_tiles_multiply(gathers: bool) -> None:
    """Every row of a tile multiplies the union of its cubes, padded, and text to its last row."""
    ran = run(SMALL, heads=2, groups=1, thresholds=GATHER if gathers else MEASURED)
    blocks = gpu_tables.KeyBlocks.of(ran.sequence)
    size = gpu_tables.shape_for(torch.float32, ran.sequence.length).rows
    selected = torch.cat(
        [
            torch.nn.functional.pad(c.kept | s.own_mask, (0, blocks.cubes - s.end_cube))
            for s, c in ran.recorded
        ],
        1,
    )
    text = torch.cat([torch.full_like(s.positions, s.end_text) for s, _ in ran.recorded])
    enough = size * blocks.slots // (blocks.slots + 16) if gathers else 1
    expected = 0
    for tile, seen in zip(selected.split(size, 1), text.split(size), strict=True):
        rows = tile.sum(1)
        multiplied = (rows >= enough).sum() * tile.shape[1] + (rows * (rows < enough)).sum()
        padded = -(-int(seen.max()) // blocks.block) * blocks.block
        expected += int(multiplied) * blocks.slots + 2 * tile.shape[1] * padded
    assert sum(choice.executed_pairs for _, choice in ran.recorded) == expected


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE == "cpu", reason="needs a CUDA device")
@pytest.mark.parametrize("cube", [(4, 4, 4), (2, 8, 8), (4, 8, 8), (3, 5, 6)])
@pytest.mark.parametrize("p", [0.3, 0.9])
def test_a_real_size(cube: tuple[int, int, int], p: float) -> None:
    scene = Scene(((24, 16, 18),), (33, 45), cube)
    ran = run(scene, heads=28, groups=4, width=128, dtype=torch.bfloat16, rule=p)
    exact = ran.exact(dtype=torch.float32)
    mine = (ran.output.float() - exact).square().mean().sqrt()
    assert mine < 4e-3 * exact.square().mean().sqrt(), f"{mine:.2e}"
    assert ran.wrong_choices() == 0
