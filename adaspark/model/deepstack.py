"""DeepStack: features of the vision tower that a language model adds after its first layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor


@contextmanager
def deepstack_given(text: Any, is_video: Tensor, levels: Sequence[Tensor]) -> Iterator[None]:
    """Hand `levels` [V, h] each to the language model `text` in the calls of the block.

    `is_video` bool [B, N] says where the tokens are that they are added to. The base model passes
    them on only where it has encoded the pixels itself.
    """
    if not levels:
        yield
        return

    def give(_: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return args, {**kwargs, "visual_pos_masks": is_video, "deepstack_visual_embeds": levels}

    handle = text.register_forward_pre_hook(give, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
