"""The app over an engine without a model: `python fake_app.py SAMPLES_FOLDER PORT`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from clips import write_clip
from fake_engine import FakeEngine

from app.server import Studio


def main(folder: Path, port: int) -> None:
    """Serve one sample clip until interrupted."""
    write_clip(folder / "01_numbers.mp4")
    items = [{"family": "none", "question": q, "answer": ""} for q in FakeEngine.questions]
    (folder / "01_numbers.json").write_text(json.dumps({"items": items}))
    with Studio(FakeEngine(step_secs=0.4), samples=folder) as studio:
        print(studio.start(host="127.0.0.1", port=port), flush=True)
        studio.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
