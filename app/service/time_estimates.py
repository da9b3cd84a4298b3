"""How long a run would take on this machine, estimated from earlier runs."""

from __future__ import annotations

import threading

from adaspark.model.events import Result
from adaspark.trace.cost import flops
from adaspark.trace.flops import Flops

TEXT_TOKENS = 32


class TimeEstimates:
    """Scales the seconds of the last runs to another video; thread-safe.

    Encoding grows with the visual tokens, prefill with the FLOPs of one that is as sparse as the
    last: a longer one is sparser, mostly. The words are assumed to take what the last answer took.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._encode_secs_per_token: float | None = None
        self._secs_per_dense_flop = self._secs_per_flop = 0.0
        self._densities = 1.0, 1.0  # of attention and FFN
        self._words_secs = 0.0
        self._shape: dict[str, int] = {}

    def observe(self, result: Result) -> None:
        """Learn from a finished run. One on cached vision features says nothing of encoding.

        One with pruned tokens is left out, for more tokens were encoded than it shows, and so is a
        follow-up, which has read its own text alone.
        """
        meta, seconds = result.trace.meta, result.seconds
        tokens = len(result.trace.cube_from_token)
        if result.stopped or not tokens or not meta.shape or meta.pruned or meta.cached_tokens:
            return
        encoding = seconds["decode"] + seconds["vision"]
        with self._lock:
            self._shape = meta.shape
            self._densities = result.trace.attention_density, result.trace.ffn_density
            counted = self._flops(tokens)
            self._secs_per_dense_flop = seconds["prefill"] / counted.dense.total
            self._secs_per_flop = seconds["prefill"] / counted.sparse.total
            self._words_secs = seconds["generate"]
            if encoding:
                self._encode_secs_per_token = encoding / tokens

    @property
    def secs_per_flop(self) -> float:
        """Of the last prefill, as if it had been dense; 0 before anything was measured."""
        with self._lock:
            return self._secs_per_dense_flop

    def secs(self, video_tokens: int) -> float | None:
        """Seconds for a new video of so many visual tokens; None before anything was measured."""
        with self._lock:
            if self._encode_secs_per_token is None:
                return None
            prefill = self._flops(video_tokens).sparse.total * self._secs_per_flop
            return video_tokens * self._encode_secs_per_token + prefill + self._words_secs

    def _flops(self, video_tokens: int) -> Flops:
        attention, ffn = self._densities
        return flops(
            self._shape,
            video_tokens=video_tokens,
            text_tokens=TEXT_TOKENS,
            attention_density=attention,
            ffn_density=ffn,
        )
