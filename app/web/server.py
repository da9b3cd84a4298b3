"""The running app: folders, limits, and Gradio's server around the page."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType

# These are read while gradio and transformers are being imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "256")  # of 10,000 events: who asked, and when
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ["FORWARDED_ALLOW_IPS"] = ""  # uvicorn's own rule; ours is `Forwarded`

from starlette.middleware import Middleware

from adaspark.assets import TRACES
from adaspark.errors import UserError
from app.media.recorded_runs import read_gallery, read_runs
from app.media.samples import Sample
from app.page import scripts, templates, ui
from app.page.calibration import read_calibration
from app.page.handlers import Handlers
from app.page.theme import studio_theme
from app.service.allocator import Allocator
from app.service.deferred_engine import DeferredEngine
from app.service.service import Service
from app.web import measured
from app.web.api import add_endpoints
from app.web.assets import KeptAssets
from app.web.disk import Disk, OwnFolder, UploadQuota, remove_copies
from app.web.exports import Exports
from app.web.files import PLOTLY_URL, ShownFiles
from app.web.forwarded import Forwarded
from app.web.gradio_seams import (
    forbid_fetching,
    is_known_event,
    is_logged_in,
    leave_with_the_client,
    note_uploads,
    say_errors,
)
from app.web.guard import Guard
from app.web.health import health
from app.web.limits import ServerLimits
from app.web.login import LoggedIn, login_from
from app.web.mcp import check_installed
from app.web.metrics import Metrics
from app.web.routes import alive, growing, live_run, routes, safe_copy
from app.web.streams import KnownEvents
from app.web.visitors import Visitors
from app.web.wrong_logins import guarded

log = logging.getLogger(__name__)
_LOOK_SECS = 5.0
_SIGNAL_SECS = 0.5  # a signal that another thread took wakes no wait without an end
_CLEAN_SECS = 600.0
_UPLOAD_SECS = 3600.0  # one that no page has taken up


class Studio:
    """The app over one engine; a context manager that removes everything uploaded at its end.

    `traces` holds the recorded runs of the samples, `model_folder` the calibration if there is one.
    `warm_up` has the model answer once, to measure how fast it is. `root_path` is the folder at
    which a proxy serves the app, such as "/studio".
    """

    def __init__(
        self,
        engine: DeferredEngine,
        samples: Sequence[Sample],
        *,
        traces: Path = TRACES,
        model_folder: Path | None = None,
        limits: ServerLimits | None = None,
        warm_up: bool = True,
        mcp: bool = False,
        root_path: str = "",
    ) -> None:
        if mcp:
            check_installed()
        self._mcp, self._root_path = mcp, _checked_root(root_path)
        self._limits = limits or ServerLimits()
        login = self._limits.login_file
        self._login = guarded(login_from(login), self._limits) if login else None
        self._engine = engine
        self._allocator = Allocator()
        self._warm_up = warm_up
        self._own = OwnFolder(self._limits.cache_folder)
        self._disk = Disk(self._own.path, self._limits.disk_mb * 10**6)
        self._uploads, proxies, exported = (
            self._own.path / name for name in ("uploads", "proxies", "exports")
        )
        self._made = [proxies, exported]
        self._over = threading.Event()
        os.environ["GRADIO_TEMP_DIR"] = str(self._uploads)
        forbid_fetching()
        note_uploads()
        runs = self._limits.runs_folder
        more, recorded = read_runs(runs) if runs else ([], {})
        samples = [*samples, *more]
        files = ShownFiles((sample.path for sample in samples), proxies)
        self.service = Service(
            engine,
            proxies,
            samples=samples,
            gallery={**read_gallery(samples, traces), **recorded},
            url_from_path=files.url,
            limits=self._limits,
            received=self._uploads,
        )
        self._exports = exports = Exports(exported, self.service.readers)
        self._routes = [
            *health(self.service),
            Metrics(self.service, self._disk).route(),
            alive(),
            live_run(self.service.live_runs),
            scripts.route(),
            *files.routes(),
            *measured.routes(TRACES.parent),
            safe_copy(self.service.videos.copies),
            growing(self.service.videos.copies),
            *routes(self.service.results, exports),
        ]
        self._page = ui.build(
            Handlers(self.service, self._uploads, self._limits.remotes),
            ui.Facts(
                limit_bytes=self._limits.upload_mb * 10**6,
                plotly_url=PLOTLY_URL,
                link_base=_link_base(),
                calibration=read_calibration(model_folder) if model_folder else None,
            ),
            lambda: add_endpoints(self.service, exports, self._uploads, mcp=mcp),
        )

    def start(self, *, host: str, port: int, open_browser: bool = False) -> str:
        """Serve the page, begin to load the model, and return the page's address.

        Port 0 is any that is free. Raises UserError if the port is taken.
        """
        self._page.queue(max_size=64, default_concurrency_limit=1)
        try:
            _, url, _ = self._page.launch(
                server_name=host,
                server_port=port or _free_port(host),
                inbrowser=open_browser,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                auth=self._login,
                auth_message="AdaSpark Studio",
                root_path=self._root_path or None,
                show_error=False,
                ssr_mode=False,
                mcp_server=self._mcp,
                run_history=False,
                footer_links=["api", "settings"],
                enable_monitoring=False,
                max_file_size=self._limits.upload_mb * 10**6,
                state_session_capacity=512,
                max_threads=40 + self._limits.waiting_runs,  # each that waits holds one
                allowed_paths=[str(self._made[1])],
                theme=studio_theme(),
                head=templates.head(),
                app_kwargs={
                    "routes": self._routes,
                    "middleware": [
                        Middleware(
                            Forwarded, trusted=_proxies(self._limits), root_path=self._root_path
                        ),
                        Middleware(Guard),
                        Middleware(
                            Visitors, exports=self._made[1], seen=self.service.belongings.seen
                        ),
                        Middleware(LoggedIn, is_in=partial(is_logged_in, self._page)),
                        Middleware(
                            KnownEvents,
                            is_known=partial(is_known_event, self._page),
                            is_in=partial(is_logged_in, self._page),
                        ),
                        Middleware(UploadQuota, disk=self._disk),
                        Middleware(KeptAssets),
                        Middleware(scripts.Preload),
                    ],
                },
            )
        except OSError as error:
            raise UserError(
                f"Port {port} on {host} cannot be used; give another one with --port."
            ) from error
        leave_with_the_client(self._page, self.service)
        say_errors(self._page)
        self._engine.start(then=self.service.warm_up if self._warm_up else lambda: None)
        self.service.readers.start()
        threading.Thread(target=self._clean, daemon=True).start()
        return str(url)

    def wait(self) -> None:
        """Serve until interrupted from the keyboard or by a signal.

        Raises what loading the model raised.
        """
        with suppress(KeyboardInterrupt):
            while not self._engine.join(_SIGNAL_SECS):
                pass
            if self._engine.state == "failed":
                self._engine.engine()
            while not self._over.wait(_SIGNAL_SECS):
                pass

    def __enter__(self) -> Studio:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # by way of __exit__
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        has_ended = self.service.close()
        self._page.close(verbose=False)
        has_ended &= self._engine.join(self._limits.grace_secs)
        self._own.remove()
        if not has_ended:
            os._exit(0)  # torch does not survive an exit in the middle of its work

    def _clean(self) -> None:
        """Remove what visitors had who have left, and what nobody has asked for in a long time."""
        cleaned = time.monotonic()
        while not self._over.wait(_LOOK_SECS):
            self._allocator.give_back(self.service.runner.ended)
            for key in self.service.forget_left():
                _tried(partial(self._remove, key))
            if time.monotonic() - cleaned > _CLEAN_SECS:
                cleaned = time.monotonic()
                _tried(self._remove_old)

    def _remove(self, key: str) -> None:
        self._exports.remove(key)
        remove_copies(self._uploads, key)  # a program was given it

    def _remove_old(self) -> None:
        self._disk.remove_older(self._limits.kept_hours * 3600, self._made)
        self._disk.remove_older(_UPLOAD_SECS, [self._uploads])


def _tried(clean: Callable[[], None]) -> None:
    """Files come and go while others clean up, and whoever does must not end by it."""
    try:
        clean()
    except OSError as error:
        log.warning("Cleaning up failed (%s), and goes on.", type(error).__name__)


def _checked_root(path: str) -> str:
    if path and (not path.startswith("/") or path.endswith("/") or "//" in path):
        raise UserError(f"--root-path must be a folder such as /studio, got {path!r}.")
    return path


def _proxies(limits: ServerLimits) -> Sequence[str]:
    """Who is believed to be a proxy; a Space is reached by the Hub's alone."""
    return ("*",) if os.environ.get("SPACE_ID") else limits.proxies


def _free_port(host: str) -> int:
    """A port that nobody uses; Gradio would look for its own page at port 0."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def _link_base() -> str:
    """What a permalink begins with: on Spaces the page that frames ours, else the page itself."""
    space = os.environ.get("SPACE_ID")
    return f"https://huggingface.co/spaces/{space}" if space else ""
