"""The modules that our kernels stand in for: transformers' own, by family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import nn

from adaspark.model.patch import base_of
from adaspark.model.swapped import Swapped


@dataclass(frozen=True)
class StepModules:
    """The classes of one family, by the beginnings of their names in `source`.

    `model` begins the names of the whole model's classes, `text` those of a decoder layer, its
    attention and norms; `ffn` is its FFN. With `head_norms` each head of queries and keys has a
    norm before its rotation.
    """

    source: str
    model: str
    text: str
    ffn: str
    head_norms: bool = False

    def are_of(self, model: Any) -> bool:
        """Whether a model is of this family."""
        return is_own(model, f"{self.model}ForConditionalGeneration", self.source)

    @property
    def kinds(self) -> dict[tuple[str, str], str]:
        """What its classes of a layer's parts are."""
        names = {f"{self.text}RMSNorm": "norm", f"{self.text}Attention": "attention"}
        return {(self.source, name): kind for name, kind in {**names, self.ffn: "ffn"}.items()}

    def hold(self, model: Any) -> bool:
        """Whether each module that is not called while words are written is of its own class, and
        nothing else is done in it.
        """
        return all(is_own(module, kind, self.source) for module, kind in self._replaced(model))

    def _replaced(self, model: Any) -> Iterator[tuple[Any, str]]:
        base = base_of(model)
        text = base.language_model
        norm = f"{self.text}RMSNorm"
        yield base, f"{self.model}Model"
        yield text, f"{self.model}TextModel"
        yield text.norm, norm
        for layer in text.layers:
            yield layer, f"{self.text}DecoderLayer"
            yield layer.self_attn, f"{self.text}Attention"
            yield layer.mlp, self.ffn
            yield layer.input_layernorm, norm
            yield layer.post_attention_layernorm, norm
            if self.head_norms:
                yield layer.self_attn.q_norm, norm
                yield layer.self_attn.k_norm, norm


_MODELS = "transformers.models"
_FAMILIES = (
    StepModules(f"{_MODELS}.qwen2_vl.modeling_qwen2_vl", "Qwen2VL", "Qwen2VL", "Qwen2MLP"),
    StepModules(
        f"{_MODELS}.qwen2_5_vl.modeling_qwen2_5_vl", "Qwen2_5_VL", "Qwen2_5_VL", "Qwen2MLP"
    ),
    StepModules(
        f"{_MODELS}.qwen3_vl.modeling_qwen3_vl",
        "Qwen3VL",
        "Qwen3VLText",
        "Qwen3VLTextMLP",
        head_norms=True,
    ),
)


def modules_of(model: Any) -> StepModules | None:
    """What a step stands in for in a model; None where it is of another class, has adapters or
    hooks, or is routed to experts or to layers without attention.
    """
    found = next((each for each in _FAMILIES if each.are_of(model)), None)
    return found if found is not None and found.hold(model) else None


def own_kind(of: Any) -> str | None:
    """Whether a class is one of these families', apart from ours, with the `forward` that it came
    with: "norm", "attention" or "ffn".
    """
    found = next((own for own in of.__mro__ if not issubclass(own, Swapped)), of)
    forward = vars(found).get("forward")  # looked at each time: it may be exchanged
    name = found.__module__, found.__qualname__
    told = getattr(forward, "__module__", None), getattr(forward, "__qualname__", None)
    return _kind_named(name) if told == (name[0], f"{name[1]}.forward") else None


@cache
def _kind_named(name: tuple[str, str]) -> str | None:
    return next((kind for family in _FAMILIES if (kind := family.kinds.get(name))), None)


def is_own(module: nn.Module, kind: str, source: str) -> bool:
    """Whether a module is of this very class, apart from ours, and nothing else is done in it."""
    found = next(own for own in type(module).__mro__ if not issubclass(own, Swapped))
    hooks = (*module._forward_hooks, *module._forward_pre_hooks)
    is_kind = (found.__module__, found.__qualname__) == (source, kind)
    return is_kind and not hooks and "forward" not in vars(module)
