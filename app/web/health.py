"""Addresses for whoever runs the server: `/healthz`, `/readyz`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.service.service import Service

_FRESH = {"Cache-Control": "no-store"}


def health(service: Service) -> list[Route]:
    """`/healthz`: that the server answers, its model and limits. `/readyz`: whether it takes
    questions; status 503 while the model loads, if it cannot be loaded, and before the end.
    """

    def healthz(request: Request) -> Response:
        facts = {"status": "ok", **service.engine_facts(), "limits": service.limits.facts()}
        return JSONResponse(facts, headers=_FRESH)

    def readyz(request: Request) -> Response:
        state = "closing" if service.admission.is_closed else service.engine.state
        is_ready = state in ("ready", "replay")
        return JSONResponse({"state": state}, 200 if is_ready else 503, headers=_FRESH)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
