"""A ZeroGPU Space of Hugging Face: its Gradio SDK runs this file (`app_file: app/space.py`).

The model is made while this file is read, since processes are forked from this one, and each
answer is made in such a process. Without the package `spaces`, or away from ZeroGPU, it is the
same studio on whatever this machine has.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# The folder of this file comes first otherwise, and its packages are named as others' are.
sys.path[0] = str(Path(__file__).resolve().parents[1])
# A process that is forked after GNU OpenMP has run in its parent is ended by it.
os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A forked process must not collect what it inherits: a decoder waits there for threads it has not.
os.register_at_fork(after_in_child=gc.freeze)

try:
    import spaces  # before torch: it takes CUDA's place here
except ImportError:
    spaces = None

from adaspark.errors import UserError
from adaspark.model.checkpoint_source import locate
from adaspark.model.engine import Engine
from adaspark.model.request import Event, Options
from app.media.samples import read_samples, real_footage
from app.service.deferred_engine import DeferredEngine, default_config
from app.service.forked_engine import ForkedEngine
from app.web.limits import limits_from
from app.web.server import Studio

MODEL = os.environ.get("ADASPARK_MODEL") or "mini"
LIMITS = limits_from()
ENGINE = Engine(MODEL, max_video_tokens=LIMITS.video_tokens or None)


def _marked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as ZeroGPU runs it; `secs`, its last argument, is the time to ask for."""
    if spaces is None:
        return function
    marked: Callable[..., Any] = spaces.GPU(duration=lambda *given: int(given[-1]))(function)
    return marked


@_marked
def answer(path: Path, question: str, options: Options, secs: float) -> Iterator[Event | UserError]:
    """The events of one answer, made where the GPU is; a refusal is the last of them."""
    try:
        yield from ENGINE.ask(path, question, options)
    except UserError as error:
        yield error


def main() -> None:
    """Serve until interrupted."""
    folder = locate(MODEL).folder or Path(MODEL)
    face = DeferredEngine(
        lambda: ForkedEngine(ENGINE, answer),
        name=MODEL,
        is_bundled=ENGINE.is_bundled,
        default_config=default_config(folder, sparse=MODEL == "mini-sparse"),
        at_once=LIMITS.waiting_runs,  # each waits for a GPU of its own
    )
    samples = [*read_samples(), *real_footage()]
    with Studio(face, samples, model_folder=folder, limits=LIMITS, warm_up=False) as studio:
        port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
        host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0")
        print(f"AdaSpark Studio: {studio.start(host=host, port=port)}", flush=True)
        studio.wait()


if __name__ == "__main__":
    main()
