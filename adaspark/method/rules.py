"""Names of the selection rules: the method's top-p, and what it is compared with.

Plain words and numbers; `selection.py` computes them on tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

CUBE_RULES = ("top_p", "top_k", "uniform", "random", "recent")
TOKEN_RULES = ("top_p", "top_k", "uniform", "random")
SKIPPED = ("mean", "bypass")
BLIND_RULES = ("uniform", "random", "recent")
"""Rules that look at no query and no key: choosing costs them nothing."""


@dataclass(frozen=True)
class Rule:
    """How candidates are kept, and how many of them.

    `amount` is from 0 to 1: for `top_p` the share of the mass that the kept ones must reach, for
    every other rule the share of the candidates that is kept, rounded up. `top_k` keeps the
    heaviest, `uniform` every n-th, `random` any (always the same ones), `recent` the last.
    `forced` are interventions on cubes, (index, on or off) each: a cube forced on is kept wherever
    it is a candidate, one forced off is never kept.
    """

    name: str
    amount: float
    forced: tuple[tuple[int, bool], ...] = ()

    @property
    def keeps_all(self) -> bool:
        """Whether every candidate is kept, whatever the masses."""
        return self.amount >= 1 and all(on for _, on in self.forced)

    @property
    def is_plain_nucleus(self) -> bool:
        """Whether masses alone decide, by top-p between nothing and all: what kernels choose."""
        return self.name == "top_p" and 0 < self.amount < 1 and not self.forced


def top_p(amount: float) -> Rule:
    """The method's own rule."""
    return Rule("top_p", amount)
