"""Which token comes next: as transformers' `generate` would choose it, from the same settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from adaspark.errors import UserError

if TYPE_CHECKING:
    from adaspark.model.drawing import Drawing


class Chosen(NamedTuple):
    """A token that was chosen, and its log-probability in nats under the model itself.

    `is_end`: it ends the answer and is no part of it; `is_over`: no token follows it.
    """

    token: int
    logprob: float
    is_end: bool
    is_over: bool


@dataclass(frozen=True, eq=False)
class Unread:
    """A token int64 [1] that was chosen on the device, and its way to the host."""

    token: Tensor
    _figures: Tensor
    _arrived: torch.cuda.Event | None
    _ends: set[int]

    def read(self) -> Chosen:
        """Wait for it; not for what the device was asked to do after it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        token, logprob, is_over = self._figures.tolist()
        return Chosen(int(token), logprob, int(token) in self._ends, bool(is_over))


class Decoding:
    """The choice of each token after a prompt `input_ids`, int64 [1, N].

    Every setting of the model's generation config applies (penalties, suppressed and forced
    tokens, minimum lengths, ends), through transformers' own processors and criteria: token for
    token what `generate` writes. Greedy unless a `Drawing` is given. Raises UserError where the
    config asks for beams or another model beside this one.
    """

    def __init__(
        self,
        model: Any,
        input_ids: Tensor,
        *,
        tokenizer: Any,
        max_new_tokens: int,
        drawing: Drawing | None = None,
    ) -> None:
        self._ids = input_ids
        self._before, self._most = input_ids.shape[1], max_new_tokens
        self._generator: torch.Generator | None = None
        changes: dict[str, Any] = {"do_sample": drawing is not None}
        if drawing is not None:
            self._generator = torch.Generator(input_ids.device).manual_seed(drawing.seed)
            if drawing.temperature is not None:
                changes["temperature"] = drawing.temperature
        _check_mode(model)
        changes["max_new_tokens"] = max_new_tokens
        # `generate` prepares everything, then hands it to this function instead of its own loop.
        model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            custom_generate=self._take,
            **(_stop_strings(model, tokenizer, changes) or _alone(changes)),
        )

    def choose(self, logits: Tensor) -> Unread:
        """The token chosen from raw logits [vocabulary]; it counts as written. The device is not
        waited for, unless a setting of the generation config asks it.
        """
        logits = logits.to(self._ids.device).float()
        scores = self._processors(self._ids, logits[None])
        if self._generator is None:
            token = scores.argmax(dim=-1)
        else:
            token = torch.multinomial(scores.softmax(dim=-1), 1, generator=self._generator)[0]
        self._ids = torch.cat([self._ids, token[None]], dim=1)
        logprob = logits.log_softmax(-1).gather(0, token)
        is_over = self._criteria(self._ids, None)
        # fp64 holds each of them exactly: one copy.
        figures = torch.cat([token.double(), logprob.double(), is_over.double()])
        figures = figures.to("cpu", non_blocking=True)
        arrived = None
        if logits.is_cuda:
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        return Unread(token, figures, arrived, self._ends)

    @property
    def is_full(self) -> bool:
        """Whether as many tokens are written as were asked for."""
        return self._ids.shape[1] - self._before >= self._most

    def _take(
        self,
        model: Any,
        input_ids: Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **_: Any,
    ) -> Tensor:
        self._processors, self._criteria = logits_processor, stopping_criteria
        ends = generation_config.eos_token_id
        self._ends = {*(ends if isinstance(ends, list) else [ends])} - {None}
        return input_ids


def _alone(changes: dict[str, Any]) -> dict[str, Any]:
    """Changes to a model's settings as `generate` takes them soonest: by themselves, it would build
    the model's default configuration anew, 8 ms of every answer, to see whether it holds any.
    """
    from transformers import GenerationConfig

    return {"generation_config": GenerationConfig(**changes)}


def _stop_strings(model: Any, tokenizer: Any, changes: dict[str, Any]) -> dict[str, Any]:
    """The `changes`, and the config's stop strings as a criterion: `generate` loses the tokenizer
    that they need where its loop is another function. Nothing if there are none.
    """
    from transformers import StoppingCriteriaList, StopStringCriteria

    strings = model.generation_config.stop_strings
    if strings is None:
        return {}
    criterion = StopStringCriteria(tokenizer, strings)
    criteria = StoppingCriteriaList([criterion])
    return {**changes, "stop_strings": None, "stopping_criteria": criteria}


def _check_mode(model: Any) -> None:
    config = model.generation_config
    beams, guidance = config.num_beams or 1, config.guidance_scale or 1
    if beams > 1 or guidance != 1:
        name = f"num_beams {beams}" if beams > 1 else f"guidance_scale {guidance:g}"
        raise UserError(
            f"generation_config.json asks for {name}; words are written one by one here, from "
            f"one reading: set it to 1 in that file."
        )
