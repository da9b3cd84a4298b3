"""Names of the selection rules: the method's top-p, and what it is compared with.

Plain words and numbers; `selection.py` computes them on tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from adaspark.errors import UserError

CUBE_RULES = ("top_p", "top_k", "uniform", "random", "recent")
TOKEN_RULES = ("top_p", "top_k", "uniform", "random")
SKIPPED = ("mean", "bypass")
IMPORTANCES = ("residual", "input")
BLIND_RULES = ("uniform", "random", "recent")
"""Rules that look at no query and no key."""
OWN_CUBE_RULES: dict[str, Callable[[Any, Any], Any]] = {}
"""Rules that this process has added, by name."""


def add_cube_rule(name: str, weigh: Callable[[Any, Any], Any]) -> None:
    """Make `attn_rule=name` choose cubes by weights of your own, in this process.

    `weigh(mass, candidates)` is given the attention mass fp32 [..., n, C] of each query over the
    cubes and which of them it may choose, bool of the same shape; it returns weights of that shape
    and device. The heaviest share `attn_keep` of the candidates is kept, rounded up, ties to the
    lower index. Adding a name again replaces it. Raises UserError for the name of a built-in rule.
    """
    if name in CUBE_RULES or not name.isidentifier():
        raise UserError(f"A rule cannot be called {name!r}: give a name of its own, in one word.")
    OWN_CUBE_RULES[name] = weigh


def cube_rules() -> tuple[str, ...]:
    """The rules for choosing cubes, those that were added included."""
    return (*CUBE_RULES, *OWN_CUBE_RULES)


@dataclass(frozen=True)
class Rule:
    """How candidates are kept, and how many of them.

    `amount` is from 0 to 1: for `top_p` the share of the mass that the kept ones must reach, for
    every other rule the share of the candidates that is kept, rounded up. `top_k` keeps the
    heaviest, `uniform` every n-th, `random` any (always the same ones), `recent` the last.
    `forced` are interventions on cubes, (index, on or off) each: a cube forced on is kept wherever
    it is a candidate, one forced off is never kept. `text_amount` is the amount of rows of text;
    None: the same as that of video.
    """

    name: str
    amount: float
    forced: tuple[tuple[int, bool], ...] = ()
    text_amount: float | None = None

    def of_rows(self, is_text: bool) -> Rule:
        """The rule of rows of one kind, which has one amount."""
        if self.text_amount is None:
            return self
        amount = self.text_amount if is_text else self.amount
        return replace(self, amount=amount, text_amount=None)

    @property
    def amounts(self) -> tuple[float, float]:
        """The amount of rows of video and that of rows of text."""
        return self.amount, self.amount if self.text_amount is None else self.text_amount

    @property
    def is_blind(self) -> bool:
        """Whether it looks at no query and no key: choosing then costs nothing."""
        return self.name in BLIND_RULES

    @property
    def keeps_all(self) -> bool:
        """Whether every candidate is kept, whatever the masses."""
        return min(self.amounts) >= 1 and all(on for _, on in self.forced)

    @property
    def is_plain_nucleus(self) -> bool:
        """Whether masses alone decide, by top-p, and not all is kept: what kernels choose."""
        return self.name == "top_p" and not self.forced and not self.keeps_all


def top_p(amount: float) -> Rule:
    """The method's own rule."""
    return Rule("top_p", amount)
