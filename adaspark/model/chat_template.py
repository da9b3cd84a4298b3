"""The chat template of a checkpoint, by the rules of transformers' processors, checked at load."""

from __future__ import annotations

from typing import Any

from adaspark.errors import UserError
from adaspark.model.checkpoint_files import reason
from adaspark.model.checkpoint_source import Source
from adaspark.model.prompt import template_parts


def give_template(source: Source, tokenizer: Any) -> None:
    """Give the tokenizer the checkpoint's template, and check that it can show a video.

    A processor's template (`chat_template.json`, `chat_template.jinja`, `processor_config.json`)
    comes before the tokenizer's own, which is often for text alone. Raises UserError.
    """
    from transformers.processing_utils import ProcessorMixin

    try:
        settings, _ = ProcessorMixin.get_processor_dict(source.files, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"The chat template of {source.name} cannot be read ({reason(error)}): "
            f"{source.remedy('chat_template.json')}."
        ) from error
    found = settings.get("chat_template") or tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    if not found:
        raise UserError(
            f"{source.name} has no chat template: it needs chat_template.json or "
            f"chat_template.jinja, as Qwen/Qwen2.5-VL-3B-Instruct has; "
            f"{source.remedy('chat_template.json')}."
        )
    tokenizer.chat_template = found
    try:
        template_parts(tokenizer)
    except Exception as error:  # whatever the template's own code raises
        raise UserError(
            f"The chat template of {source.name} does not show a video and a question "
            f"({reason(error)}): put that of Qwen/Qwen2.5-VL-3B-Instruct beside the tokenizer: "
            f"hf download Qwen/Qwen2.5-VL-3B-Instruct chat_template.json --local-dir FOLDER."
        ) from error
