"""An engine that is loaded in the background: its name is known at once, answers wait."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.events import Phase
from adaspark.model.request import Estimate, Event, Options
from app.service.messages import EngineFacts, EngineState

if TYPE_CHECKING:
    from adaspark.model.conversation import Conversation
    from adaspark.video.clip import Opener

PATIENCE_SECS = 0.25
NO_MODEL = (
    "This server only replays recorded runs, it has no model; choose one of the sample clips, or "
    "start your own studio to ask."
)


def default_config(folder: Path, *, sparse: bool = False) -> AdaSparkConfig:
    """The configuration that a model's folder recommends; the package's own if it has none.

    As `adaspark.model.checkpoint.own_config`, without importing what loads models.
    """
    path = folder / "adaspark.json"
    if not path.is_file():
        return AdaSparkConfig()
    try:
        values = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON ({error}): write it again.") from error
    tuned = values.pop("sparse", {})
    return AdaSparkConfig.from_dict({**values, **tuned} if sparse else values)


class DeferredEngine:
    """Stands for an engine: answers at once what needs no weights, the rest once they are loaded.

    `load` returns the engine; None if there will never be one (replay only). It answers `at_once`
    runs at a time.
    """

    def __init__(
        self,
        load: Callable[[], Any] | None,
        *,
        name: str,
        is_bundled: bool,
        default_config: AdaSparkConfig,
        at_once: int = 1,
    ) -> None:
        self.name, self.is_bundled, self.default_config = name, is_bundled, default_config
        self.at_once = at_once
        self._load = load
        self._open_video: Opener | None = None
        self._loaded: Future[Any] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._over = threading.Event()

    @property
    def state(self) -> EngineState:
        """How far the model is."""
        if self._load is None:
            return "replay"
        if self._loaded.done():
            return "failed" if self._loaded.exception() else "ready"
        return "loading" if self._thread.is_alive() else "waiting"

    def check_model(self) -> None:
        """Raise UserError if there will never be a model."""
        if self.state == "replay":
            raise UserError(NO_MODEL)

    def open_with(self, open_video: Opener) -> None:
        """Say what is to open the videos that are asked about."""
        self._open_video = open_video
        if self.state == "ready":
            self.engine().open_with(open_video)

    def start(self, then: Callable[[], None] = lambda: None) -> None:
        """Begin to load in a thread; `then()` is called in it once the engine is there."""
        self._then = then
        if self._load is not None:
            self._thread.start()

    def join(self, secs: float | None = None) -> bool:
        """Wait until the loading thread is done: torch does not survive an exit in its middle.

        Returns whether it is done, after `secs` at most. Not by `Thread.join`: interrupted in it,
        Python 3.11 takes the thread to have ended.
        """
        return self._thread.ident is None or self._over.wait(secs)

    def engine(self) -> Any:
        """The engine, waited for. Raises what loading raised, UserError if there is no model."""
        self.check_model()
        return self._loaded.result()

    def facts(self) -> EngineFacts:
        """What can be said of the model so far."""
        state = self.state
        if state != "ready":
            return {"model": self.name, "state": state}
        engine = self.engine()
        return {
            "model": self.name,
            "state": state,
            "device": engine.device,
            "dtype": engine.dtype,
            "backend": engine.backend,
        }

    @property
    def questions(self) -> list[str]:
        """Questions that the model understands; empty if it understands any."""
        return list(self.engine().questions)

    def estimate(self, path: Path, **sampling: Any) -> Estimate:
        """The engine's estimate, waited for."""
        estimate: Estimate = self.engine().estimate(path, **sampling)
        return estimate

    def ask(
        self,
        path: Path,
        question: str,
        options: Options,
        *,
        stop: threading.Event,
        conversation: Conversation | None = None,
    ) -> Iterator[Event]:
        """The engine's events; before them the phase "loading" while it is waited for."""
        while self.state in ("waiting", "loading"):
            yield Phase("loading", 0, 0)
            wait([self._loaded], PATIENCE_SECS)
            if stop.is_set():
                return
        yield from self.engine().ask(path, question, options, stop=stop, conversation=conversation)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._over.set()

    def _work(self) -> None:
        assert self._load is not None
        try:
            engine = self._load()
            if self._open_video is not None:
                engine.open_with(self._open_video)
        except BaseException as error:
            self._loaded.set_exception(error)
            return
        self._loaded.set_result(engine)
        self._then()
