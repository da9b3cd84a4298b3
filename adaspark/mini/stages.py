"""The curriculum: short clips and questions first; a stage ends when it is learnt."""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]

TARGETS = ("color", "shape", "order", "count", "motion")
CORE = (*TARGETS, "where", "exists")
ALL = (*TARGETS, *TARGETS, "where", "when", "exists", "absent", "most")


@dataclass(frozen=True)
class Clips:
    """One kind of clip in a stage: `weight` is its share of the batches."""

    frames: int
    size: Size
    objects: tuple[int, int]
    weight: float = 1.0
    brief_secs: tuple[float, float] = (1.0, 3.0)


@dataclass(frozen=True)
class Stage:
    """One stage: it ends when every family of `test` passes `pass_mark`, or after `most_steps`.

    `sentences` is the share of full sentences among the questions and `chat` the share inside the
    chat template; the rest end in their key, and the answer follows it at once. One of
    `position_steps`, the M-RoPE distance of two slices, is drawn a batch: others than 1 are what
    clips longer than the most frames, or of odd lengths, get at run time.
    """

    name: str
    clips: tuple[Clips, ...]
    test: Clips
    families: tuple[str, ...]
    sentences: float
    chat: float
    most_steps: int
    least_steps: int = 100
    pass_mark: float = 0.9
    position_steps: tuple[float, ...] = (1.0,)


_S, _M, _L, _W, _T = (112, 112), (168, 168), (224, 224), (112, 196), (196, 140)

STAGES = (
    Stage(
        "words",
        (Clips(4, _S, (1, 1)), Clips(4, _S, (1, 2))),
        Clips(4, _S, (1, 2)),
        CORE,
        sentences=0.0,
        chat=0.3,
        most_steps=1500,
    ),
    Stage(
        "sentences",
        (Clips(4, _S, (1, 2)), Clips(8, _S, (1, 3), 2)),
        Clips(8, _S, (2, 3)),
        CORE,
        sentences=0.6,
        chat=0.8,
        most_steps=2500,
    ),
    Stage(
        "sizes",
        (
            Clips(8, _S, (1, 3), 2),
            Clips(8, _L, (1, 3), 2),
            Clips(16, _S, (2, 4), 2),
            Clips(16, _W, (2, 4), 1),
            Clips(16, _L, (2, 4), 1),
        ),
        Clips(16, _L, (2, 3)),
        ALL,
        sentences=0.85,
        chat=0.95,
        most_steps=2500,
    ),
    Stage(
        "lengths",
        (
            Clips(4, _S, (1, 2), 0.5),
            Clips(8, _L, (1, 3), 1.5),
            Clips(16, _S, (2, 4), 1),
            Clips(16, _W, (1, 4), 1),
            Clips(16, _T, (1, 4), 0.5),
            Clips(32, _S, (2, 5), 2),
            Clips(32, _M, (2, 5), 1),
            Clips(32, _L, (2, 5), 2),
            Clips(64, _S, (2, 5), 2, (0.7, 3.0)),
            Clips(64, _L, (1, 5), 3, (0.7, 3.0)),
            Clips(128, _S, (2, 5), 1, (0.7, 3.0)),
            Clips(128, _L, (2, 5), 0.5, (0.7, 3.0)),
        ),
        Clips(64, _L, (2, 3), brief_secs=(0.7, 3.0)),
        ALL,
        sentences=0.95,
        chat=1.0,
        most_steps=4200,
        pass_mark=1.1,
        position_steps=(*[1.0] * 10, 0.5, 0.97, 1.02, 1.06, 1.15, 1.25, 1.4, 1.5, 2.0, 3.0),
    ),
)
