"""Whether a quantised checkpoint can run here, said before its weights are read."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from adaspark.errors import UserError
from adaspark.model.checkpoint_files import reason
from adaspark.model.checkpoint_source import Source

# Method in quantization_config -> (module to import, what pip calls it).
_PACKAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "awq": (("gptqmodel", "gptqmodel"),),
    "gptq": (("gptqmodel", "gptqmodel"), ("optimum", "optimum")),
    "bitsandbytes": (("bitsandbytes", "bitsandbytes"),),
    "compressed-tensors": (("compressed_tensors", "compressed-tensors"),),
    "fp8": (),
    "torchao": (("torchao", "torchao"),),
    "quanto": (("optimum.quanto", "optimum-quanto"),),
    "hqq": (("hqq", "hqq"),),
    "aqlm": (("aqlm", "aqlm"),),
    "auto-round": (("auto_round", "auto-round"),),
    "quark": (("quark", "amd-quark"),),
    "eetq": (("kernels", "kernels"),),
    "vptq": (("vptq", "vptq"),),
}
_ALWAYS = (("accelerate", "accelerate"),)


def is_quantised(config: Any) -> bool:
    """Whether a model's configuration says that its weights are quantised."""
    return bool(getattr(config, "quantization_config", None))


def check_quantised(source: Source, config: Any, device: torch.device) -> None:
    """Raise UserError where a package or a device is missing that these weights need."""
    settings = config.quantization_config
    settings = settings if isinstance(settings, dict) else settings.to_dict()
    method = _method(settings)
    needed = (*_PACKAGES.get(method, ()), *_ALWAYS)
    if missing := [name for module, name in needed if not _is_installed(module)]:
        names = " ".join(missing)
        raise UserError(
            f"{source.name} is quantised ({method}), and {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed: pip install {names}, or give "
            f"a checkpoint that is not quantised."
        )
    from transformers.quantizers.auto import AutoHfQuantizer

    try:
        quantizer = AutoHfQuantizer.from_config(settings, pre_quantized=True)
        quantizer.validate_environment(dtype=torch.bfloat16, device_map={"": device})
    except Exception as error:  # each method checks in its own way
        raise UserError(
            f"{source.name} is quantised ({method}) and cannot run here ({reason(error)}): give a "
            f"checkpoint that is not quantised."
        ) from error


def _method(settings: dict[str, Any]) -> str:
    """The method's name; older bitsandbytes files state only the width."""
    if settings.get("load_in_4bit") or settings.get("load_in_8bit"):
        return "bitsandbytes"
    method = settings.get("quant_method", "unknown")
    return str(getattr(method, "value", method))


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # a part of a package that is missing
        return False
