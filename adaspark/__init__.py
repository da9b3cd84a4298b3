"""AdaSpark: adaptive sparsity for long-video language models.

`sparsify(model, AdaSparkConfig(...))` makes a Qwen2.5-VL of transformers run it, `restore(model)`
undoes it, `record(model)` shows what was decided, as a `Trace`. Importing this package loads
neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaspark.config import AdaSparkConfig
    from adaspark.cost import flops
    from adaspark.layout import CubeLayout
    from adaspark.qwen import record, restore, sparsify
    from adaspark.trace import Trace

__version__ = "0.1.0"

_HOME = {
    "AdaSparkConfig": "adaspark.config",
    "CubeLayout": "adaspark.layout",
    "Trace": "adaspark.trace",
    "flops": "adaspark.cost",
    "record": "adaspark.qwen",
    "restore": "adaspark.qwen",
    "sparsify": "adaspark.qwen",
}
__all__ = ["AdaSparkConfig", "CubeLayout", "Trace", "flops", "record", "restore", "sparsify"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'adaspark' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
