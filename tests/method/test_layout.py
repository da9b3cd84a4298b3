"""CubeLayout: every token in one cube, cubes in order, borders ragged."""

from __future__ import annotations

from itertools import product
from math import ceil

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaspark.method.layout import CubeLayout, mean_by_cube

sides = st.integers(1, 6)
grids = st.lists(st.tuples(sides, sides, sides), max_size=3)
cubes = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))


@given(grids, cubes)
def test_every_token_lies_where_its_place_says(
    grids: list[tuple[int, int, int]], cube: tuple[int, int, int]
) -> None:
    layout = CubeLayout(grids, cube)
    slice_shift = cube_shift = token = 0
    for t, h, w in grids:
        counts = [ceil(n / side) for n, side in zip((t, h, w), cube, strict=True)]
        for s, r, c in product(range(t), range(h), range(w)):
            block = [at // side for at, side in zip((s, r, c), cube, strict=True)]
            index = (block[0] * counts[1] + block[1]) * counts[2] + block[2]
            assert layout.slice_from_token[token] == slice_shift + s
            assert (layout.row_from_token[token], layout.column_from_token[token]) == (r, c)
            assert layout.cube_from_token[token] == cube_shift + index
            token += 1
        slice_shift += t
        cube_shift += counts[0] * counts[1] * counts[2]
    assert (layout.tokens, layout.cubes) == (token, cube_shift)


@given(grids, cubes)
def test_cubes_list_each_token_once_in_order(
    grids: list[tuple[int, int, int]], cube: tuple[int, int, int]
) -> None:
    layout = CubeLayout(grids, cube)
    seen = []
    for index, row in enumerate(layout.tokens_from_cube.tolist()):
        tokens = [token for token in row if token >= 0]
        assert tokens == sorted(tokens) and row[len(tokens) :] == [-1] * (len(row) - len(tokens))
        assert layout.cube_from_token[tokens].eq(index).all()
        assert layout.first_token_from_cube[index] == tokens[0]
        assert layout.cube_sizes[index] == len(tokens) > 0
        seen += tokens
    assert sorted(seen) == list(range(layout.tokens))


@given(st.data())
def test_cubes_are_numbered_by_their_first_tokens(data: st.DataObject) -> None:
    """Stamps too, wherever they stand: what a query has not seen begun is behind what it has."""
    drawn = data.draw(st.lists(st.tuples(sides, sides, sides), min_size=1, max_size=3))
    stamps = [data.draw(st.lists(st.integers(0, 3), min_size=t, max_size=t)) for t, _, _ in drawn]
    layout = CubeLayout(drawn, data.draw(cubes), stamps=stamps)
    assert layout.tokens == sum(t * h * w for t, h, w in drawn) + sum(map(sum, stamps))
    firsts = layout.first_token_from_cube
    assert torch.equal(firsts, firsts.sort().values)
    is_stamp = layout.row_from_token < 0
    assert torch.equal(layout.is_spatial[layout.cube_from_token], ~is_stamp)
    slabs = torch.tensor([[slab.first_token, slab.first_cube] for slab in layout.slabs])
    assert slabs.tolist() == sorted(slabs.tolist()) and slabs[0].tolist() == [0, 0]
    for slab in layout.slabs:
        held = layout.cube_from_token[slab.first_token : slab.end_token].unique()
        assert held.tolist() == list(range(slab.first_cube, slab.end_cube))


@given(grids, cubes)
def test_bounds_hold_exactly_the_tokens_of_their_cube(
    grids: list[tuple[int, int, int]], cube: tuple[int, int, int]
) -> None:
    layout = CubeLayout(grids, cube)
    video = torch.repeat_interleave(
        torch.arange(len(grids)), torch.tensor(layout.tokens_per_video, dtype=torch.long)
    )
    first_slice = torch.tensor([0, *(g[0] for g in grids)]).cumsum(0)
    for index, bounds in enumerate(layout.bounds.tolist()):
        inside = video == bounds[0]
        places = (
            layout.slice_from_token - first_slice[bounds[0]],
            layout.row_from_token,
            layout.column_from_token,
        )
        for axis, at in enumerate(places):
            inside &= (at >= bounds[1 + 2 * axis]) & (at < bounds[2 + 2 * axis])
        assert torch.equal(inside, layout.cube_from_token == index)


@given(grids, cubes)
def test_slabs_cut_the_sequence_where_slices_of_cubes_end(
    grids: list[tuple[int, int, int]], cube: tuple[int, int, int]
) -> None:
    layout = CubeLayout(grids, cube)
    token = index = 0
    for slab in layout.slabs:
        assert (slab.first_token, slab.first_cube) == (token, index)
        inside = layout.cube_from_token[slab.first_token : slab.end_token]
        assert set(inside.tolist()) == set(range(slab.first_cube, slab.end_cube))
        assert (
            layout.slice_from_token[slab.first_token : slab.end_token].unique().numel() <= cube[0]
        )
        token, index = slab.end_token, slab.end_cube
    assert (token, index) == (layout.tokens, layout.cubes)
    assert len(layout.slabs) == sum(ceil(t / cube[0]) for t, _, _ in grids)


@given(grids, cubes)
def test_a_cube_has_begun_with_its_first_token(
    grids: list[tuple[int, int, int]], cube: tuple[int, int, int]
) -> None:
    stamps = [[1 + slice_ % 3 for slice_ in range(grid[0])] for grid in grids]
    for whole in (CubeLayout(grids, cube), CubeLayout(grids, cube, stamps=stamps)):
        for layout in (whole, whole.part(whole.tokens // 3, whole.tokens // 3 * 2 + 1)):
            of_tokens = layout.cube_from_token.tolist()
            wanted = [len(set(of_tokens[:n])) for n in range(layout.tokens + 1)]
            assert layout.cubes_begun.tolist() == wanted


def test_a_cube_larger_than_the_grid_is_the_whole_video() -> None:
    layout = CubeLayout([(2, 3, 1)], (9, 9, 9))
    assert layout.cubes == 1 and layout.tokens_from_cube.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert layout.bounds.tolist() == [[0, 0, 2, 0, 3, 0, 1]]


def test_no_video_has_no_cubes() -> None:
    layout = CubeLayout([], (4, 4, 4))
    assert (layout.tokens, layout.cubes, layout.slabs) == (0, 0, [])
    assert layout.bounds.shape == (0, 7) and layout.tokens_from_cube.shape == (0, 0)


@pytest.mark.parametrize("grid", [(0, 1, 1), (1, 2), (1, 1, 1, 1), (2, -1, 3)])
def test_a_grid_without_three_sides_is_refused(grid: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="A grid is three whole numbers of at least 1"):
        CubeLayout([grid], (1, 1, 1))


def test_one_grid_in_the_place_of_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"grids are a list of \(T, H, W\), .* got \(4, 4, 4\)"):
        CubeLayout((4, 4, 4), (1, 1, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_means_by_cube_are_those_of_each_cube_s_rows(dtype: torch.dtype) -> None:
    layout = CubeLayout([(3, 5, 4)], (2, 2, 4))
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(2, layout.tokens, 6, generator=generator).to(dtype)
    kept = torch.rand(2, layout.tokens, generator=generator) < 0.5
    kept[:, layout.first_token_from_cube] = True
    means = mean_by_cube(values, layout.cube_from_token, layout.cube_sizes)
    of_kept = layout.kept_means(values, kept)
    assert means.dtype == of_kept.dtype == torch.float32
    for cube, tokens in enumerate(layout.tokens_from_cube.tolist()):
        mine = [token for token in tokens if token >= 0]
        torch.testing.assert_close(means[:, cube], values[:, mine].float().mean(1))
        for row in range(2):
            passed = [token for token in mine if kept[row, token]]
            torch.testing.assert_close(of_kept[row, cube], values[row, passed].float().mean(0))
