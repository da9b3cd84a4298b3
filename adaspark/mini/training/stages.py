"""The curriculum: short clips and questions first; a stage ends when it is learnt."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from adaspark.mini.world.settings import SceneSettings

Size = tuple[int, int]

# A family that comes twice is asked twice as often; many scenes cannot answer the rarer ones.
CORE = ("needle", "needle", "order", "count", "motion", "spatial", "exists")
MORE = (*CORE, "spatial", "motion", "order", "lookalike", "lookalike", "absent", "aggregate")
SECONDS = ("grounding", "grounding", "at_time", "at_time", "at_time")
RARE = ("aggregate", "aggregate", "aggregate", "aggregate", "lookalike", "spatial")
ALL = (*MORE, *SECONDS, *RARE)
# What the first four stages left unlearnt comes often: one place against another, counts, seconds.
PLACES = ("relation",) * 5 + ("spatial", "count", "count", "at_time", "grounding", "order")
# Few scenes can be asked what is there at a second.
LAST = (*ALL, *PLACES, "count", "grounding", *["at_time"] * 8)


@dataclass(frozen=True)
class Clips:
    """One kind of clip in a stage: `weight` is its share of the batches, and it is asked `more`
    times as many questions as other clips of the run.

    `needles` is the share of scenes with a brief needle at a depth drawn evenly, and `brief_secs`
    the range of a short event's length. `position_steps` and `families`, if given, take the place
    of the stage's.
    """

    frames: int
    size: Size
    objects: tuple[int, int]
    weight: float = 1.0
    brief_secs: tuple[float, float] = (1.0, 3.0)
    needles: float = 0.0
    more: int = 1
    position_steps: tuple[float, ...] = ()
    families: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One stage: it ends when every family of `test` passes `pass_mark`, or after `max_steps`.

    `sentences` is the share of full sentences among the questions and `chat` the share inside the
    chat template; the rest end in their key, and the answer follows it at once. `scenes` holds the
    shares of repeats and effects; `clips` set length, size and objects. One of
    `position_steps`, the M-RoPE distance of two slices, is drawn a batch: others than 1 are what
    clips longer than the most frames, or of odd lengths, get at run time. In a stage that
    `anneals`, the learning rate and the auxiliary loss fall.
    """

    name: str
    clips: tuple[Clips, ...]
    test: Clips
    families: tuple[str, ...]
    sentences: float
    chat: float
    max_steps: int
    min_steps: int = 100
    pass_mark: float = 0.9
    position_steps: tuple[float, ...] = (1.0,)
    scenes: SceneSettings = SceneSettings()
    anneals: bool = False

    def settings(self, clips: Clips, rng: random.Random) -> SceneSettings:
        """Settings of one scene of this stage."""
        needle = None
        if rng.random() < clips.needles:
            needle = (rng.random(), rng.uniform(*_NEEDLE_SECS))
        return replace(
            self.scenes,
            frames=clips.frames,
            size=clips.size,
            objects=clips.objects,
            brief_secs=clips.brief_secs,
            needle=needle,
        )


_NEEDLE_SECS = (0.7, 3.0)
_S, _M, _L, _W, _T = (112, 112), (168, 168), (224, 224), (112, 196), (196, 140)
_BRIEF, _SECS = (0.7, 3.0), (1.5, 2.5)
_PACES = (*[1.0] * 14, 0.5, 0.97, 1.06, 1.25, 1.5, 2.0)

_PLAIN = SceneSettings().plain()
_SOME = replace(
    SceneSettings().with_effects(0.5), repeats=0.4, striped=0.15, lookalikes=0.3, turning=0.2
)
_FULL = replace(SceneSettings(), repeats=0.5, lookalikes=0.3, turning=0.3)
_REPEATS = replace(_FULL, repeats=0.7)
_SHORTER = (
    Clips(8, _L, (1, 4), 0.8),
    Clips(16, _S, (1, 5), 1.2),
    Clips(16, _W, (1, 4), 0.6),
    Clips(16, _T, (1, 4), 0.4),
    Clips(16, _L, (2, 5), 0.8),
)
_MIDDLE = (
    Clips(32, _M, (2, 6), 0.6),
    Clips(32, _L, (2, 6), 1, needles=0.2),
)
_LONGEST = (
    Clips(64, _S, (2, 6), 1, _BRIEF, needles=0.4),
    Clips(64, _L, (2, 6), 2, _BRIEF, needles=0.3),
    Clips(128, _S, (2, 6), 0.6, _BRIEF, needles=0.4),
    Clips(128, _L, (2, 3), 0.6, _SECS),
    Clips(148, _L, (2, 6), 2.4, _BRIEF, needles=0.3),
    Clips(148, _L, (2, 3), 1.4, _SECS),
    Clips(256, _S, (2, 6), 0.6, _BRIEF, needles=0.4),
)

_LAST = Stage(
    "last",
    (
        Clips(8, _S, (2, 3), 1),
        *_SHORTER,
        *_MIDDLE,
        *[replace(clips, more=4) for clips in _LONGEST],
    ),
    Clips(148, _L, (2, 4), brief_secs=_BRIEF, needles=0.3, more=4),
    LAST,
    sentences=0.95,
    chat=1.0,
    max_steps=1700,
    pass_mark=1.1,
    position_steps=_PACES,
    scenes=_REPEATS,
    anneals=True,
)
STAGES = (
    Stage(
        "words",
        (Clips(4, _S, (1, 1)), Clips(4, _S, (1, 2)), Clips(8, _S, (1, 2))),
        Clips(8, _S, (1, 2)),
        CORE,
        sentences=0.0,
        chat=0.3,
        max_steps=1500,
        scenes=_PLAIN,
    ),
    Stage(
        "sentences",
        (Clips(4, _S, (1, 2)), Clips(8, _S, (1, 3), 2), Clips(8, _S, (2, 4))),
        Clips(8, _S, (2, 3)),
        MORE,
        sentences=0.6,
        chat=0.8,
        max_steps=800,
        scenes=_SOME,
    ),
    Stage(
        "sizes",
        (
            Clips(8, _S, (1, 3), 2),
            Clips(8, _L, (1, 3), 1.5),
            Clips(16, _S, (2, 4), 2.5, needles=0.2),
            Clips(16, _S, (1, 2), 1),
            Clips(16, _W, (2, 4), 1),
            Clips(16, _L, (2, 4), 1),
            Clips(32, _S, (2, 4), 1),
        ),
        Clips(16, _L, (2, 4)),
        ALL,
        sentences=0.85,
        chat=0.95,
        max_steps=900,
        scenes=_FULL,
    ),
    Stage(
        "lengths",
        (
            Clips(4, _S, (1, 2), 0.4),
            Clips(8, _L, (1, 3), 1.2),
            Clips(16, _S, (1, 4), 1),
            Clips(16, _W, (1, 4), 0.8),
            Clips(16, _T, (1, 4), 0.5),
            Clips(16, _L, (2, 4), 0.8),
            Clips(32, _S, (2, 5), 1.5, needles=0.2),
            Clips(32, _M, (2, 5), 1),
            Clips(32, _L, (2, 5), 1.8, needles=0.2),
            Clips(64, _S, (2, 6), 1.6, _BRIEF, needles=0.4),
            Clips(64, _L, (1, 5), 2.4, _BRIEF, needles=0.4),
            Clips(128, _S, (2, 6), 0.8, _BRIEF, needles=0.4),
            Clips(128, _L, (2, 5), 0.5, _BRIEF, needles=0.4),
            Clips(148, _L, (2, 6), 1, _BRIEF, needles=0.4),
            Clips(256, _S, (2, 6), 0.6, _BRIEF, needles=0.4),
        ),
        Clips(64, _L, (2, 4), brief_secs=_BRIEF, needles=0.3),
        ALL,
        sentences=0.95,
        chat=1.0,
        max_steps=2900,
        pass_mark=1.1,
        position_steps=_PACES,
        scenes=_FULL,
        anneals=True,
    ),
    Stage(
        "places",
        (
            Clips(4, _S, (2, 3), 1),
            Clips(8, _S, (2, 4), 2),
            Clips(8, _L, (2, 4), 1),
            Clips(16, _S, (2, 5), 2),
            Clips(16, _W, (2, 4), 0.7),
            Clips(16, _T, (2, 4), 0.7),
            Clips(16, _L, (2, 5), 1.5),
            Clips(32, _M, (2, 6), 0.7),
            Clips(64, _L, (2, 6), 1, _BRIEF, needles=0.2),
            Clips(148, _L, (2, 6), 1, _BRIEF, needles=0.2),
        ),
        Clips(16, _L, (2, 4)),
        (*MORE, *PLACES, *SECONDS),
        sentences=0.8,
        chat=0.95,
        max_steps=1200,
        min_steps=600,
        pass_mark=0.97,
        scenes=_REPEATS,
    ),
    Stage(
        "long",
        (
            Clips(4, _S, (1, 3), 0.4),
            *_SHORTER,
            Clips(32, _S, (2, 6), 1, needles=0.2),
            *_MIDDLE,
            *_LONGEST,
        ),
        Clips(148, _L, (2, 4), brief_secs=_BRIEF, needles=0.3),
        LAST,
        sentences=0.95,
        chat=1.0,
        max_steps=3600,
        pass_mark=1.1,
        position_steps=_PACES,
        scenes=_REPEATS,
        anneals=True,
    ),
    Stage(
        "pairs",
        (
            Clips(4, _S, (2, 2), 1.5),
            Clips(8, _S, (2, 2), 1.5),
            Clips(8, _S, (2, 3), 1),
            Clips(16, _S, (2, 3), 1),
            Clips(148, _L, (2, 6), 0.3, _BRIEF, more=4),
        ),
        Clips(8, _S, (2, 3)),
        (*["relation"] * 8, "spatial", "spatial", "order", "count", "needle", "motion"),
        sentences=0.3,
        chat=0.7,
        max_steps=1000,
        pass_mark=0.93,
        scenes=replace(_SOME, moving=0.3),
    ),
    _LAST,
    Stage(
        "seconds",
        (
            Clips(32, _S, (2, 4), 1),
            Clips(64, _S, (2, 4), 1, _SECS, more=2),
            Clips(64, _L, (2, 4), 0.6, _SECS, more=4),
            Clips(128, _S, (2, 4), 1, _SECS, more=2),
            Clips(148, _S, (2, 3), 1.5, _SECS, more=2),
            Clips(148, _L, (2, 3), 1.5, _SECS, more=4),
            Clips(148, _L, (2, 6), 0.5, _BRIEF, needles=0.3, more=4),
        ),
        Clips(148, _L, (2, 3), brief_secs=_SECS, more=4),
        (*ALL, *["at_time"] * 20),
        sentences=0.6,
        chat=0.8,
        max_steps=800,
        min_steps=400,
        pass_mark=0.95,
        scenes=_REPEATS,
    ),
    replace(_LAST, name="settled", max_steps=1500),
)

_FOUND = ("needle", "needle", "lookalike", "lookalike", "order", "count", "absent", "aggregate")
_SLOWER = (1.0, 2.0, 4.0, 4.0)  # 4: one frame a second
_HOURS = tuple(
    Clips(frames, _S, (2, 6), weight, _BRIEF, 0.5, 2, _SLOWER, _FOUND)
    for frames, weight in ((512, 1.0), (1024, 1.5), (2048, 1.5), (3600, 2.0))
)
HOUR = replace(
    _LAST,
    name="hour",
    clips=(*_LAST.clips, *_HOURS),
    test=replace(_HOURS[1], position_steps=()),
    max_steps=2500,
)
"""On from a bundle, to an hour at one frame a second; all clips of the last stage stay."""
