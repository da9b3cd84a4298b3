"""What a wheel carries beside the packages: the model, the clips and their recorded runs.

Setuptools reads this when it builds; nothing imports it. In the tree these files are in `assets/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from setuptools.command.build_py import build_py  # type: ignore[import-untyped, unused-ignore]

CARRIED = ("mini", "samples", "traces")


class BuildPy(build_py):  # type: ignore[misc, unused-ignore]
    """Copies `assets/NAME` to `adaspark/bundled/NAME`; an editable install reads them in place."""

    def run(self) -> None:
        """Build the packages, then add what they carry. Raises OSError."""
        super().run()
        if self.editable_mode:
            return
        for source in _carried():
            target = Path(self.build_lib, "adaspark", "bundled", *source.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(str(source), str(target))

    def get_source_files(self) -> list[str]:
        """All that an sdist needs to build the same wheel."""
        return [*super().get_source_files(), *map(str, _carried())]


def _carried() -> Iterator[Path]:
    """Paths from the top of the tree, `assets/NAME/FILE`."""
    for name in CARRIED:
        yield from sorted(path for path in Path("assets", name).iterdir() if path.is_file())
