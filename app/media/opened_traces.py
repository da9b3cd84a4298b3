"""Traces from outside: a file that somebody dropped on the page, checked before it is believed."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import fields
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from adaspark.errors import UserError
from adaspark.trace.trace import Trace

MAX_FILE_BYTES = 256 * 10**6
MAX_ARRAYS_BYTES = 2**30
MAX_HEADER_BYTES = 16 * 2**20
_BAD_ZIP = (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def open_trace(path: Path, name: str) -> Trace:
    """The trace in a file that nobody vouches for. Raises UserError, one sentence, if it is none.

    Nothing in it is executed (no pickles). Arrays are as large as the file says and within a limit,
    their types, axes and indices agree with each other.
    """
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UserError(f"{name} has more than {MAX_FILE_BYTES // 10**6} MB; record a shorter run.")
    try:
        _check_sizes(path)
    except _BAD_ZIP as error:
        raise UserError(f"{name} is not a trace of AdaSpark: it is no NPZ file.") from error
    try:
        trace = Trace.load(path)
        _check_axes(trace)
        _check_indices(trace)
    except UserError as error:
        raise UserError(str(error).replace(str(path), name)) from error
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise UserError(f"{name} is not a trace of AdaSpark: {error}.") from error
    return trace


def _check_sizes(path: Path) -> None:
    """What each member claims to be has to fit what the archive holds, before it is allocated."""
    total = 0
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            with file.open(info) as member:
                total += _claimed_bytes(member, info)
    if total > MAX_ARRAYS_BYTES:
        raise UserError("The trace would take more than 1 GiB; record a shorter run.")


def _claimed_bytes(member: Any, info: zipfile.ZipInfo) -> int:
    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(member)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    size = prod(shape) * dtype.itemsize
    most = MAX_HEADER_BYTES if info.filename == "meta.npy" else MAX_ARRAYS_BYTES
    if any(side < 0 for side in shape) or size > min(info.file_size, most):
        raise ValueError("an array is larger than the file")
    return size


def _check_axes(trace: Trace) -> None:
    """Every array has its type, and axes of one name have one length."""
    lengths: dict[str, int] = {"W": len(trace.meta.words)}
    for field in fields(trace):
        if field.name == "meta":
            continue
        array, about = getattr(trace, field.name), field.metadata
        axes = about["shape"].split()
        if str(array.dtype) != about["dtype"] or array.ndim != len(axes):
            raise ValueError(f"{field.name} is {array.dtype} {array.shape}")
        if about["is_optional"] and not array.size:
            continue
        _agree(field.name, axes, array.shape, lengths)
    _check_packed(trace)


def _agree(name: str, axes: list[str], shape: tuple[int, ...], lengths: dict[str, int]) -> None:
    for axis, length in zip(axes, shape, strict=True):
        if axis in _OWN_AXES:
            continue
        expected = _FIXED.get(axis) or lengths.setdefault(axis, length)
        if length != expected:
            raise ValueError(f"{name} has {length} along {axis}, {expected} were expected")


_OWN_AXES = {"B", "X"}
_FIXED: Mapping[str, int] = {"7": 7}


def _check_packed(trace: Trace) -> None:
    """Bits are as many as what they are of: a word's are of the cubes that are listed."""
    listed, tokens = trace.word_probs.shape[-1], len(trace.cube_from_token)
    if not trace.word_cubes.size and trace.word_probs.size and listed != len(trace.bounds):
        raise ValueError("words list some cubes, and not which")
    for array, count in ((trace.word_kept, listed), (trace.ffn_kept, tokens)):
        if array.size and array.shape[-1] != -(-count // 8):
            raise ValueError("packed bits are too few")


def _check_indices(trace: Trace) -> None:
    """Indices point at what is there, times and grids fit the tokens."""
    cubes = len(trace.bounds)
    for name in ("cube_from_token", "query_cubes"):
        found = getattr(trace, name)
        if found.size and (found.min() < 0 or found.max() >= cubes):
            raise ValueError(f"{name} points past the cubes")
    grids = [tuple(grid) for grid in trace.meta.grids]
    if any(min(grid) < 1 for grid in grids) or sum(map(prod, grids)) != len(trace.cube_from_token):
        raise ValueError("the grids do not hold the tokens")
    if len(trace.frame_times) != sum(grid[0] for grid in grids):
        raise ValueError("there are not as many times as slices")
    if trace.word_cubes.size and not -1 <= trace.word_cubes.min() <= trace.word_cubes.max() < cubes:
        raise ValueError("word_cubes points past the cubes")
    if cubes:
        _check_bounds(trace.bounds, grids)


def _check_bounds(bounds: np.ndarray[Any, Any], grids: list[tuple[int, ...]]) -> None:
    videos = bounds[:, 0]
    if not grids or videos.min() < 0 or videos.max() >= len(grids):
        raise ValueError("a cube lies in no video")
    ends = np.array(grids)[videos]
    first, last = bounds[:, 1::2], bounds[:, 2::2]
    if (first < 0).any() or (first >= last).any() or (last > ends).any():
        raise ValueError("a cube lies outside of its video")
