"""The bundled model's tokenizer: byte-level BPE with Qwen's special tokens and chat template."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from adaspark.mini.questions.phrases import SENTENCES, SHORT, loosen
from adaspark.mini.questions.question import NONE
from adaspark.mini.world.vocabulary import COLORS, DIRECTIONS, FILLS, SHAPES

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
VOCAB_SIZE = 768
# Qwen2.5-VL's template without its default system turn.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer() -> Any:
    """Train the tokenizer on every wording of every question. Deterministic.

    Returns a `PreTrainedTokenizerFast` that encodes and decodes any Unicode text without loss.
    """
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    # Digits stay alone, as in Qwen's tokenizer: a number reads the same wherever it stands.
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(_corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[t for t in SPECIAL_TOKENS if t not in SPECIAL_TOKENS[0:3:2]],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=32768,
    )


def _corpus() -> Iterator[str]:
    """Questions in many wordings, the template's own words, and the answers."""
    rng = random.Random(0)
    for _ in range(40):
        for templates in (SHORT, SENTENCES):
            for template in (t for group in templates.values() for t in group):
                yield loosen(template.format(**_slots(rng)), rng)
        yield "user\nassistant\nuser\nassistant\n"
        places = [f"{row} {column}" for row in ("top", "bottom") for column in ("left", "right")]
        words = [
            *COLORS,
            *SHAPES,
            *DIRECTIONS,
            "above",
            "below",
            *places,
            "3 to 9",
            NONE,
            "yes",
            "no",
        ]
        for answer in words:
            yield from (answer, answer.capitalize(), f" {answer}s")


def _slots(rng: random.Random) -> dict[str, str]:
    color, shape, fill = rng.choice(COLORS), rng.choice(SHAPES), rng.choice(FILLS)
    return {
        "color": color,
        "shape": rng.choice((shape, shape, f"{fill} {shape}")),
        "ref": rng.choice((shape, f"{color} object", f"{color} {shape}")),
        "a": rng.choice((color, shape, f"{color} one", f"{color} {shape}")),
        "b": rng.choice((*COLORS, *SHAPES, f"{color} object")),
        "which": rng.choice(("first", "last")),
        "kind": rng.choice(("color", "shape")),
        "plural": rng.choice((f"{shape}s", "crosses", f"{color} objects")),
        "secs": str(rng.randrange(60)),
    }
