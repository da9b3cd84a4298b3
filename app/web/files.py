"""The files that a page shows: videos and the plotting library, by names that tell no folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import plotly
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

PLOTLY_URL = "studio/plotly.js"
_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_GONE = "This video is no longer on the server; choose it again."
_UNCHANGING = {"Cache-Control": "private, max-age=3600, immutable"}


class ShownFiles:
    """Sample clips, and whatever video lies in the folder of `proxies`."""

    def __init__(self, samples: Iterable[Path], proxies: Path) -> None:
        self._samples = {path.name: path for path in samples}
        self._proxies = proxies

    def url(self, path: Path) -> str:
        """Where the browser finds one, relative to the page."""
        kind = "video" if path.parent == self._proxies else "sample"
        return f"studio/{kind}/{quote(path.name)}"

    def routes(self) -> list[Route]:
        """The addresses; each answers requests for a part of its file too."""

        def sample(request: Request) -> Response:
            return _file(self._samples.get(request.path_params["name"]))

        def video(request: Request) -> Response:
            return _file(self._proxies / Path(request.path_params["name"]).name)

        def library(request: Request) -> Response:
            return FileResponse(_PLOTLY, media_type="text/javascript", headers=_UNCHANGING)

        return [
            Route("/studio/sample/{name}", sample),
            Route("/studio/video/{name}", video),
            Route(f"/{PLOTLY_URL}", library),
        ]


def _file(path: Path | None) -> Response:
    if path is None or path.suffix != ".mp4" or not path.is_file():
        return PlainTextResponse(_GONE, 404)
    return FileResponse(path, media_type="video/mp4", headers=_UNCHANGING)
