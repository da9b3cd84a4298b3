"""The header of a Trace: what is said of a run once, beside its arrays. Checked when it is read.

As JSON it is a flat object; what is unknown is left out of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, TypeVar

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig, Grid
from adaspark.trace.flops import Flops

Known = TypeVar("Known")


@dataclass
class Part:
    """Which of the tokens that together are one readable text this is; `number` counts from 1."""

    number: int
    count: int
    of: str


@dataclass
class Word:
    """A text token: its text, its kind (prompt, question, answer) and its place in the sequence,
    -1 if that is unknown.

    `id` is the token's, `logprob` the log-probability in nats of a generated one.
    """

    text: str = ""
    kind: str = "question"
    position: int = -1
    id: int | None = None
    logprob: float | None = None
    part: Part | None = None

    @classmethod
    def unnamed(
        cls, kind: str, positions: Iterable[int], ids: Sequence[int] | None, first: int
    ) -> list[Word]:
        """Words of a kind at `positions`; `ids`, where known, are those of the tokens from `first`
        on.
        """

        def token(position: int) -> int | None:
            return None if ids is None or position < first else ids[position - first]

        return [cls(kind=kind, position=place, id=token(place)) for place in positions]


@dataclass
class Clip:
    """The video: its own size in pixels and length, and what the model was shown of it.

    `fps` is the rate of the `frames` that were sampled.
    """

    name: str
    width: int | None = None
    height: int | None = None
    shown_width: int | None = None
    shown_height: int | None = None
    fps: float | None = None
    duration_secs: float | None = None
    frames: int | None = None


@dataclass
class Counts:
    """Tokens of the prompt, text among them, and (query, candidate cube) pairs over all layers."""

    tokens: int
    text_tokens: int
    weighed_pairs: int


@dataclass
class LeftOut:
    """What tables of words leave out where they would be large: of each word, head and layer only
    the `cubes` likeliest are listed. The others hold `mass` of a row in the mean, and `choices`
    times one of them was chosen; how many heads chose a cube is exact for all.
    """

    cubes: int
    mass: float
    choices: int


@dataclass
class Pruned:
    """Video tokens pruned before the language model: the grid (T, H, W) of them all in merged
    tokens, and which are kept. The rest of the trace describes a row of the kept ones.
    """

    grid: Grid
    kept: list[int]


@dataclass
class Recorded:
    """Of a run that is published: the hashes of its clip and of the weights."""

    clip_sha256: str
    weights_sha256: str | None = None


@dataclass
class Meta:
    """All of it. `grids` are (T, H, W) of each video in merged tokens, `shape` is the language
    model's, `seconds` are by phase; `forced` holds (cube, on or off), `warnings` are sentences for
    the user. `attention_layers` are those that have attention, empty where all have.
    `cached_tokens` of the prompt were in the model's cache already, from an earlier question, and
    took none of these seconds.
    """

    config: AdaSparkConfig | None = None
    grids: list[Grid] = field(default_factory=list)
    shape: dict[str, int] = field(default_factory=dict)
    forced: list[tuple[int, bool]] = field(default_factory=list)
    attention_layers: list[int] = field(default_factory=list)
    sampled_query_cubes: bool = False
    left_out: LeftOut | None = None
    words: list[Word] = field(default_factory=list)
    counts: Counts | None = None
    question: str | None = None
    answer: str | None = None
    seconds: dict[str, float | None] = field(default_factory=dict)
    stopped: bool | None = None
    model: str | None = None
    device: str | None = None
    dtype: str | None = None
    backend: str | None = None
    clip: Clip | None = None
    vision_flops: float | None = None
    warnings: list[str] = field(default_factory=list)
    pruned: Pruned | None = None
    flops: Flops | None = None
    versions: dict[str, str] = field(default_factory=dict)
    recorded: Recorded | None = None
    cached_tokens: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without what is unknown or empty."""
        values = {f.name: _json(getattr(self, f.name)) for f in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, [], {})}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Meta:
        """The inverse of `to_dict`. Raises UserError for an unknown entry or a wrong type."""
        from pydantic import ValidationError

        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise UserError(f"Unknown entry {unknown[0]!r} in a trace's header.")
        given = dict(values)
        if "config" in given:
            given["config"] = AdaSparkConfig.from_dict(given["config"])
        try:
            checked: Meta = _checker().validate_python(given)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise UserError(f"{place} in a trace's header: {first['msg']}.") from error
        return checked


@cache
def _checker() -> Any:
    """Made at first use: what only writes traces need not load pydantic."""
    from pydantic import TypeAdapter

    return TypeAdapter(Meta)


def required(value: Known | None, what: str) -> Known:
    """`value`. Raises UserError if the trace lacks it, as one recorded without a video does."""
    if value is None:
        raise UserError(f"This trace does not say its {what}: record a prompt with a video.")
    return value


def _json(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if hasattr(value, "__dataclass_fields__"):
        known = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return {name: _json(item) for name, item in known.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    return dict(value) if isinstance(value, dict) else value
