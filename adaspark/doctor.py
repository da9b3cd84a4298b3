"""`adaspark doctor`: what is here, what will run, what is missing and the command that mends it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from adaspark.model import versions

TORCH = ((2, 11), (2, 13))
EXTRAS = {"notebook": "ipywidgets", "ray": "ray", "tune": "peft", "mcp": "mcp"}


class Finding(NamedTuple):
    """One line: what was looked at, what was found, and what to do where it is not well."""

    name: str
    found: str
    remedy: str = ""
    required: bool = True


def run() -> int:
    """Print every finding; 1 where something that the app needs is missing, else 0."""
    findings = [finding for check in _CHECKS for finding in check()]
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        mark = "ok" if not finding.remedy else ("MISSING" if finding.required else "optional")
        print(f"{mark:8} {finding.name:{width}}  {finding.found}")
        if finding.remedy:
            print(f"{'':8} {'':{width}}  -> {finding.remedy}")
    return int(any(finding.remedy and finding.required for finding in findings))


def _python() -> list[Finding]:
    return [Finding("python", f"{platform.python_version()} on {platform.platform()}")]


def _packages() -> list[Finding]:
    found = [
        _tested("torch", *TORCH),
        _tested("transformers", versions.OLDEST, versions.NEWEST),
    ]
    return [*found, *(_installed(name) for name in ("numpy", "gradio", "plotly", "pillow"))]


def _tested(name: str, oldest: tuple[int, int], newest: tuple[int, int]) -> Finding:
    finding = _installed(name)
    if finding.remedy or oldest <= _parts(finding.found) <= newest:
        return finding
    told = f"{finding.found}, tested with {versions.named(oldest)} to {versions.named(newest)}"
    if _parts(finding.found) > newest:
        return Finding(name, told)
    return Finding(name, told, f'pip install -U "{name}>={versions.named(oldest)}"')


def _parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".")[:2])


def _installed(name: str, *, required: bool = True, install: str | None = None) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", install or f"pip install {name}", required)


def _decoder() -> list[Finding]:
    """The decoder counts when it imports: a wheel may be there and not fit the machine."""
    finding = _installed("av")
    try:
        import_module("av")
    except (ImportError, OSError) as error:
        if not finding.remedy:
            reason = f"{finding.found}, but does not load ({error})"
            finding = Finding("av", reason, "pip install --force-reinstall av", True)
    return [finding]


def _devices() -> list[Finding]:
    try:
        import torch
    except ImportError:
        return []
    threads = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    found = [Finding("cpu", threads)]
    if torch.cuda.is_available():
        found += [
            Finding(f"cuda:{i}", torch.cuda.get_device_name(i))
            for i in range(torch.cuda.device_count())
        ]
    else:
        found.append(Finding("cuda", "none: the model runs on the CPU"))
    return found


def _backend() -> list[Finding]:
    """The kernels are optional: where they do not load, PyTorch computes."""
    try:
        import torch
    except ImportError:
        return []
    from adaspark.kernels.backend import TILES, backend

    found = []
    for device in ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]:
        used = backend(device)
        kind = "numba" if device == "cpu" else "triton"
        remedy = f"pip install --upgrade {kind}" if used.name == TILES else ""
        name = f"attention backend, {device}"
        found.append(Finding(name, f"{used.name}: {used.why}", remedy, required=False))
    flash = _installed("flash-attn", required=False, install='pip install "adaspark-studio[gpu]"')
    return [*found, flash]


def _model() -> list[Finding]:
    from adaspark.model.checkpoint import BUNDLED_MODEL

    weights = BUNDLED_MODEL / "model.safetensors"
    if weights.is_file():
        return [Finding("bundled model", f"{weights.stat().st_size / 1e6:.1f} MB")]
    remedy = "pip install --force-reinstall adaspark-studio"
    return [Finding("bundled model", "not beside this installation", remedy)]


def _lmms_eval() -> list[Finding]:
    """Optional, and silent where a plugin fails: it then knows no model of that name."""
    install = 'pip install "adaspark-studio[eval]"'
    found = _installed("lmms-eval", required=False, install=install)
    if found.remedy:
        return [found]
    from adaspark.eval.lmms.registry import MODEL

    try:
        import_module("lmms_eval.models").MODEL_REGISTRY_V2.get_model_class(MODEL)
    except Exception as error:  # whatever its imports raise
        reason = " ".join(str(error).split())[:200]
        plugin = Finding("lmms-eval plugin", f"does not load ({reason})", install, required=False)
    else:
        plugin = Finding("lmms-eval plugin", f"loads: --model {MODEL}")
    return [found, plugin]


def _extras() -> list[Finding]:
    """What only some commands need, by the package that tells an extra is there."""
    return [
        _installed(name, required=False, install=f'pip install "adaspark-studio[{extra}]"')
        for extra, name in EXTRAS.items()
    ]


def _tools() -> list[Finding]:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    remedy = "" if browser else "playwright install chromium, or apt-get install chromium"
    ffmpeg = shutil.which("ffmpeg")
    return [
        Finding("chromium (tests)", browser or "not found", remedy, required=False),
        Finding(
            "ffmpeg (tests)",
            ffmpeg or "not found",
            "" if ffmpeg else "apt-get install ffmpeg",
            required=False,
        ),
        Finding("installed in", sys.prefix),
    ]


_CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    _python,
    _packages,
    _decoder,
    _devices,
    _backend,
    _model,
    _lmms_eval,
    _extras,
    _tools,
)
