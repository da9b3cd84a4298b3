"""The loop that writes an answer, one token after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from torch import Tensor

from adaspark.model.decoding import Chosen, Decoding, Unread

Step = Callable[[Tensor], Tensor]
"""From the last token int64 [1] to the next one's logits [vocabulary]."""


class Words:
    """The tokens of an answer, of which the `first` was chosen from the prompt's logits.

    With `ahead` the device is given the next tokens before the last ones are read: the host waits
    for none, and what was computed after an end is dropped. `read` counts the tokens that were
    looked at; all but the last of them were needed to go on.
    """

    def __init__(self, first: Unread, step: Step, decoding: Decoding, *, ahead: int) -> None:
        self._first, self._step, self._decoding, self._ahead = first, step, decoding, ahead
        self.read = 0

    def __iter__(self) -> Iterator[Chosen]:
        last = self._first
        unread: deque[Unread] = deque()
        while True:
            unread.append(last)
            while len(unread) > self._unread:
                chosen = unread.popleft().read()
                self.read += 1
                if not chosen.is_end:
                    yield chosen
                if chosen.is_end or chosen.is_over:
                    return
            last = self._decoding.choose(self._step(last.token))

    @property
    def _unread(self) -> int:
        """How many tokens need not be read yet: not the first word, which is shown at once."""
        return self._ahead if self.read and not self._decoding.is_full else 0
