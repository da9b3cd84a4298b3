"""Where the method meets the modules of a model: each live one changes class, none its weights.

Whatever a module does when it is called (its own class, a patched `forward`, accelerate's hooks)
it still does: the FFN on the tokens that were chosen, attention up to what it asks of transformers'
registry. A module that is called outside a call of its model does what it always did.
"""

from __future__ import annotations

from functools import partial
from threading import local
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import eager_attention_forward

from adaspark.kernels import flash
from adaspark.method import ffn
from adaspark.model import calls, fused
from adaspark.model.families import Family
from adaspark.model.halves import attend, feed
from adaspark.model.patch import NAME, Patch, family_in, patch_of
from adaspark.model.swapped import Swapped, swap, swap_back

IMPLEMENTATION = "adaspark"  # a name with "flash" in it would be taken for flash attention
LAYER = "_adaspark_layer"
_here = local()
"""Between two modules of one layer: `attending` in its attention, `feeding` on to its FFN, `fed`
from the FFN's call to its forward; and `inside`, whether the language model is at such a call."""

_Function = TypeVar("_Function")


def uncompiled(function: _Function) -> _Function:
    """What depends on the prompt cannot be traced: torch.compile leaves it as it is."""
    return torch.compiler.disable(function)  # type: ignore[no-untyped-call, no-any-return]


def _own_forward(module: Any, kind: Any) -> Any:
    """The `forward` below that of `kind`: also where a hook has kept ours, and `kind` is gone."""
    if isinstance(module, kind):
        return super(kind, module).forward
    return partial(type(module).forward, module)


class _Model(Swapped):
    """The base model, tower and language model together: knows the prompts of each call."""

    @uncompiled
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (patch := patch_of(self)) is None:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        attach(self, patch)  # a layer may have been exchanged
        with calls.at_work(self, patch, args, kwargs) as session:
            output = super().__call__(*args, **kwargs)  # type: ignore[misc]
        calls.keep(session, output)
        return output


class _Text(Swapped):
    """The language model: hands the call to its layers."""

    @uncompiled
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (call := calls.taken()) is not None:
            kwargs[calls.ARGUMENT] = call
        _here.inside = call is not None
        try:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        finally:
            _here.inside = False


class _Entry(Swapped):
    """The norm before attention."""

    @uncompiled
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)  # type: ignore[misc]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """As its own, by our kernels where they serve."""
        kernels = None if kwargs else _norm_kernels(self, args)
        if kernels is None:
            return _own_forward(self, _Entry)(*args, **kwargs)  # type: ignore[no-any-return]
        return fused.norm(self, kernels, args[0])[0]


def _norm_kernels(norm: Any, args: tuple[Any, ...]) -> Any:
    """What computes a norm inside a call, if it is not the norm itself."""
    is_inside = getattr(_here, "inside", False) and len(args) == 1
    return fused.norm_kernels(norm, args[0]) if is_inside else None


class _Attention(Swapped):
    """Self-attention: inside a call it asks transformers' registry for ours."""

    @uncompiled
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _here.feeding = None
        if (call := kwargs.pop(calls.ARGUMENT, None)) is None:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        _here.attending = call
        try:
            output = super().__call__(*args, **kwargs)  # type: ignore[misc]
        finally:
            _here.attending = None
        _here.feeding = call if call.session.is_prompt else None
        return output

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As its own; rotation by our kernels where they serve."""
        is_ours = not args and getattr(_here, "attending", None) is not None
        found = fused.attention(self, _attention, kwargs) if is_ours else None
        return _own_forward(self, _Attention)(*args, **kwargs) if found is None else found

    @property
    def config(self) -> Any:
        """Its own configuration, which nobody changes; inside a call it names our function."""
        own = self.__dict__["config"]
        return own if getattr(_here, "attending", None) is None else _Ours(own)

    @config.setter
    def config(self, config: Any) -> None:
        self.__dict__["config"] = config


class _Ours:
    """A configuration whose attention is ours."""

    _attn_implementation = IMPLEMENTATION

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


class _Mixer(Swapped):
    """What stands in the place of attention and is none: as it is, but its FFN follows it."""

    @uncompiled
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _here.feeding = None
        call = kwargs.pop(calls.ARGUMENT, None)
        output = super().__call__(*args, **kwargs)  # type: ignore[misc]
        if call is not None and call.session.is_prompt:
            _here.feeding = call
        return output


class _Norm(Swapped):
    """The norm before the FFN: it alone sees the residual stream, by which tokens are chosen."""

    @uncompiled
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call = getattr(_here, "feeding", None)
        if call is not None and args and (kwargs or _norm_kernels(self, args) is None):
            _here.feeding = call, ffn.norms_of(args[0].detach())
        return super().__call__(*args, **kwargs)  # type: ignore[misc]

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """As its own; our kernels find the norms of the stream on the way."""
        kernels = None if kwargs else _norm_kernels(self, args)
        if kernels is None:
            return _own_forward(self, _Norm)(*args, **kwargs)  # type: ignore[no-any-return]
        output, norms = fused.norm(self, kernels, args[0])
        if isinstance(call := getattr(_here, "feeding", None), calls.Call):
            _here.feeding = call, norms
        return output


class _Forward:
    """`forward` of the FFN: its own, patched or not; inside a call that brings video, of the chosen
    tokens alone. It stands before what the instance holds under that name.
    """

    def __get__(self, mlp: Any, kind: Any) -> Any:
        if mlp is None:
            return super(_MLP, kind).forward  # type: ignore[misc]
        own = mlp.__dict__.get("forward") or super(_MLP, mlp).forward  # type: ignore[misc]
        fed = getattr(_here, "fed", None)
        if fed is None or fed[0] is not mlp:
            return own
        _, call, norms = fed

        def of_the_chosen(hidden: Tensor, **given: Any) -> Tensor:
            _here.fed = None
            branch = partial(fused.ffn(mlp, own), **given)
            return feed(call, mlp.__dict__[LAYER], hidden, norms, branch)

        return of_the_chosen

    def __set__(self, mlp: Any, forward: Any) -> None:
        mlp.__dict__["forward"] = forward

    def __delete__(self, mlp: Any) -> None:
        del mlp.__dict__["forward"]


class _MLP(Swapped):
    """The FFN: its hooks see all tokens, as they do without us; its `forward` those computed."""

    forward = _Forward()

    @uncompiled
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        feeding, _here.feeding = getattr(_here, "feeding", None), None
        if isinstance(feeding, tuple) and args and feeding[1].shape == args[0].shape[:2]:
            _here.fed = (self, *feeding)
        try:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        finally:
            _here.fed = None


_KINDS = (_Entry, _Attention, _Mixer, _Norm, _MLP)


def attach(base: Any, patch: Patch) -> None:
    """Make the modules of a base model look for `patch`; those that do are left alone."""
    family = family_in(base)
    text = getattr(base, family.text)
    patch.config.check_layers(len(text.layers))
    swap(base, _Model)
    swap(text, _Text)
    base.__dict__[NAME] = patch
    for index, layer in enumerate(text.layers):
        for module, kind in _of_layer(layer, family):
            if module.__dict__.get(LAYER) != index or not isinstance(module, kind):
                swap(module, kind)
                module.__dict__[LAYER] = index


def _of_layer(layer: Any, family: Family) -> list[tuple[Any, type]]:
    """The modules of a layer that change class, and to which."""
    names = (family.entry, family.attention, family.mixer, family.norm, family.ffn)
    found = [(getattr(layer, name, None) if name else None) for name in names]
    return [(m, kind) for m, kind in zip(found, _KINDS, strict=True) if m is not None]


def detach(base: Any) -> None:
    """Undo `attach`."""
    for module in base.modules():
        for name in (NAME, LAYER):
            module.__dict__.pop(name, None)
        for kind in (_Model, _Text, *_KINDS):
            swap_back(module, kind)


@uncompiled
def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **kwargs: Any
) -> tuple[Tensor, Any]:
    """AdaS-Attn as transformers calls it: [B, H, S, D] in, [B, S, H, D] out."""
    call, _here.attending = getattr(_here, "attending", None), None
    if call is None:  # a configuration was told our name by hand
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)  # type: ignore[no-any-return]
    layer, scale = module.__dict__[LAYER], kwargs["scaling"]
    if (mixed := attend(call, layer, query, key, value, scale=scale)) is not None:
        return mixed, None
    own = module.config._attn_implementation
    stock = ALL_ATTENTION_FUNCTIONS.get_interface(own, eager_attention_forward)
    compute = partial(stock, module, query, key, value, attention_mask, **kwargs)
    if own != "sdpa" or attention_mask is not None or kwargs.get("dropout"):
        return compute()  # type: ignore[no-any-return]
    return flash.dense(query, key, value, scale=scale, stock=lambda: compute()[0]), None


AttentionInterface.register(IMPLEMENTATION, _attention)
