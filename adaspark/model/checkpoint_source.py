"""What a user calls a model, and where that is: a folder, or a repository of the Hugging Face hub.

Nothing is opened or fetched here but what tells a checkpoint from another kind of file.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError

BUNDLED = "mini"
BUNDLED_SPARSE = "mini-sparse"  # the same model after sparse tuning
BUNDLES = (BUNDLED, BUNDLED_SPARSE)
SPARSE_DELTA = "sparse.safetensors"  # what sparse tuning changed, in the bundle's folder

GGUF = (
    "is a GGUF file, which llama.cpp runs and transformers cannot: give the original checkpoint, "
    "such as Qwen/Qwen2.5-VL-3B-Instruct, or its folder."
)
_LONGEST_NAME = 255  # of one part of a path, in any file system
_HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+)/snapshots/")


@dataclass(frozen=True)
class Source:
    """A model's place. `folder` is None while a repository `repo` has not been fetched.

    `name` is what the user typed, for messages; `revision` is a branch, tag or commit.
    """

    name: str
    folder: Path | None
    repo: str | None = None
    revision: str | None = None

    @property
    def files(self) -> Path:
        """The folder, which must be known by now."""
        assert self.folder is not None
        return self.folder

    def remedy(self, file: str = "") -> str:
        """What to do where `file` (the whole checkpoint if empty) is missing or damaged."""
        if self.repo is not None:
            revision = f" --revision {shlex.quote(self.revision)}" if self.revision else ""
            what = f"{self.repo} {file}".strip()
            return f"fetch it again: hf download {what}{revision} --force-download"
        if self.name in BUNDLES:
            return "restore assets/mini: git checkout -- assets/mini"
        known = _CACHED.search(self.files.absolute().as_posix())
        what = f"{'/'.join(known.groups()) if known else 'ORG/NAME'} {file}".strip()
        place = "" if known else f" --local-dir {shlex.quote(str(self.folder))}"
        flags = f"{place} --force-download"
        return f"copy it again from where it came from, or from the hub: hf download {what}{flags}"


def locate(name: str) -> Source:
    """Read a name: a bundled model, a folder (`~` too), ORG/NAME, ORG/NAME@REVISION or a hub URL.

    Raises UserError where it is none of these, or names a file of another kind.
    """
    text = name.strip()
    if not text:
        raise UserError(f"The model's name is blank: give {BUNDLED}, a folder, or a hub name.")
    if text in BUNDLES:
        return _bundle(text)
    if "://" in text or text.split("/")[0] in _HUB_HOSTS:
        return _from_address(text)
    if max(len(part) for part in Path(text).parts) > _LONGEST_NAME:
        raise UserError(f"Unknown model {text[:40]!r}...: its name is too long for any folder.")
    place = _expanded(text)
    if place.exists():
        return Source(text, _checked_folder(text, place))
    repo, _, revision = text.partition("@")
    if not _REPOSITORY.fullmatch(repo) or text.startswith((".", "~")) or text.endswith("@"):
        raise UserError(
            f"Unknown model {text!r}: give {BUNDLED}, an existing folder, or a hub name such as "
            f"Qwen/Qwen2.5-VL-3B-Instruct."
        )
    return Source(text, None, repo, revision or None)


def _bundle(name: str) -> Source:
    if not (BUNDLED_MODEL / "config.json").is_file():
        raise UserError(
            f"The bundled model is not in {BUNDLED_MODEL}: install the package again, or give "
            f"--model a folder or a hub name."
        )
    if name == BUNDLED_SPARSE and not (BUNDLED_MODEL / SPARSE_DELTA).is_file():
        raise UserError(
            f"The sparse-tuned weights are not in assets/mini/{SPARSE_DELTA}: make them with "
            f"`adaspark train --sparse --out FOLDER` and copy delta.safetensors there, or use "
            f"{BUNDLED}."
        )
    return Source(name, BUNDLED_MODEL)


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # there is no such user
        raise UserError(f"Unknown model {text!r}: there is no such home folder.") from error


def _from_address(text: str) -> Source:
    """`https://huggingface.co/ORG/NAME`, with `/tree/REVISION` or a file's address after it."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    steps = [unquote(step) for step in parts.path.split("/") if step]
    is_hub = parts.scheme in ("http", "https") and parts.hostname in _HUB_HOSTS
    if not is_hub or len(steps) < 2 or steps[0] in ("datasets", "spaces", "collections"):
        raise UserError(
            f"{text} is not the address of a model on the hub: give one such as "
            f"https://huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct, or a folder."
        )
    repo, _, revision = "/".join(steps[:2]).partition("@")
    if not _REPOSITORY.fullmatch(repo):
        raise UserError(f"{text} is not the address of a model on the hub: check it.")
    if len(steps) > 3 and steps[2] in ("tree", "blob", "resolve", "commit"):
        # A pull request's name has slashes of its own: refs/pr/1.
        revision = "/".join(steps[3:6]) if steps[3] == "refs" else steps[3]
    return Source(text, None, repo, revision or None)


def _checked_folder(name: str, place: Path) -> Path:
    if place.is_file():
        raise UserError(f"{name} {_what_file(place)}")
    if (place / "config.json").is_file() or (place / "adapter_config.json").is_file():
        return place
    raise UserError(f"{name} {without_config([path.name for path in place.iterdir()])}")


def without_config(files: list[str]) -> str:
    """What a folder or repository of these files is, which has no config.json; and what to do."""
    if any(file.lower().endswith(".gguf") for file in files):
        return GGUF.replace("is a GGUF file", "holds GGUF files")
    if not files:
        return "is an empty folder: give one that holds a checkpoint."
    return "holds no config.json: give a folder as save_pretrained or the hub has it."


def _what_file(place: Path) -> str:
    try:
        with place.open("rb") as file:
            is_gguf = file.read(4) == b"GGUF"
    except OSError:
        is_gguf = False
    if is_gguf or place.suffix.lower() == ".gguf":
        return GGUF
    return "is one file: give the folder that holds config.json, the weights and the tokenizer."
