"""Segment: the pairs it counts are those that its queries compute, one by one."""

from __future__ import annotations

import torch
from geometry import Scene, scenes
from hypothesis import given
from hypothesis import strategies as st


@given(scenes(), st.integers(0, 2**16))
def test_computed_pairs_are_the_visible_keys_of_what_is_attended(scene: Scene, seed: int) -> None:
    sequence, heads = scene.build(), 3
    generator = torch.Generator().manual_seed(seed)
    cube_of_token = sequence.layout.cube_from_token
    for segment in sequence.segments():
        drawn = torch.rand(heads, *segment.own_mask.shape, generator=generator) < 0.5
        kept = drawn & segment.candidates
        pairs = segment.computed_pairs(segment.heads_attending(kept), heads)
        for i, before in enumerate(segment.video_before.tolist()):
            cubes = cube_of_token[:before]
            attended = kept[:, i] | segment.own_mask[i]
            keys = int(attended[:, cubes].sum()) + heads * int(segment.text_before[i])
            assert int(pairs[i]) == keys
