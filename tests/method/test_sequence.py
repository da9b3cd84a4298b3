"""SequenceMap: visibility in the original order, whatever the order of the segments."""

from __future__ import annotations

import pytest
import torch
from geometry import ODD, Scene, scenes
from hypothesis import given
from segments import check_segments

from adaspark.method import segment as segment_module
from adaspark.method.sequence import SequenceMap


@pytest.mark.parametrize("name", ODD)
def test_every_query_sees_what_stands_before_it(name: str) -> None:
    check_segments(ODD[name].build())


@given(scenes())
def test_every_query_sees_what_stands_before_it_in_any_scene(scene: Scene) -> None:
    check_segments(scene.build())


@given(scenes())
def test_causal_pairs_are_those_of_a_triangle(scene: Scene) -> None:
    sequence = scene.build()
    tokens = sequence.length - scene.padding
    pairs = sum(segment.causal_pairs for segment in sequence.segments())
    assert pairs == tokens * (tokens + 1) // 2


def test_long_slabs_and_texts_are_cut_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "SEGMENT_QUERIES", 4)
    sequence = Scene(((3, 3, 4),), (6, 9), (2, 2, 2)).build()
    check_segments(sequence)
    assert max(len(segment.positions) for segment in sequence.segments()) == 4


@pytest.mark.parametrize("start", [30, 38, 40])
def test_segments_may_begin_late(start: int) -> None:
    check_segments(Scene(((3, 3, 4),), (2, 5), (2, 2, 2)).build(), start)


def test_padding_is_no_query_and_no_key() -> None:
    scene = ODD["padded"]
    sequence = scene.build()
    positions = torch.cat([segment.positions for segment in sequence.segments()])
    assert positions.min() == scene.padding
    assert len(positions) == sequence.length - scene.padding
    assert sequence.segments()[0].causal_pairs > 0


def test_continuing_appends_text_and_forgets_what_was_cut() -> None:
    sequence = Scene(((3, 3, 4),), (2, 5), (2, 2, 2)).build()
    longer = sequence.continued(41, 3)  # the last two of 43 tokens are taken back
    assert longer.length == 44
    assert longer.text_positions.tolist() == [0, 1, 38, 39, 40, 41, 42, 43]
    check_segments(longer, start=41)


def test_segments_are_made_once_for_all_layers() -> None:
    sequence = ODD["ragged"].build()
    assert sequence.segments() is sequence.segments()


def test_grids_that_do_not_hold_the_marked_tokens_are_refused() -> None:
    marked = torch.tensor([False, True, True, True])
    with pytest.raises(ValueError, match=r"marks 3 video tokens.*hold 4; pass the video_grid_thw"):
        SequenceMap.build(marked, [(1, 2, 2)], (2, 2, 2))


def test_whether_a_cut_meets_the_video_is_known_without_looking_where_text_was_added() -> None:
    sequence = Scene(((3, 3, 4),), (2, 5), (2, 2, 2)).build()  # video at 2 to 37, 43 tokens
    longer = sequence.continued(43, 3)
    for start in range(47):
        assert longer.has_video_from(start) == (start <= 37)
    assert not ODD["no video"].build().has_video_from(0)
