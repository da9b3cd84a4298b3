"""What this server has done, in numbers for Prometheus: no questions, names or videos."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adaspark.trace.trace import Trace
from app.service.service import Service
from app.web.disk import Disk

log = logging.getLogger(__name__)
_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_SECS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """Counts the runs of a service; `/metrics` writes them out."""

    def __init__(self, service: Service, disk: Disk) -> None:
        self._registry = CollectorRegistry()
        self._runs = Counter(
            "adaspark_runs", "Runs by how they ended.", ["outcome"], registry=self._registry
        )
        self._secs = Histogram(
            "adaspark_phase_seconds",
            "Seconds that a phase of a run took.",
            ["phase"],
            buckets=_SECS,
            registry=self._registry,
        )
        self._density = Histogram(
            "adaspark_density",
            "Share that was computed, mean over layers.",
            ["half"],
            buckets=_SHARES,
            registry=self._registry,
        )
        self._registry.register(_Now(service, disk))
        service.runner.observer = self

    def answered(self, trace: Trace, seconds: Mapping[str, float], stopped: bool) -> None:
        """Count a run with an answer, and log what it took."""
        outcome = "stopped" if stopped else "answered"
        self._runs.labels(outcome).inc()
        took = {phase: round(secs, 4) for phase, secs in seconds.items()}
        tokens = len(trace.cube_from_token)
        log.info("run", extra={"facts": {"outcome": outcome, "tokens": tokens, "seconds": took}})
        for phase, secs in seconds.items():
            self._secs.labels(phase).observe(secs)
        for half, share in (("attention", trace.attention_density), ("ffn", trace.ffn_density)):
            self._density.labels(half).observe(share)

    def failed(self, kind: str) -> None:
        """Count a run without one."""
        self._runs.labels(kind).inc()
        log.info("run", extra={"facts": {"outcome": kind}})

    def route(self) -> Route:
        """`/metrics`."""

        def answer(request: Request) -> Response:
            return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

        return Route("/metrics", answer)


class _Now(Collector):
    """What is measured when it is asked for."""

    def __init__(self, service: Service, disk: Disk) -> None:
        self._service, self._disk = service, disk

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        service = self._service
        gauges = {
            "adaspark_runs_waiting": ("Runs inside: one answered, others waiting.", self._inside()),
            "adaspark_sessions": ("Open pages and programs.", len(service.sessions)),
            "adaspark_results_bytes": ("Bytes of the kept results.", service.results.held_bytes),
            "adaspark_caches_bytes": (
                "Bytes of clips in the model's cache, for follow-up questions.",
                service.runner.kept.held_bytes,
            ),
            "adaspark_disk_bytes": ("Bytes in the server's folder.", self._disk.used_bytes),
            "adaspark_memory_bytes": ("Resident memory.", resident_bytes()),
            "adaspark_model_ready": ("1 once the model is loaded.", int(self._is_ready())),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(name, text, value)

    def _inside(self) -> int:
        return self._service.admission.inside

    def _is_ready(self) -> bool:
        return self._service.engine.state in ("ready", "replay")


def resident_bytes() -> int:
    """Resident memory of this process in bytes; its peak where the system has no /proc."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
