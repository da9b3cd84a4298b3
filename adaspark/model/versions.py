"""The versions of transformers that the patch was tested with, and a word where it is a newer one.

A range in the requirements would take a newer transformers away from whoever has it: what is
unknown is said instead, and the laws' tests run with the oldest and the newest.
"""

from __future__ import annotations

import warnings
from functools import cache

OLDEST, NEWEST = (5, 17), (5, 24)


def named(version: tuple[int, int]) -> str:
    """`5.24`."""
    return ".".join(map(str, version))


@cache
def check_transformers(version: str) -> None:
    """Warn, once for each version, where it is newer than what was tested."""
    known = tuple(int(part) for part in version.split(".")[:2])
    if known > NEWEST:
        warnings.warn(
            f"transformers {version} is newer than what AdaSpark was tested with "
            f"({named(OLDEST)} to {named(NEWEST)}): if something fails, try that.",
            stacklevel=3,
        )
