"""A run from end to end: what is left to do is done, then the tables and the page are written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from adaspark.errors import UserError
from adaspark.files import write_whole
from adaspark.inspect.inputs import Pair
from adaspark.inspect.plan import Plan, Unit, units_of
from adaspark.inspect.store import Store
from viz.report.index import index_page

if TYPE_CHECKING:
    from adaspark.inspect.on_ray import Cluster


def run(plan: Plan, pairs: Sequence[Pair], *, reports: int, cluster: Cluster | None = None) -> None:
    """Ask what has not been asked, here or on a cluster, and write `rows.parquet`,
    `layers.parquet` and `index.html`. Raises UserError if the folder cannot be written to.
    """
    units = list(units_of(pairs, reports=reports))
    with _disk_errors(plan.out):
        store = Store(plan.out)
        keys = [unit.key(plan) for unit in units]
        left = [unit for unit, key in zip(units, keys, strict=True) if not store.is_done(key)]
        asked = sum(len(unit.pairs) for unit in left) * len(plan.settings)
        whole = len(pairs) * len(plan.settings)
        with tqdm(total=whole, initial=whole - asked, unit="answer", file=sys.stderr) as bar:
            try:
                if left:
                    _work(plan, left, bar, cluster)
            except KeyboardInterrupt:
                bar.close()
                print("adaspark: Stopped. The same command carries on from here.", file=sys.stderr)
                raise
        rows, layers = store.merge(keys)
        page = index_page(rows.to_pylist(), layers.to_pylist())
        write_whole(store.out / "index.html", lambda draft: draft.write_text(page, "utf-8"))
    _say(rows.to_pylist(), Path(plan.out))


def _work(plan: Plan, units: Sequence[Unit], bar: tqdm, cluster: Cluster | None) -> None:
    """Answer every unit; before the bar stands what it waits for."""
    if cluster is not None:
        bar.set_description_str("on the cluster")
        cluster.work(plan, units, bar.update)
        return
    from adaspark.inspect.worker import Worker

    bar.set_description_str("loading the model")
    worker = Worker(plan)
    for unit in units:
        bar.set_description_str(Path(unit.video).name)
        worker.work(unit, bar.update)


def _say(rows: Iterable[dict[str, Any]], out: Path) -> None:
    failed = {row["video"]: row["error"] for row in rows if row["error"] is not None}
    for error in failed.values():
        print(f"adaspark: {error}", file=sys.stderr)
    if failed:
        videos = "1 video" if len(failed) == 1 else f"{len(failed):,} videos"
        print(f"adaspark: {videos} had errors: they are rows of the tables.", file=sys.stderr)
    print(f"See {out / 'index.html'}")


@contextmanager
def _disk_errors(out: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or out
        raise UserError(
            f"{place} cannot be written ({error.strerror}): make room or choose another --out; the "
            f"same command carries on from here."
        ) from error
