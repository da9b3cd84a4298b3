"""One loaded model that answers units of work: every question of them, under every setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from adaspark.errors import UserError
from adaspark.inspect.inputs import Pair
from adaspark.inspect.plan import Plan, Unit, digest
from adaspark.inspect.rows import failed_row, layer_rows, row_of
from adaspark.inspect.settings import Setting
from adaspark.inspect.store import Store
from adaspark.method.config import AdaSparkConfig
from adaspark.model.engine import Engine
from adaspark.model.events import Result
from adaspark.model.feature_files import default_folder
from adaspark.trace.trace import Trace
from adaspark.video.clip import content_hash, stream_frames
from adaspark.video.sampling import Sampling

_THUMBNAIL = Sampling(max_frames=2, min_frames=2, min_pixels=4 * 28**2, max_pixels=24 * 28**2)
"""two frames, the first one's and the middle one's, of at most 168 x 112 pixels or as many"""


class Worker:
    """Loads the plan's model. Raises UserError if it, or a setting on it, cannot be used.

    Features of a video are in memory for all its questions and settings, up to the engine's limit;
    those of long ones lie on this machine's disk, mapped, where a run that goes on finds them.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._store = Store(plan.out)
        self._limits: dict[str, Any] = {} if plan.limits is None else {"limits": plan.limits}
        self._engine = Engine(
            plan.model,
            plan.device,
            adapter=plan.adapter,
            preset=plan.preset,
            features_folder=default_folder(),
        )
        base = self._engine.default_config.to_dict()
        self._configs = {
            setting.name: AdaSparkConfig.from_dict({**base, **setting.changes})
            for setting in plan.settings
        }
        for config in self._configs.values():
            config.check_layers(self._engine.layers)

    def work(self, unit: Unit, on_row: Callable[[], None] = lambda: None) -> str:
        """Answer a unit and write its part; `on_row` is called after each row. Returns its key.

        A pair that fails is a row with its sentence. Raises OSError if the disk refuses.
        """
        key = unit.key(self._plan)
        rows: list[dict[str, Any]] = []
        layers: list[dict[str, Any]] = []
        for number, pair in enumerate(unit.pairs):
            for setting in self._plan.settings:
                row, of_layers = self._one(pair, setting, has_page=number < unit.reports)
                rows.append(row)
                layers += of_layers
                on_row()
        self._store.write_part(key, rows, layers)
        return key

    def _one(
        self, pair: Pair, setting: Setting, *, has_page: bool
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        try:
            self._engine.estimate(pair.video, **self._limits, **self._plan.sampling)
            video = content_hash(pair.video)
            path = self._trace_path(video, pair, setting)
            trace = self._kept(path) or self._asked(pair, setting)
        except (UserError, OSError) as error:
            return failed_row(str(error), pair, setting.name), []
        except Exception as error:  # one pair never stops the rest
            said = f"The run failed: {type(error).__name__}: {' '.join(str(error).split())}"
            return failed_row(said, pair, setting.name), []
        self._store.write(path, trace.save)
        row = row_of(trace, pair, setting.name)
        row |= {"trace": self._store.name(path), "thumbnail": self._thumbnail(video, pair.video)}
        if has_page:
            row["report"] = self._page(path.stem, trace, pair.video)
        return row, layer_rows(trace, pair, setting.name)

    def _trace_path(self, video: str, pair: Pair, setting: Setting) -> Path:
        """Where the trace lies: its name is a hash of all that it depends on."""
        config = self._configs[setting.name].to_dict()
        key = self._plan.key(video, pair.video, pair.question, config)
        return self._store.path("traces", key, ".npz")

    def _kept(self, path: Path) -> Trace | None:
        """A trace that an earlier run has left."""
        try:
            return Trace.load(path) if path.exists() else None
        except UserError:  # a disk has damaged it
            path.unlink(missing_ok=True)
            return None

    def _asked(self, pair: Pair, setting: Setting) -> Trace:
        plan = self._plan
        options = self._engine.options(
            self._configs[setting.name],
            max_new_tokens=plan.max_new_tokens,
            drawing=plan.drawing,
            **self._limits,
            **plan.sampling,
        )
        *_, last = self._engine.ask(pair.video, pair.question, options)
        assert isinstance(last, Result)
        return last.trace

    def _page(self, key: str, trace: Trace, video: str) -> str:
        from viz.report.page import report

        path = self._store.path("reports", key, ".html")
        shown = video if self._engine.plays_in_browsers(video, **self._limits) else None
        self._store.write(
            path, lambda draft: draft.write_text(report(trace, video_path=shown), "utf-8")
        )
        return self._store.name(path)

    def _thumbnail(self, video: str, path: str) -> str:
        target = self._store.path("thumbnails", digest(video), ".jpg")
        self._store.write(target, lambda draft: _write_thumbnail(path, self._limits, draft))
        return self._store.name(target)


def _write_thumbnail(video: str, limits: Mapping[str, Any], draft: Path) -> None:
    """The video's middle frame, small."""
    chunks = stream_frames(video, _THUMBNAIL, **limits)
    pixels = next(iter(chunks)).frames[-1].permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(draft, "JPEG", quality=80)
