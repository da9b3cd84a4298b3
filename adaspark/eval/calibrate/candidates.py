"""Settings worth trying within a budget: what a survey measures, and what arithmetic makes of it.

FLOPs are linear in both densities, and a density hardly depends on the other half's threshold. So a
few surveyed settings tell how dense attention is at each `attn_top_p`; for every `ffn_top_p` the
`attn_top_p` that spends the rest of a budget follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from adaspark.errors import UserError
from adaspark.eval.harness.clips import Length
from adaspark.method.config import AdaSparkConfig, Cube, TopP, one_number
from adaspark.method.layout import CubeLayout
from adaspark.trace.cost import flops

OWN = "own"
"""For a dial that stays as the model has it."""
THIRDS = 3
SURVEY_PS = (0.98, 0.9, 0.75, 0.5, 0.2)
AIM = 0.005
"""Settings aim this far below the budget: densities differ a little from clip to clip."""
_TEXT_TOKENS = 32  # of a prompt, about


@dataclass(frozen=True)
class Dials:
    """Values to try, as they are typed: cubes `T,H,W`, p of the FFN one number or `P/P/P` for the
    thirds of the layers, p of text and importances; `own` is the model's. All are combined.
    """

    cubes: Sequence[str]
    ffn_ps: Sequence[str]
    text_ps: Sequence[str]
    importances: Sequence[str]

    def bases(self, own: AdaSparkConfig) -> Iterator[AdaSparkConfig]:
        """Every cube, text_top_p and importance; thresholds as in `own`. Raises UserError."""
        for cube, text, importance in product(self.cubes, self.text_ps, self.importances):
            yield replace(
                own,
                cube=_cube(cube, own),
                text_top_p=_text_top_p(text, own),
                ffn_importance=own.ffn_importance if importance == OWN else importance,
            )

    def ffn_top_ps(self, layers: int) -> list[TopP]:
        """The values of ffn_top_p, least first. Raises UserError."""
        return sorted((ffn_top_p(text, layers) for text in self.ffn_ps), key=one_number)


def ffn_top_p(text: str, layers: int) -> TopP:
    """One number, or one for each of `layers` layers from `P/P/P`. Raises UserError."""
    try:
        parts = [float(part) for part in text.split("/")]
    except ValueError:
        parts = []
    if len(parts) not in (1, THIRDS):
        raise UserError(f"ffn_ps are P, or P/P/P for the thirds of the layers; got {text!r}.")
    by_layer = tuple(parts[layer * len(parts) // layers] for layer in range(layers))
    return AdaSparkConfig(ffn_top_p=parts[0] if len(parts) == 1 else by_layer).ffn_top_p


def survey(base: AdaSparkConfig, ffn_ps: Sequence[TopP]) -> Iterator[AdaSparkConfig]:
    """Every `ffn_top_p` and every `attn_top_p` of the survey at least once, in the fewest settings:
    the more one half drops, the less the other does. `ffn_ps` rise.
    """
    count = max(len(ffn_ps), len(SURVEY_PS))
    for ffn, attention in zip(_spread(ffn_ps, count), _spread(SURVEY_PS, count), strict=True):
        yield replace(base, attn_top_p=attention, ffn_top_p=ffn)


def _spread(values: Sequence[Any], count: int) -> list[Any]:
    """`count` of the values, evenly, each once or more."""
    return [values[index * len(values) // count] for index in range(count)]


def spending(
    budgets: Iterable[float],
    surveyed: Mapping[AdaSparkConfig, tuple[float, float]],
    shape: Mapping[str, int],
    length: Length,
) -> list[AdaSparkConfig]:
    """For each budget and surveyed `ffn_top_p`, the `attn_top_p` that spends it, if there is one,
    interpolated from what was `surveyed`: the densities of attention and FFN of each setting.
    """
    known = sorted((density, config.attn_top_p) for config, (density, _) in surveyed.items())
    densities, ps = zip(*known, strict=True)
    settings: dict[AdaSparkConfig, None] = {}
    by_ffn = {config.ffn_top_p: (config, ffn) for config, (_, ffn) in surveyed.items()}
    for budget in budgets:
        for config, ffn in by_ffn.values():
            density = attention_left(shape, length, config.cube, budget=budget - AIM, ffn=ffn)
            if density >= densities[0]:
                p = float(np.interp(density, [*densities, 1.0], [*ps, 1.0]))
                settings[replace(config, attn_top_p=round(p, 3))] = None
    return list(settings)


def attention_left(
    shape: Mapping[str, int], length: Length, cube: Cube, *, budget: float, ffn: float
) -> float:
    """The attention density at which an FFN density of `ffn` spends `budget`: FLOPs are linear in
    both. Below 0 if no density does; above 1 if full attention fits.
    """
    side = length.side // 28
    cubes = CubeLayout([(length.frames // 2, side, side)], cube).cubes
    counts = {"video_tokens": length.tokens, "text_tokens": _TEXT_TOKENS, "cubes": cubes}
    least, most = (flops(shape, ffn_density=ffn, attention_density=d, **counts) for d in (0.0, 1.0))
    left = budget * least.dense.total - least.sparse.total
    return left / (most.sparse.total - least.sparse.total)


def _text_top_p(text: str, own: AdaSparkConfig) -> TopP | None:
    if text == OWN:
        return own.text_top_p
    try:
        return AdaSparkConfig(text_top_p=float(text)).text_top_p
    except ValueError as error:
        raise UserError(f"text_ps are numbers from 0 to 1, or {OWN}; got {text!r}.") from error


def _cube(text: str, own: AdaSparkConfig) -> Cube:
    if text == OWN:
        return own.cube
    try:
        sides = [int(side) for side in text.split(",")]
    except ValueError:
        sides = []
    return AdaSparkConfig(cube=tuple(sides)).cube  # type: ignore[arg-type]
