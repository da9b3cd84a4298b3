"""FLOPs of a run, dense and sparse: what a trace's header says, and `cost` counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Parts:
    """FLOPs of one prefill by part."""

    projections: float
    attention: float
    ffn: float
    choosing: float = 0.0

    @property
    def total(self) -> float:
        """All parts."""
        return self.projections + self.attention + self.ffn + self.choosing

    def to_dict(self) -> dict[str, float]:
        """A JSON-ready copy with the total."""
        return {**asdict(self), "total": self.total}


@dataclass(frozen=True)
class Flops:
    """Dense against sparse: the language model's prefill (i), with the vision tower (ii), and what
    the kernels really computed (iii), unions of rows and padding included.
    """

    dense: Parts
    sparse: Parts
    executed: Parts
    vision: float = 0.0

    @property
    def reduction(self) -> float:
        """(i): 1 - sparse / dense over the language model's prefill, choosing included."""
        return 1 - self.sparse.total / self.dense.total

    @property
    def reduction_with_vision(self) -> float:
        """(ii): the same with the vision tower on both sides."""
        return 1 - (self.sparse.total + self.vision) / (self.dense.total + self.vision)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with both reductions."""
        return {
            "dense": self.dense.to_dict(),
            "sparse": self.sparse.to_dict(),
            "reduction": self.reduction,
            "reduction_with_vision": self.reduction_with_vision,
            "executed": self.executed.to_dict(),
            "vision": self.vision,
        }
