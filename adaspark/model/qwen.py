"""sparsify, restore and record: AdaSpark in the models of transformers (`families.py`).

`modules.py` holds what its modules do, `calls.py` how each call knows its prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import transformers

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.families import language_shape
from adaspark.model.modules import attach, detach
from adaspark.model.patch import Patch, base_of, family_in, patch_of
from adaspark.model.versions import check_transformers
from adaspark.trace.listening import recording
from adaspark.trace.trace import Trace

__all__ = ["language_shape", "record", "restore", "sparsify"]


def sparsify(
    model: Any,
    config: AdaSparkConfig | Mapping[str, Any] | None = None,
    *,
    forced: Mapping[int, bool] | None = None,
) -> Any:
    """Make a model of a known family run AdaSpark, in place; returns what was given.

    That is the class that generates (`Qwen2_5_VLForConditionalGeneration`, and those of Qwen2-VL,
    Qwen3-VL and Qwen3.5) or the base model inside it. What wraps it (PEFT, DataParallel, DDP,
    torch.compile) may be given as well. `config` may be the dict that `AdaSparkConfig.to_dict`
    makes.
    `forced` intervenes: a cube (by its index in the prompt) is attended to by every query of every
    layer that may see it (True), or by none beyond its own tokens (False).
    Calling it again only changes configuration and interventions. Weights, parameter names and the
    model's own configuration are untouched; `restore` undoes it. Raises UserError for any other
    model, and for thresholds of another number of layers.
    """
    base, chosen = base_of(model), _configured(config)
    check_transformers(transformers.__version__)
    interventions = tuple(sorted((forced or {}).items()))
    chosen.check_layers(len(getattr(base, family_in(base).text).layers))
    patch = patch_of(base) or Patch(chosen)
    patch.config, patch.forced = chosen, interventions
    attach(base, patch)
    return model


def restore(model: Any) -> Any:
    """Undo `sparsify`: the model is again what it was, to the bit. Returns what was given."""
    if (base := base_of(model)) is not None and patch_of(base) is not None:
        detach(base)
    return model


@contextmanager
def record(model: Any) -> Iterator[Trace]:
    """Record what a sparsified model decides: `with record(model) as trace: model.generate(...)`.

    It records the calls of this model whichever thread makes them; those of a thread with
    recordings of its own go to these alone. The trace is complete when the block ends and holds
    the last prompt that was prefilled in it (of a batch, its first row). Outputs do not change by a
    bit.
    Warns if there was nothing to record.
    """
    patch = _patch_of(model)
    if patch is None:
        raise UserError("This model runs dense: call sparsify(model, config) before record(model).")
    with recording(patch.recorders) as trace:
        yield trace


def _patch_of(model: Any) -> Patch | None:
    return patch_of(base_of(model))


def _configured(config: Any) -> AdaSparkConfig:
    if config is None or isinstance(config, AdaSparkConfig):
        return config or AdaSparkConfig()
    if isinstance(config, Mapping):
        return AdaSparkConfig.from_dict(config)
    raise UserError(
        f"The configuration is an AdaSparkConfig or a dict of its settings, not {config!r}: "
        "write AdaSparkConfig(attn_top_p=0.9, ffn_top_p=0.7), for example."
    )
