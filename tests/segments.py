"""The segments of a sequence against a count of one key after another."""

from __future__ import annotations

from adaspark.method.sequence import SequenceMap


def check_segments(sequence: SequenceMap, start: int = 0) -> None:
    """Each segment against a count of one key after another."""
    video, text = sequence.video_positions.tolist(), sequence.text_positions.tolist()
    cube_from_token = sequence.layout.cube_from_token.tolist()
    asked = []
    for segment in sequence.segments(start):
        for row, position in enumerate(segment.positions.tolist()):
            asked.append(position)
            seen = [token for token, at in enumerate(video) if at <= position]
            assert segment.video_before[row] == len(seen)
            assert segment.text_before[row] == sum(at <= position for at in text)
            assert segment.is_text == (position in text)
            own = cube_from_token[video.index(position)] if position in video else -1
            assert segment.own_cube[row] == own
            counts = [0] * sequence.layout.cubes
            for token in seen:
                counts[cube_from_token[token]] += 1
            partly = counts[segment.partial_cube : segment.end_cube]
            assert segment.partly_visible_tokens[row].tolist() == partly
            assert not any(counts[segment.end_cube :])
            wanted = [n > 0 and cube != own for cube, n in enumerate(counts[: segment.end_cube])]
            assert segment.candidates[row].tolist() == wanted
            assert segment.candidate_counts[row] == sum(wanted)
            sizes = sequence.layout.cube_sizes[: segment.partial_cube].tolist()
            assert counts[: segment.partial_cube] == sizes  # wholly visible
    assert sorted(asked) == sorted(at for at in video + text if at >= start)
