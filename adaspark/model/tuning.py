"""LoRA on the language model's layers, trained by transformers' Trainer with sparsity on.

Choices of cubes and tokens have no gradient; everything that they let through has its own.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.files import write_whole
from adaspark.method.config import AdaSparkConfig
from adaspark.model.qwen import sparsify
from adaspark.model.tuning_examples import Examples, one

TARGETS = (
    r".*language_model\.layers\.\d+\."
    r"(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)"
)
"""The vision tower has layers of the same names; it stays as it is."""
METRICS = "metrics.json"
_SPARING = ("activation_checkpointing", "gradient_checkpointing")
"""What transformers calls it, the newer name first."""


@dataclass(frozen=True)
class Recipe:
    """How long and how hard; `steps` are optimiser steps of `accumulate` questions each."""

    rank: int = 16
    steps: int = 200
    learning_rate: float = 1e-4
    accumulate: int = 4
    save_every: int = 50
    seed: int = 0
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        for name in ("rank", "steps", "accumulate", "save_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not 0 < self.learning_rate < 1:
            raise UserError(f"learning_rate must be between 0 and 1, got {self.learning_rate:g}.")


def tune(
    model: Any,
    config: AdaSparkConfig,
    train: Examples,
    held_out: Examples | None,
    out: Path,
    recipe: Recipe,
    *,
    base: str,
) -> dict[str, float]:
    """Train an adapter of a loaded model, called `base`, and write it to `out`, from where a
    stopped run goes on. Returns (and writes) the loss on the held-out pairs before and after.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(recipe.seed)
    sparsify(model, config)
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=2 * recipe.rank,
        target_modules=TARGETS,
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of names that peft and the Trainer use
        adapted = get_peft_model(model, lora)
        known = _trained(adapted, train, held_out, out, recipe)
    adapted.peft_config["default"].base_model_name_or_path = base
    # No embedding is trained: peft need not ask the hub for the base's vocabulary.
    adapted.save_pretrained(str(out), save_embedding_layers=False)
    _write(out, known)
    return known


def _trained(
    adapted: Any, train: Examples, held_out: Examples | None, out: Path, recipe: Recipe
) -> dict[str, float]:
    """What is known of the loss after training, from where a stopped run goes on."""
    trainer = _trainer(adapted, train, held_out, out, recipe)
    known = _known(out)
    if held_out is not None and "loss_before" not in known:
        known["loss_before"] = trainer.evaluate()["eval_loss"]
        _write(out, known)
    trainer.train(resume_from_checkpoint=_last(out))
    if held_out is not None:
        known["loss_after"] = trainer.evaluate()["eval_loss"]
    return known


def _trainer(
    model: Any, train: Examples, held_out: Examples | None, out: Path, recipe: Recipe
) -> Any:
    from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments

    from adaspark.model.tuning_progress import Progress

    names = {field.name for field in fields(TrainingArguments)}
    spares = next(name for name in _SPARING if name in names)
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        max_steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="constant",  # so that a run may be lengthened
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=recipe.accumulate,
        **({spares: True} if recipe.gradient_checkpointing else {}),
        save_steps=recipe.save_every,
        save_total_limit=1,
        logging_steps=10,
        seed=recipe.seed,
        data_seed=recipe.seed,
        use_cpu=model.device.type == "cpu",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=False,
        report_to=[],
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=held_out,
        data_collator=one,
        callbacks=[Progress()],
    )
    for theirs in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(theirs)
    return trainer


def _last(out: Path) -> str | None:
    from transformers.trainer_utils import get_last_checkpoint

    folder = out / "checkpoints"
    return get_last_checkpoint(str(folder)) if folder.is_dir() else None


def _known(out: Path) -> dict[str, float]:
    path = out / METRICS
    found: dict[str, float] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def _write(out: Path, known: dict[str, float]) -> None:
    text = json.dumps(known, indent=2) + "\n"
    write_whole(out / METRICS, lambda draft: draft.write_text(text, "utf-8"))
