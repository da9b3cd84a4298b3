"""The running app: folders, limits, and Gradio's server around the page."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn
from urllib.parse import quote

# All three are read while gradio and transformers are being imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import plotly
from gradio import processing_utils
from starlette.middleware import Middleware

from adaspark.assets import TRACES
from adaspark.errors import UserError
from app.media.recorded_runs import read_gallery
from app.media.samples import Sample
from app.page import scripts, templates, ui
from app.page.calibration import read_calibration
from app.page.handlers import Handlers
from app.page.theme import studio_theme
from app.service.deferred_engine import DeferredEngine
from app.service.service import Service
from app.web.api import add_endpoints
from app.web.exports import Exports
from app.web.limits import ServerLimits
from app.web.routes import growing, health, routes, safe_copy

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


class Studio:
    """The app over one engine; a context manager that removes everything uploaded at its end.

    `traces` holds the recorded runs of the samples, `model_folder` the calibration if there is one.
    """

    def __init__(
        self,
        engine: DeferredEngine,
        samples: Sequence[Sample],
        *,
        traces: Path = TRACES,
        model_folder: Path | None = None,
        limits: ServerLimits | None = None,
    ) -> None:
        self._limits = limits or ServerLimits()
        self._engine = engine
        self._folder = _new_folder(self._limits.cache_folder)
        self._uploads = self._folder / "uploads"
        self._public = [self._folder / "proxies", self._folder / "exports"]
        os.environ["GRADIO_TEMP_DIR"] = str(self._uploads)
        forbid_fetching()
        self.service = Service(
            engine,
            self._public[0],
            samples=samples,
            gallery=read_gallery(samples, traces),
            url_from_path=_url_from_path,
            limits=self._limits,
        )
        exports = Exports(self._public[1])
        self._routes = [
            health(engine),
            scripts.route(),
            safe_copy(self.service.videos.copies),
            growing(self.service.videos.copies),
            *routes(self.service.results, exports),
        ]
        self._page = ui.build(
            Handlers(self.service, self._uploads),
            ui.Facts(
                limit_bytes=self._limits.upload_mb * 10**6,
                plotly_url=_url_from_path(PLOTLY),
                link_base=_link_base(),
                calibration=read_calibration(model_folder) if model_folder else None,
            ),
            lambda: add_endpoints(self.service, exports, self._uploads),
        )

    def start(self, *, host: str, port: int, open_browser: bool = False) -> str:
        """Serve the page, begin to load the model, and return the page's address.

        Raises UserError if the port is taken.
        """
        samples = [str(sample.path) for sample in self.service.videos.samples.values()]
        self._page.queue(max_size=64, default_concurrency_limit=1)
        try:
            _, url, _ = self._page.launch(
                server_name=host,
                server_port=port,
                inbrowser=open_browser,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                show_error=False,
                ssr_mode=False,
                run_history=False,
                footer_links=["api", "settings"],
                enable_monitoring=False,
                max_file_size=self._limits.upload_mb * 10**6,
                state_session_capacity=512,
                allowed_paths=[*map(str, self._public), *samples, str(PLOTLY)],
                theme=studio_theme(),
                head=templates.head(),
                app_kwargs={
                    "routes": self._routes,
                    "middleware": [Middleware(scripts.Preload)],
                },
            )
        except OSError as error:
            raise UserError(
                f"Port {port} on {host} cannot be used; give another one with --port."
            ) from error
        self._engine.start(then=self.service.warm_up)
        return str(url)

    def wait(self) -> None:
        """Serve until interrupted from the keyboard or by a signal.

        Raises what loading the model raised.
        """
        with suppress(KeyboardInterrupt):
            self._engine.join()
            if self._engine.state == "failed":
                self._engine.engine()
            threading.Event().wait()

    def __enter__(self) -> Studio:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by way of __exit__
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.service.close()
        self._page.close(verbose=False)
        self._engine.join()
        shutil.rmtree(self._folder, ignore_errors=True)


def _new_folder(parent: Path | None) -> Path:
    """A new folder for uploads and what is made of them. Raises UserError if it cannot be made."""
    try:
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="adaspark-", dir=parent))
    except OSError as error:
        raise UserError(f"{parent or tempfile.gettempdir()} cannot be written to.") from error


def _link_base() -> str:
    """What a permalink begins with: on Spaces the page that frames ours, else the page itself."""
    space = os.environ.get("SPACE_ID")
    return f"https://huggingface.co/spaces/{space}" if space else ""


def forbid_fetching() -> None:
    """Refuse addresses that are sent instead of files: Gradio would fetch them."""

    async def refuse(url: str, *_: Any) -> NoReturn:
        raise UserError("Addresses are not fetched: upload the video itself.")

    processing_utils.async_ssrf_protected_download = refuse


def _url_from_path(path: Path) -> str:
    """Where the browser finds a served file, relative to the page."""
    return f"gradio_api/file={quote(str(path))}"
