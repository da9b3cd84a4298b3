"""How sparse, and in which cubes: the one configuration of the method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

from adaspark.errors import UserError
from adaspark.method.rules import CUBE_RULES, SKIPPED, TOKEN_RULES, Rule

Cube = tuple[int, int, int]
TopP = float | tuple[float, ...]
"""One threshold for all layers, or one for each."""


@dataclass(frozen=True)
class AdaSparkConfig:
    """The dials of AdaSpark. The defaults are ours: the paper's values are not public.

    `cube` is (t, h, w) in merged tokens. `attn_top_p` is the share of attention mass that the
    chosen cubes must reach (0 keeps only text and the own cube, 1 keeps everything).
    `ffn_top_p` is the share of token importance that passes through the FFN in each cube (0 keeps
    one token a cube). Either is one number, or a list or tuple with one number for each layer.

    The rest serves comparison: a rule other than `top_p` keeps the share `attn_keep` of the
    candidate cubes, or `ffn_keep` of each cube's tokens, and its threshold is not used. A skipped
    token moves by the `mean` of its cube's FFN outputs, or not at all (`bypass`).

    Raises UserError where a value cannot be used.
    """

    cube: Cube = (4, 4, 4)
    attn_top_p: TopP = 0.9
    ffn_top_p: TopP = 0.7
    attn_rule: str = "top_p"
    ffn_rule: str = "top_p"
    ffn_skipped: str = "mean"
    attn_keep: float | None = None
    ffn_keep: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "cube", _checked_cube(self.cube))
        for name in ("attn_top_p", "ffn_top_p"):
            object.__setattr__(self, name, _checked_top_p(name, getattr(self, name)))
        if len(set(self._given_by_layer)) > 1:
            attn, ffn = self._given_by_layer
            raise UserError(
                f"attn_top_p is given for {attn} layers and ffn_top_p for {ffn}: give one number "
                "for all layers, or one for each."
            )
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}."
                )
        for half in ("attn", "ffn"):
            self._check_keep(f"{half}_rule", f"{half}_keep")

    def _check_keep(self, rule: str, keep: str) -> None:
        given, name = getattr(self, keep), getattr(self, rule)
        if name != "top_p":
            object.__setattr__(self, keep, _checked_share(keep, given))
        elif given is not None:
            raise UserError(f"{keep} goes with {rule} other than top_p: set both, or neither.")

    @property
    def layers(self) -> int | None:
        """How many layers thresholds are given for; None where one number serves all."""
        return next(iter(self._given_by_layer), None)

    @property
    def _given_by_layer(self) -> list[int]:
        """How many numbers each threshold has that is given by layer."""
        return [len(p) for p in (self.attn_top_p, self.ffn_top_p) if isinstance(p, tuple)]

    def check_layers(self, layers: int) -> None:
        """Raise UserError unless a model of so many layers can run this."""
        if self.layers not in (None, layers):
            raise UserError(
                f"Thresholds are given for {self.layers} layers and this model has {layers}: give "
                "one number for all layers, or one for each."
            )

    def attention_in(self, layer: int) -> Rule:
        """How the cubes are chosen in a layer."""
        return _rule(self.attn_rule, self.attn_top_p, self.attn_keep, layer)

    def ffn_in(self, layer: int) -> Rule:
        """How each cube's tokens are chosen in a layer."""
        return _rule(self.ffn_rule, self.ffn_top_p, self.ffn_keep, layer)

    @property
    def is_dense(self) -> bool:
        """Whether nothing is dropped: both halves keep everything in every layer."""
        layers = range(self.layers or 1)
        return all(self.attention_in(i).keeps_all and self.ffn_in(i).keeps_all for i in layers)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready copy: the three dials, and of the rest what is not at its default."""
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
_CHOICES = {"attn_rule": CUBE_RULES, "ffn_rule": TOKEN_RULES, "ffn_skipped": SKIPPED}


def one_number(top_p: TopP) -> float:
    """A threshold where only one fits: itself, or the mean of the layers' own, to a hundredth."""
    return round(sum(top_p) / len(top_p), 2) if isinstance(top_p, tuple) else top_p


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
    if len(sides) != 3 or not whole or min(sides) < 1:
        raise UserError(
            f"A cube is three whole numbers of at least 1 (time, height, width), such as 4,4,4; "
            f"got {value!r}."
        )
    return sides[0], sides[1], sides[2]


DENSE = AdaSparkConfig(attn_top_p=1.0, ffn_top_p=1.0)
