"""Which token comes next: as transformers' `generate` would choose it, from the same settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adaspark.errors import UserError

if TYPE_CHECKING:
    from adaspark.model.request import Drawing


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
        self._generator: torch.Generator | None = None
        changes: dict[str, Any] = {"do_sample": drawing is not None}
        if drawing is not None:
            self._generator = torch.Generator(input_ids.device).manual_seed(drawing.seed)
            if drawing.temperature is not None:
                changes["temperature"] = drawing.temperature
        _check_mode(model)
        # `generate` prepares everything, then hands it to this function instead of its own loop.
        model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=max_new_tokens,
            custom_generate=self._take,
            **changes,
            **_stop_strings(model, tokenizer),
        )

    def next_token(self, logits: Tensor) -> int:
        """The token chosen from raw logits [vocabulary]; it counts as written."""
        scores = self._processors(self._ids, logits.float()[None])
        if self._generator is None:
            token = scores.argmax(dim=-1)
        else:
            token = torch.multinomial(scores.softmax(dim=-1), 1, generator=self._generator)[0]
        self._ids = torch.cat([self._ids, token[None]], dim=1)
        return int(token)

    @property
    def is_end(self) -> bool:
        """Whether the last token is one that ends an answer and is no part of it."""
        return int(self._ids[0, -1]) in self._ends

    @property
    def is_over(self) -> bool:
        """Whether no token follows the last one."""
        return bool(self._criteria(self._ids, None).any())

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


def _stop_strings(model: Any, tokenizer: Any) -> dict[str, Any]:
    """The config's stop strings as a criterion: `generate` loses the tokenizer that they need
    where its loop is another function.
    """
    from transformers import StoppingCriteriaList, StopStringCriteria

    strings = model.generation_config.stop_strings
    if strings is None:
        return {}
    criterion = StopStringCriteria(tokenizer, strings)
    return {"stop_strings": None, "stopping_criteria": StoppingCriteriaList([criterion])}


def _check_mode(model: Any) -> None:
    config = model.generation_config
    beams, guidance = config.num_beams or 1, config.guidance_scale or 1
    if beams > 1 or guidance != 1:
        name = f"num_beams {beams}" if beams > 1 else f"guidance_scale {guidance:g}"
        raise UserError(
            f"generation_config.json asks for {name}; words are written one by one here, from "
            f"one reading: set it to 1 in that file."
        )
