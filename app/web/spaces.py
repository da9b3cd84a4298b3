"""`python -m app.web.spaces KIND --out FOLDER`: a folder that `hf upload` makes a Space of.

KIND is zerogpu (free accounts: a GPU lent by the second), static (free: recorded runs, no server)
or docker (a paid plan). Each has the lines at the top of its README that the Hub asks for.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from adaspark.arguments import Parser
from adaspark.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("adaspark", "app", "viz", "assets", "requirements.txt", "pyproject.toml", "LICENSE")
ZERO_TORCH = "torch==2.11.0"
"""The newest that ZeroGPU lists."""
CAPTION_FONT = "fonts-wqy-microhei"
"""Debian's package of letters for films' captions, as the Dockerfile installs it."""
_SHARED = {
    "title": "AdaSpark Studio",
    "short_description": "See what a video model reads, layer by layer",
    "colorFrom": "blue",
    "colorTo": "yellow",
    "fullWidth": "true",
    "header": "mini",
    "license": "apache-2.0",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the folder; exit status 2 with one line if that cannot be done."""
    parser = Parser(prog="python -m app.web.spaces", description=__doc__)
    parser.add_argument("kind", choices=tuple(_KINDS), metavar="|".join(_KINDS))
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    options: argparse.Namespace = parser.parse_args(arguments)
    try:
        if options.out.exists() and any(options.out.iterdir()):
            raise UserError(f"{options.out} is not empty: name a new folder, or remove it.")
        _KINDS[options.kind](options.out)
    except (UserError, OSError) as error:
        print(f"adaspark: {error}", file=sys.stderr)
        return 2
    print(f"{options.out}: hf upload USER/NAME {options.out} . --repo-type space")
    return 0


def _zerogpu(out: Path) -> None:
    _copy_parts(out)
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    # The Gradio SDK brings its own gradio, by sdk_version.
    kept = [line for line in lines if not line.startswith(("torch>", "gradio>"))]
    (out / "requirements.txt").write_text("\n".join([*kept, ZERO_TORCH, "spaces", ""]), "utf-8")
    (out / "packages.txt").write_text(f"{CAPTION_FONT}\n", "utf-8")
    facts = {
        "sdk": "gradio",
        "sdk_version": version("gradio"),
        "python_version": '"3.12"',
        "app_file": "app/space.py",
        "suggested_hardware": "zero-a10g",
        "startup_duration_timeout": "30m",
    }
    _write_readme(out, facts)


def _static(out: Path) -> None:
    from adaspark.gallery import main as write_gallery

    write_gallery(["--out", str(out)])
    _write_readme(out, {"sdk": "static", "app_file": "index.html"})


def _docker(out: Path) -> None:
    _copy_parts(out)
    shutil.copyfile(ROOT / "Dockerfile", out / "Dockerfile")
    _write_readme(out, {"sdk": "docker", "app_port": "7860"})


_KINDS: dict[str, Callable[[Path], None]] = {
    "zerogpu": _zerogpu,
    "static": _static,
    "docker": _docker,
}


def _copy_parts(out: Path) -> None:
    missing = [part for part in PARTS if not (ROOT / part).exists()]
    if missing:
        raise UserError(f"{', '.join(missing)} is not here: run this in a clone of the repository.")
    out.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, out / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, out / part)


def _write_readme(out: Path, facts: dict[str, str]) -> None:
    """The README with the lines that the Hub reads at its top."""
    lines = "".join(f"{name}: {value}\n" for name, value in {**_SHARED, **facts}.items())
    readme = (ROOT / "README.md").read_text("utf-8")
    body = readme.split("---\n", 2)[2] if readme.startswith("---\n") else readme
    (out / "README.md").write_text(f"---\n{lines}---\n{body}", "utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
