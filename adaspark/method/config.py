"""How sparse, and in which cubes: the one configuration of the method."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from adaspark.errors import UserError
from adaspark.method.rules import IMPORTANCES, SKIPPED, TOKEN_RULES, Rule, cube_rules

Cube = tuple[int, int, int]
"""(t, h, w) in merged tokens: the sides of a cube."""
Grid = tuple[int, int, int]
"""(T, H, W) in merged tokens: the sides of a video."""
TopP = float | tuple[float, ...]
"""One threshold for all layers, or one for each."""
MAX_SIDE = 2**16
"""The most tokens along a side of a cube: more than any video has."""
THRESHOLDS = ("attn_top_p", "ffn_top_p", "text_top_p")


@dataclass(frozen=True)
class AdaSparkConfig:
    """The dials of AdaSpark. The defaults are ours: the paper's values are not public.

    `cube` is (t, h, w) in merged tokens. `attn_top_p` is the share of attention mass that the
    chosen cubes must reach (0 keeps only text and the own cube, 1 keeps everything).
    `ffn_top_p` is the share of token importance that passes through the FFN in each cube (0 keeps
    one token a cube). `text_top_p` (ours, not the paper's) is the share that text queries must
    reach: question, template, generated words; None, the paper as far as it is public, means that
    of `attn_top_p`. Each is one number, or a list or tuple with one number for each layer.

    The rest serves comparison: a rule other than `top_p` keeps the share `attn_keep` of the
    candidate cubes (`text_keep`, if it is given, for text queries), or `ffn_keep` of each cube's
    tokens, and its threshold is not used. A skipped token moves by the `mean` of its cube's FFN
    outputs, or not at all (`bypass`). A token's importance is its norm in the `residual` stream
    (the paper), or as `input` of the FFN, after its RMSNorm (ours). Where a model reads the time
    before each pair of frames as text, those words join their `slice`: those of one range of slices
    are one more cube, chosen like any other (their FFN is dense); or they stay `text`, which is
    always attended to.

    Raises UserError where a value cannot be used.
    """

    cube: Cube = (4, 4, 4)
    attn_top_p: TopP = 0.9
    ffn_top_p: TopP = 0.7
    text_top_p: TopP | None = None
    attn_rule: str = "top_p"
    ffn_rule: str = "top_p"
    ffn_skipped: str = "mean"
    attn_keep: float | None = None
    ffn_keep: float | None = None
    timestamps: str = "slice"
    text_keep: float | None = None
    ffn_importance: str = "residual"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cube", _checked_cube(self.cube))
        for name in THRESHOLDS:
            if (given := getattr(self, name)) is not None or name != "text_top_p":
                object.__setattr__(self, name, _checked_top_p(name, given))
        if len(set(self._given_by_layer.values())) > 1:
            (name, layers), *others = self._given_by_layer.items()
            rest = "".join(f" and {name} for {n}" for name, n in others)
            raise UserError(
                f"{name} is given for {layers} layers{rest}: give one number for all layers, or "
                "one for each."
            )
        choices = {
            "attn_rule": cube_rules(),
            "ffn_rule": TOKEN_RULES,
            "ffn_skipped": SKIPPED,
            "ffn_importance": IMPORTANCES,
            "timestamps": ("slice", "text"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                given = reprlib.repr(getattr(self, name))
                raise UserError(f"{name} must be one of {', '.join(known)}, got {given}.")
        for half in ("attn", "ffn"):
            self._check_keep(f"{half}_rule", f"{half}_keep")
        if self.text_keep is not None:
            self._check_keep("attn_rule", "text_keep")

    def _check_keep(self, rule: str, keep: str) -> None:
        given, name = getattr(self, keep), getattr(self, rule)
        if name != "top_p":
            object.__setattr__(self, keep, _checked_share(keep, given))
        elif given is not None:
            raise UserError(f"{keep} goes with {rule} other than top_p: set both, or neither.")

    @property
    def layers(self) -> int | None:
        """How many layers thresholds are given for; None where one number serves all."""
        return next(iter(self._given_by_layer.values()), None)

    @property
    def _given_by_layer(self) -> dict[str, int]:
        """How many numbers each threshold has that is given by layer."""
        given = {name: getattr(self, name) for name in THRESHOLDS}
        return {name: len(p) for name, p in given.items() if isinstance(p, tuple)}

    def check_layers(self, layers: int) -> None:
        """Raise UserError unless a model of so many layers can run this."""
        if self.layers not in (None, layers):
            raise UserError(
                f"Thresholds are given for {self.layers} layers and this model has {layers}: give "
                "one number for all layers, or one for each."
            )

    def attention_in(self, layer: int, forced: tuple[tuple[int, bool], ...] = ()) -> Rule:
        """How the cubes are chosen in a layer, with interventions if there are any."""
        rule = _rule(self.attn_rule, self.attn_top_p, self.attn_keep, layer)
        top_p = self.attn_top_p if self.text_top_p is None else self.text_top_p
        keep = self.attn_keep if self.text_keep is None else self.text_keep
        text = _rule(self.attn_rule, top_p, keep, layer)
        own = None if text == rule else text.amount
        return replace(rule, forced=forced, text_amount=own)

    def ffn_in(self, layer: int) -> Rule:
        """How each cube's tokens are chosen in a layer."""
        return _rule(self.ffn_rule, self.ffn_top_p, self.ffn_keep, layer)

    @property
    def is_dense(self) -> bool:
        """Whether nothing is dropped: both halves keep everything in every layer."""
        layers = range(self.layers or 1)
        return all(self.attention_in(i).keeps_all and self.ffn_in(i).keeps_all for i in layers)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy: the paper's three dials, of the rest what is not at its default."""
        optional = {f.name: f.default for f in fields(self) if f.name not in _DIALS}
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {k: v for k, v in values.items() if v != optional.get(k, MISSING)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdaSparkConfig:
        """The inverse of `to_dict`; an unknown key is an error."""
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise UserError(f"Unknown setting {unknown[0]!r}; the settings are {known}.")
        return cls(**values)


_DIALS = ("cube", "attn_top_p", "ffn_top_p")


def one_number(top_p: TopP) -> float:
    """A threshold where only one fits: itself, or the mean of the layers' own, to a hundredth."""
    return round(sum(top_p) / len(top_p), 2) if isinstance(top_p, tuple) else top_p


def own_text_top_p(config: AdaSparkConfig) -> float | None:
    """The threshold that text has of its own, as one number; None: it has that of attention."""
    return None if config.text_top_p is None else one_number(config.text_top_p)


def as_typed(top_p: float | Sequence[float]) -> str:
    """A threshold as the command line takes it: `0.9`, or `0.9,0.8` with one number a layer."""
    return ",".join(f"{p:g}" for p in (top_p if isinstance(top_p, Sequence) else [top_p]))


def _rule(name: str, top_p: TopP, keep: float | None, layer: int) -> Rule:
    if name == "top_p":
        return Rule(name, top_p[layer] if isinstance(top_p, tuple) else top_p)
    assert keep is not None, "checked when the configuration was made"
    return Rule(name, keep)


def _checked_top_p(name: str, value: Any) -> TopP:
    if not isinstance(value, list | tuple):
        return _checked_share(name, value)
    if not value:
        raise UserError(f"{name} is empty: give a number from 0 to 1, or one for each layer.")
    return tuple(_checked_share(f"{name}[{layer}]", p) for layer, p in enumerate(value))


def _checked_share(name: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= 1:
        raise UserError(f"{name} must be a number from 0 to 1, got {value!r}.")
    return float(value)


def _checked_cube(value: Any) -> Cube:
    sides = tuple(value) if isinstance(value, list | tuple) else ()
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 3 or not whole or min(sides) < 1 or max(sides) > MAX_SIDE:
        raise UserError(
            f"A cube is three whole numbers of at least 1 and at most {MAX_SIDE:,} (time, height, "
            f"width), such as 4,4,4; got {reprlib.repr(value)}."
        )
    return sides[0], sides[1], sides[2]


DENSE = AdaSparkConfig(attn_top_p=1.0, ffn_top_p=1.0)
