"""The same work on a Ray cluster: a model for each GPU, or for every few CPUs, as an actor.

Ray Data hands out the units, holds back when workers fall behind, and starts lost workers anew;
what a lost worker or node had is handed out again. Workers write to the run's folder, which all
nodes must see; what comes back is a count. Work that is done twice writes the same files, so every
pair is one row.
"""

from __future__ import annotations

import errno
import logging
import os
import pickle
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from adaspark.errors import UserError
from adaspark.inspect.plan import Plan, Unit
from adaspark.inspect.rows import failed_row
from adaspark.inspect.store import Store
from adaspark.inspect.worker import Worker

NOT_INSTALLED = "Ray is not installed: pip install 'adaspark-studio[ray]', here and on every node."
PASSES = 4
"""How often what is left is handed out: what a lost worker or node had is left. A unit that always
takes its worker along is not asked for ever, but becomes rows that say so."""
_OWN_ERROR = re.compile(r"UserError: (.*)")


@dataclass(frozen=True)
class Cluster:
    """`address` is Ray's (`auto`: the one of this machine). `workers` is the most models at once,
    None as many as there is room for; `cpus` belong to each where there is no GPU.
    """

    address: str
    workers: int | None = None
    cpus: float = 2

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers must be at least 1, got {self.workers}.")
        if not self.cpus > 0:
            raise UserError(f"--cpus must be above 0, got {self.cpus:g}.")
        if find_spec("ray") is None:  # said before anything begins
            raise UserError(NOT_INSTALLED)

    def work(self, plan: Plan, units: Sequence[Unit], on_rows: Callable[[int], Any]) -> None:
        """Have every unit answered; `on_rows` is told how many rows came with each.

        Raises UserError if the cluster cannot be reached or has no room for a model.
        """
        ray, left = _connected(self.address), list(units)
        try:
            for _ in range(PASSES):
                self._pass(ray, plan, left, on_rows)
                left = [unit for unit in left if Store(plan.out).rows(unit.key(plan)) is None]
                if not left:
                    break
        except ray.exceptions.RayError as error:
            raise UserError(_sentence(error)) from error
        finally:
            ray.shutdown()
        _count_out(plan, left)

    def _pass(
        self, ray: Any, plan: Plan, units: Sequence[Unit], on_rows: Callable[[int], Any]
    ) -> None:
        """Hand out every unit once; those whose worker is lost may come back without a part."""
        needs: dict[str, Any] = {"num_gpus": 1} if _gpus(ray) else {"num_cpus": self.cpus}
        most = min(self.workers or self._room(ray), len(units))
        items = [{"unit": pickle.dumps(unit)} for unit in units]
        work = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            fn_constructor_args=(plan,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=1, max_size=most, max_tasks_in_flight_per_actor=2
            ),
            ray_remote_args_fn=lambda: {"max_task_retries": 1},
            **needs,
        )
        for batch in work.iter_batches(batch_size=None):
            if said := [error for error in batch["disk_error"] if error]:
                raise OSError(errno.EIO, str(said[0]), plan.out)
            on_rows(int(batch["rows"].sum()))

    def _room(self, ray: Any) -> int:
        resources = ray.cluster_resources()
        room = int(_gpus(ray) or resources.get("CPU", 0) // self.cpus)
        if room < 1:
            raise UserError(
                f"The Ray cluster has {resources.get('CPU', 0):g} CPUs and no GPU, and a model "
                f"takes {self.cpus:g}: give fewer with --cpus, or add nodes."
            )
        return room


class _Actor:
    """A worker as Ray Data calls it: a batch of one unit in, its number of rows out."""

    def __init__(self, plan: Plan) -> None:
        self._settings = len(plan.settings)
        self._worker = Worker(plan)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        unit = pickle.loads(batch["unit"][0])
        try:
            self._worker.work(unit)
        except OSError as error:  # nothing that another worker would do better
            return {"rows": [0], "disk_error": [error.strerror or str(error)]}
        return {"rows": [len(unit.pairs) * self._settings], "disk_error": [""]}


def _count_out(plan: Plan, lost: Sequence[Unit]) -> None:
    """Give every unit that no worker could finish a part that says so."""
    store, said = Store(plan.out), f"Its worker was lost {PASSES} times or more: ask it alone."
    for unit in lost:
        names = [setting.name for setting in plan.settings]
        rows = [failed_row(said, pair, name) for pair in unit.pairs for name in names]
        store.write_part(unit.key(plan), rows, [])


def _connected(address: str) -> Any:
    try:
        import ray
        import ray.data
    except ImportError:  # of what ray.data needs
        raise UserError(NOT_INSTALLED) from None
    # Its core warns of how Ray Data makes actors, on the bar's line; what fails, we say.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"There is no Ray cluster at {address} ({_first_line(error)}): start one with "
            f"`ray start --head`, or give its address."
        ) from error
    # Of an argument that limits how often a unit is tried again; pyproject.toml bounds Ray by it.
    warnings.filterwarnings("ignore", message="`ray_remote_args_fn` is deprecated")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours says what is left
    context.print_on_execution_start = False
    context.max_errored_blocks = -1
    for name in ("ray.data", "ray._private"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _gpus(ray: Any) -> int:
    return int(ray.cluster_resources().get("GPU", 0))


def _sentence(error: Exception) -> str:
    """What a worker had to say to the user, if that is why it did not start."""
    own = _OWN_ERROR.search(str(error))
    return own[1] if own else f"The Ray cluster gave up: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
