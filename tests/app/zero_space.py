"""`python zero_space.py`: app/space.py with the real package `spaces` on a machine without CUDA.

Only what moves tensors to a lent GPU stands still, as the package itself does it without torch;
the turns, the forked processes and what is pickled are its own.
"""

from __future__ import annotations

import runpy
import sys
from types import ModuleType
from typing import Any

from paths import ROOT


def nothing(*_: Any, **__: Any) -> None:
    pass


def stand_still() -> ModuleType:
    module = ModuleType("spaces.zero.torch")
    for name in ("enter_mode", "patch", "unpatch", "init", "move"):
        setattr(module, name, nothing)
    module.__dict__.update(pack=lambda: 0, size=lambda: 0, is_in_bad_fork=lambda: False)
    return module


if __name__ == "__main__":
    sys.modules["spaces.zero.torch"] = stand_still()
    runpy.run_path(str(ROOT / "app" / "space.py"), run_name="__main__")
