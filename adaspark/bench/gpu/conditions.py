"""What `adaspark bench gpu` times: dense attention, choosing, planted attention, FFN.

Times are seconds. Axes: H heads, G KV heads, N tokens, D head dimension.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import linear, scaled_dot_product_attention, silu

from adaspark.bench.gpu.planted_selections import TEXT, Planted, chosen, video_sequence
from adaspark.kernels import flash
from adaspark.kernels.gpu import dispatch as gpu_dispatch
from adaspark.kernels.gpu import ffn as gpu_ffn
from adaspark.kernels.gpu import rows as gpu_rows
from adaspark.kernels.gpu import tables as gpu_tables
from adaspark.kernels.gpu.thresholds import MEASURED, Thresholds
from adaspark.method.config import AdaSparkConfig
from adaspark.method.ffn import norms_of
from adaspark.method.token_positions import TokenPositions

HEADS, GROUPS, WIDTH, DTYPE = 28, 4, 128, torch.bfloat16
HIDDEN, INNER = 3584, 18944
SCALE = WIDTH**-0.5
FFN_SHARE = 0.5
CONFIG = AdaSparkConfig(attn_top_p=0.9, ffn_top_p=FFN_SHARE)
"""What choosing and the FFN are timed with."""
TOP_K = AdaSparkConfig(ffn_rule="top_k", ffn_keep=FFN_SHARE)
GATHER_TOKENS = 32768
"""Beyond it, gathering every pair would take longer than it teaches."""
UNION = Thresholds(gather_rows=2**62, hopper_waves=inf)
"""All entries by tiles of the general kernel."""
GATHER = Thresholds(gather_slots=0, min_gain=-inf, pair_keys=0, hopper_waves=inf)
"""All entries that may be gathered are."""
Selections = Sequence[tuple[gpu_rows.Rows, Tensor]]
BACKENDS = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of `work` on the device, after one run that compiles and warms.

    0 repeats time that first run itself.
    """
    if repeats:
        work()
    events = []
    for _ in range(max(repeats, 1)):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        work()
        end.record()
        events.append((begin, end))
    torch.cuda.synchronize()
    return float(statistics.median(begin.elapsed_time(end) for begin, end in events)) / 1e3


@dataclass(frozen=True, eq=False)
class Arena:
    """Random queries [H, N, D], keys and values [G, N, D] of one length."""

    tokens: int
    queries: Tensor
    keys: Tensor
    values: Tensor

    @classmethod
    def of(cls, tokens: int, device: torch.device, *, text: int = 2 * TEXT) -> Arena:
        """`tokens` of video, and as many of text around it."""
        generator = torch.Generator(device).manual_seed(0)
        length = tokens + text

        def draw(heads: int) -> Tensor:
            shape = (heads, length, WIDTH)
            return torch.randn(shape, device=device, dtype=DTYPE, generator=generator)

        return cls(tokens, draw(HEADS), draw(GROUPS), draw(GROUPS))

    @property
    def qkv(self) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values."""
        return self.queries, self.keys, self.values

    def dense(self, repeats: int) -> dict[str, float]:
        """Causal attention by each of PyTorch's backends that runs here, and by flash-attn."""
        found = {}
        for name, backend in BACKENDS.items():
            try:
                with sdpa_kernel(backend):
                    found[name] = seconds(self._dense, repeats)
            except RuntimeError as error:
                print(f"{name} does not run: {str(error).splitlines()[0]}")
        if (installed := flash.load()) is not None:
            tensors = [t.transpose(0, 1)[None] for t in self.qkv]
            found["flash-attn"] = seconds(lambda: installed.func(*tensors, causal=True), repeats)
        if not found:
            raise RuntimeError("No dense backend runs: there is nothing to compare with.")
        print("dense", "  ".join(f"{name} {time * 1e3:.2f} ms" for name, time in found.items()))
        return found

    def _dense(self) -> Tensor:
        queries, keys, values = (t[None] for t in self.qkv)
        return scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)

    def choosing(self, cube: int, repeats: int) -> float:
        """Means, scores, nucleus: everything up to the selected-block mask."""
        given = self.queries, self.keys, video_sequence(self.tokens, cube, self.queries.device)

        def work() -> None:
            for _ in chosen(*given, CONFIG, heads=HEADS, scale=SCALE):
                pass

        return seconds(work, repeats)

    def planted(self, cube: int, density: float, inflation: float, repeats: int) -> dict[str, Any]:
        """`attending` on planted selections."""
        sequence = video_sequence(self.tokens, cube, self.queries.device)
        drawn = Planted.draw(
            sequence, HEADS, density, inflation, max_bytes=MEASURED.selection_bytes
        )
        return {
            "tokens": self.tokens,
            "cube": cube,
            **self.attending(sequence, drawn.chunks, drawn.pairs, repeats),
        }

    def attending(
        self, sequence: TokenPositions, selections: Selections, pairs: int, repeats: int
    ) -> dict[str, Any]:
        """Plan for `selections` of `pairs` (query, key) pairs and attend; by each path alone."""
        output = torch.empty_like(self.queries)
        blocks = gpu_tables.KeyBlocks.of(sequence)
        works: list[gpu_dispatch.Work] = []
        copied = gpu_tables.Source.of(self.keys, self.values, blocks, copied=True)

        def planning() -> None:
            for rows, selected in selections:
                hopper = gpu_dispatch.on_hopper(self.queries, copied, blocks, rows)
                gpu_dispatch.planned(hopper, self.queries, blocks, rows, selected)

        def attend(thresholds: Thresholds = MEASURED) -> None:
            works.clear()
            source = gpu_tables.Source.of(self.keys, self.values, blocks, copied=True)
            for rows, selected in selections:
                given = (self.queries, source, output, blocks, rows, selected, SCALE)
                works.append(gpu_dispatch.attend(*given, thresholds))

        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        attend()
        workspace = torch.cuda.max_memory_allocated() - before
        planned, whole = seconds(planning, repeats), seconds(attend, repeats)
        row = {
            "density": pairs / (HEADS * sequence.length * (sequence.length + 1) / 2),
            "inflation": _inflation(works),
            "gathered": _gathered(works),
            "plan": planned,
            "attend": whole - planned,
            "workspace": workspace + selections[-1][1].nbytes,
        }
        row["union"] = seconds(partial(attend, UNION), repeats) - planned
        if self.tokens <= GATHER_TOKENS:
            row["gather"] = seconds(partial(attend, GATHER), repeats) - planned
        return row


def _inflation(works: list[gpu_dispatch.Work]) -> float:
    """(row, cube) pairs of whole unions over those that were selected."""
    selected = sum(int(work.plan.attending_rows.sum()) for work in works)
    return sum(int((work.plan.attending_rows > 0).sum()) * work.plan.size for work in works) / max(
        selected, 1
    )


def _gathered(works: list[gpu_dispatch.Work]) -> float:
    """The share of the selected pairs that was gathered."""
    selected = sum(int(work.plan.attending_rows.sum()) for work in works)
    return sum(int(pairs.sum()) for work in works for _, pairs in work.gathered) / max(selected, 1)


def ffn(tokens: int, repeats: int, device: torch.device) -> dict[str, Any]:
    """The 7B model's FFN: of every token, and of a share of the video's by both kinds of rule."""
    sequence = video_sequence(tokens, 64, device)
    generator = torch.Generator(device).manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, dtype=DTYPE, generator=generator) * 0.02

    gate, up, down = draw(INNER, HIDDEN), draw(INNER, HIDDEN), draw(HIDDEN, INNER)
    hidden = draw(sequence.length, HIDDEN)
    norms = norms_of(hidden)

    def branch(rows: Tensor) -> Tensor:
        return linear(silu(linear(rows, gate)) * linear(rows, up), down)

    def by(config: AdaSparkConfig) -> Callable[[], object]:
        rule = config.ffn_in(0)
        return lambda: gpu_ffn.sparse_ffn(hidden, norms, sequence, branch, rule=rule)

    return {
        "ffn tokens": tokens,
        "dense ms": seconds(lambda: branch(hidden), repeats) * 1e3,
        "top_k ms": seconds(by(TOP_K), repeats) * 1e3,
        "top_p ms": seconds(by(CONFIG), repeats) * 1e3,
    }
