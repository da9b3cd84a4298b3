"""What tells one video from another: its content."""

import hashlib
from pathlib import Path

from adaspark.video.images import Source, image_paths


def content_hash(source: Source) -> str:
    """Return the SHA-256, in hex, of a file's bytes, or of those of all images."""
    images = image_paths(source)
    if not images:
        assert isinstance(source, str | Path)
        return _hash(Path(source))
    each = "".join(_hash(path) for path in images)
    return hashlib.sha256(each.encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
