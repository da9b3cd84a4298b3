"""The running app: folders, limits, and Gradio's server around the page."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

# Both are read while gradio is being imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import plotly

from adaspark.errors import UserError
from app import front, ui
from app.handlers import Handlers
from app.samples import SAMPLES, read_samples
from app.service import Service
from app.theme import studio_theme

MOST_UPLOAD_BYTES = 500 * 2**20
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def launch(
    *,
    host: str = "127.0.0.1",
    port: int = 7860,
    model: str = "mini",
    device: str = "auto",
    open_browser: bool = True,
) -> None:
    """Load the model, serve the page and wait until it is interrupted.

    Raises UserError where the model cannot be loaded or the port is taken.
    """
    from adaspark.engine import Engine

    engine = Engine(model=model, device=device)
    with Studio(engine, why_device=_why_device(device, engine.device)) as studio:
        print(f"AdaSpark Studio: {studio.start(host=host, port=port, open_browser=open_browser)}")
        studio.wait()


class Studio:
    """The app over one engine; a context manager that removes everything uploaded at its end."""

    def __init__(
        self, engine: Any, *, samples: Path = SAMPLES, why_device: str = "as asked"
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="adaspark-"))
        self._footage = self._folder / "footage"
        self._samples = samples.resolve()
        self._uploads = self._folder / "uploads"
        os.environ["GRADIO_TEMP_DIR"] = str(self._uploads)
        self.service = Service(
            engine,
            self._footage,
            samples=read_samples(self._samples),
            url_from_path=_url_from_path,
            why_device=why_device,
        )
        self._page = ui.build(
            Handlers(self.service, self._uploads),
            limit_bytes=MOST_UPLOAD_BYTES,
            plotly_url=_url_from_path(PLOTLY),
        )

    def start(self, *, host: str, port: int, open_browser: bool = False) -> str:
        """Serve the page and return its address. Raises UserError where the port is taken."""
        self.service.warm_up()
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
                footer_links=["settings"],
                enable_monitoring=False,
                max_file_size=MOST_UPLOAD_BYTES,
                state_session_capacity=512,
                allowed_paths=[str(self._footage), str(self._samples), str(PLOTLY)],
                theme=studio_theme(),
                head=front.head(),
            )
        except OSError as error:
            raise UserError(
                f"Port {port} on {host} cannot be used; give another one with --port."
            ) from error
        return str(url)

    def wait(self) -> None:
        """Serve until interrupted from the keyboard or told to end."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by way of __exit__
        self._page.block_thread()

    def __enter__(self) -> Studio:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.service.close()
        self._page.close(verbose=False)
        shutil.rmtree(self._folder, ignore_errors=True)


def _why_device(asked: str, device: str) -> str:
    if asked != "auto":
        return "as asked"
    return "no CUDA device found" if device == "cpu" else "the GPU found"


def _url_from_path(path: Path) -> str:
    """Where the browser finds a served file, relative to the page."""
    return f"gradio_api/file={quote(str(path))}"
