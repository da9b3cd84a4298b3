"""A context stretched by YaRN, as the model cards of Qwen say how."""

from __future__ import annotations

from typing import Any

from adaspark.errors import UserError

_MOST = 16


def stretch(config: Any, factor: float) -> None:
    """Stretch the context of a model's configuration `factor` times, in place.

    YaRN (arXiv 2309.00071) through transformers' own rotary embedding; trained positions blur, so
    it is for prompts that do not fit otherwise. Raises UserError for a factor that cannot be, or a
    checkpoint that has been stretched already.
    """
    if not 1 < factor <= _MOST:
        raise UserError(f"yarn must be above 1 and at most {_MOST}, got {factor:g}.")
    text = config.text_config
    rope = dict(text.rope_parameters or {})
    if (kind := rope.get("rope_type", "default")) not in ("default", "mrope"):
        raise UserError(f"The checkpoint's context is stretched already ({kind}): leave yarn out.")
    context = text.max_position_embeddings
    text.rope_parameters = {
        **rope,
        "rope_type": "yarn",
        "factor": float(factor),
        "original_max_position_embeddings": context,
    }
    text.max_position_embeddings = int(context * factor)
