"""Fetching a checkpoint from the Hugging Face hub: what is small first, the weights when asked.

What the cache holds whole is used as it is, without a word to the network; where something fails,
one sentence says what.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies

from adaspark.errors import UserError
from adaspark.model.checkpoint_files import weight_files
from adaspark.model.checkpoint_source import BUNDLED, Source, without_config

Found = TypeVar("Found")
_CONFIGS = ("config.json", "adapter_config.json")
_SMALL = ("*.json", "*.jinja", "*.txt", "*.model")
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
_CONNECT_SECS = 5.0
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def settled(source: Source, read: Callable[[Source], Found]) -> tuple[Source, Found]:
    """The source with a folder that holds everything but the weights, and what `read` makes of it.

    A snapshot of the cache that `read` takes is not looked up on the hub. Raises UserError.
    """
    if source.repo is None:
        return source, read(source)
    cached = _cached(source)
    if cached is not None:
        try:
            return cached, read(cached)
        except UserError as error:
            lacking = error
    try:
        found = replace(source, folder=_download(source, _SMALL))
    except UserError as error:
        raise (lacking if cached else error) from error
    if not any((found.files / name).is_file() for name in _CONFIGS):
        with _explained(source):
            from huggingface_hub import HfApi

            files = HfApi().list_repo_files(source.repo, revision=source.revision)
        raise UserError(f"{source.name} {without_config(files)}")
    return found, read(found)


def fetch_weights(source: Source) -> None:
    """Bring the weights into the source's folder; nothing to do where they are there."""
    if source.repo is None:
        return
    files = weight_files(source)
    if not files or not all((source.files / name).is_file() for name in files):
        _download(source, files or _WEIGHTS)


def fetch(source: Source, patterns: Sequence[str]) -> None:
    """Bring files of a repository into the source's folder, unless it has one of them."""
    if source.repo is not None and not any((source.files / p).is_file() for p in patterns):
        _download(source, patterns)


def _cached(source: Source) -> Source | None:
    """The source with the cache's snapshot of its revision."""
    from huggingface_hub import try_to_load_from_cache

    assert source.repo is not None
    for name in _CONFIGS:
        path = try_to_load_from_cache(source.repo, name, revision=source.revision)
        if isinstance(path, str):
            return replace(source, folder=Path(path).parent)
    return None


def _download(source: Source, patterns: Sequence[str]) -> Path:
    """Fetch files of the source's revision; once it has a folder, of that very commit."""
    from huggingface_hub import snapshot_download

    assert source.repo is not None
    _check_reachable(source)
    revision = source.revision if source.folder is None else source.folder.name
    with _explained(source):
        folder = snapshot_download(source.repo, revision=revision, allow_patterns=list(patterns))
    return Path(folder)


def _check_reachable(source: Source) -> None:
    """Fail at once where the hub cannot be reached: its client would retry for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise UserError(
            f"{source.name} is not in the cache and HF_HUB_OFFLINE forbids fetching it: unset "
            f"that, or give {BUNDLED} or a folder."
        )
    if getproxies():  # then the host need not be reachable itself
        return
    host = urlsplit(constants.ENDPOINT)
    port = host.port or (443 if host.scheme == "https" else 80)
    try:
        socket.create_connection((host.hostname, port), timeout=_CONNECT_SECS).close()
    except OSError as error:
        raise UserError(_unreachable(source)) from error


@contextmanager
def _explained(source: Source) -> Iterator[None]:
    """One sentence for what the hub's client says in many.

    It lets through whatever its HTTP library raises, so every exception is met here.
    """
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"{source.repo} is gated: accept its terms on https://huggingface.co/{source.repo}, "
            f"then log in with `hf auth login`."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise UserError(
            f"{source.repo} has no revision {source.revision!r}: see "
            f"https://huggingface.co/{source.repo}/tree/main for its branches and tags."
        ) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"The hub has no open model {source.repo!r}: check the name, or log in with "
            f"`hf auth login` if it is private."
        ) from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise UserError(
                f"{source.name} cannot be stored ({error.strerror}): free the space or name "
                f"another cache in HF_HOME."
            ) from error
        raise UserError(_unreachable(source)) from error


def _unreachable(source: Source) -> str:
    return (
        f"{source.name} cannot be fetched from the Hugging Face hub: check the network and try "
        f"again (what has arrived is kept), or use the bundled model ({BUNDLED}) or a local folder."
    )
