"""AdaSpark: adaptive sparsity for long-video language models.

`sparsify(model, AdaSparkConfig(...))` makes a model of transformers run it, any of Qwen2-VL to
Qwen3.5, `restore(model)` undoes it, `record(model)` shows what was decided, as a `Trace`. Importing
this package loads neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaspark.method.config import AdaSparkConfig
    from adaspark.method.layout import CubeLayout
    from adaspark.model.qwen import record, restore, sparsify
    from adaspark.trace.cost import flops
    from adaspark.trace.trace import Trace

__version__ = "0.1.0"

_HOME = {
    "AdaSparkConfig": "adaspark.method.config",
    "CubeLayout": "adaspark.method.layout",
    "Trace": "adaspark.trace.trace",
    "flops": "adaspark.trace.cost",
    "record": "adaspark.model.qwen",
    "restore": "adaspark.model.qwen",
    "sparsify": "adaspark.model.qwen",
}
__all__ = ["AdaSparkConfig", "CubeLayout", "Trace", "flops", "record", "restore", "sparsify"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'adaspark' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
