"""Compile every GPU kernel for a CUDA device that need not be here, and say what each one takes.

`python tests/compiled.py 90` runs the host code of the kernels on CPU tensors: launches compile for
that compute capability and stop there; `--usual` compiles what bf16 models of the usual size take,
`--hopper` the kernel of Hopper alone. Prints a JSON line a kernel. Not under Triton's interpreter.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from geometry import ODD, Scene, tensors
from triton.backends.compiler import GPUTarget
from triton.compiler import CompiledKernel
from triton.runtime import driver

from adaspark.bench.gpu.planted_selections import video_sequence
from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu import (
    block_selection,
    cube_means,
    decode_step,
    gather_kernel,
    tile_kernel,
)
from adaspark.kernels.gpu import ffn as gpu_ffn
from adaspark.kernels.gpu import plan as gpu_plan
from adaspark.kernels.gpu import rows as gpu_rows
from adaspark.kernels.gpu import tables as gpu_tables
from adaspark.method.rules import Rule, top_p
from adaspark.method.sequence import SequenceMap

RAGGED = Scene(((9, 10, 18),), (33, 45), (4, 8, 8))


class Absent:
    """Stands for the driver of a device that is not here."""

    def __init__(self, capability: int) -> None:
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def collect() -> list[CompiledKernel]:
    """Launches reach no device; the kernels they compiled are collected."""
    compiled: list[CompiledKernel] = []

    def run(self: CompiledKernel) -> Any:
        compiled.append(self)
        return lambda *_: None

    CompiledKernel.run = property(run)
    CompiledKernel.launch_metadata = lambda *_: None
    return compiled


def attend(sequence: SequenceMap, dtype: torch.dtype, width: int, **named: Any) -> None:
    """Prefill, its last token alone, decoding, and what is gathered, whatever is selected."""
    queries, keys, values = tensors(sequence, heads=7, groups=1, width=width, dtype=dtype)
    scale = width**-0.5
    gpu_attention.sparse_attention(queries, keys, values, sequence, rule=top_p(0.5), scale=scale)
    gpu_attention.sparse_attention(
        queries[:, -1:], keys, values, sequence, rule=top_p(0.5), scale=scale
    )
    step = sequence.continued(sequence.length - 1, 1)
    gpu_attention.sparse_attention(
        queries[:, -1:], keys, values, step, rule=top_p(0.5), scale=scale
    )
    blocks = gpu_tables.KeyBlocks.of(sequence)
    source = gpu_tables.Source.of(keys, values, blocks, copied=True)
    (rows,) = gpu_attention.row_chunks(sequence, 0, 7, 1)
    selected = gpu_attention.choose_cubes(
        queries, gpu_attention.cube_means(keys, sequence), blocks, rows, top_p(0.5), scale
    ).zero_()
    shape = gpu_tables.shape_for(dtype, 2**20, width=width)
    work = gpu_plan.plan(selected, blocks, rows, size=shape.rows)
    tiles = slice(0, work.tiles)
    pairs = gather_kernel.gather(queries, source, blocks, rows, work, tiles, 1, scale=scale)
    output = torch.empty_like(queries)
    given = (queries, source, output, blocks, rows, work, tiles)
    tile_kernel.attend(*given, scale=scale, shape=shape, pairs=pairs)
    tile_kernel.attend(*given, scale=scale, shape=shape, pairs=pairs, splits=2)


def speak(sequence: SequenceMap, dtype: torch.dtype, width: int) -> None:
    """A word by the captured step: with and without norms of its own on a head, recorded."""
    heads, groups, room = 7, 1, 4
    _, keys, values = tensors(sequence, heads=heads, groups=groups, width=width, dtype=dtype)
    means = gpu_attention.cube_means(keys, sequence)
    layer = decode_step.LayerKeys(keys, values, means, 0.5, (), False)
    step = decode_step.StepCache(sequence, [layer], heads=heads, scale=0.1, room=room, records=True)
    hidden, weight = torch.ones(1, 1, 256, dtype=dtype), torch.ones(width, dtype=dtype)
    rotation = torch.ones(room, width, dtype=dtype), torch.ones(room, width, dtype=dtype)
    decode_step.normed(hidden, hidden, torch.ones(256, dtype=dtype), 1e-6)
    decode_step.gated(hidden, hidden)
    for rows in (heads * width, 1024, 8192):
        decode_step.product(hidden, torch.ones(rows, 256, dtype=dtype), None)
    given = [torch.ones(1, 1, n * width, dtype=dtype) for n in (heads, groups, groups)]
    for norms in (None, (weight, weight, 1e-6)):
        step.attend(0, step.store(0, *given, rotation, norms))


def usual() -> None:
    """bf16, heads of 128, cubes of several blocks; many cubes to choose from."""
    attend(video_sequence(4096, 256, torch.device("cpu")), torch.bfloat16, 128)
    speak(video_sequence(4096, 256, torch.device("cpu")), torch.bfloat16, 128)
    choose(2048)
    spread(torch.bfloat16)


def everything() -> None:
    """Every kernel: cubes of one block and of several, ragged or not, few cubes and many."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        attend(ODD["ragged"].build(), dtype, 64)
        attend(video_sequence(4096, 256, torch.device("cpu")), dtype, 128)
        speak(ODD["ragged"].build(), dtype, 64)
        spread(dtype)
    for cubes in (512, 1024, 4096, 2**15):
        choose(cubes)


def hopper() -> None:
    """Hopper's own kernel: both head dimensions and dtypes, cubes of one block and of several."""
    from adaspark.kernels.gpu import hopper as gpu_hopper

    plain, ragged = video_sequence(4096, 64, torch.device("cpu")), RAGGED.build()
    bf16, fp16 = torch.bfloat16, torch.float16
    for scene, dtype, width in (
        *((plain, bf16, 128), (ragged, bf16, 64)),
        *((plain, fp16, 64), (ragged, fp16, 128)),
    ):
        queries, keys, values = tensors(scene, heads=7, groups=1, width=width, dtype=dtype)
        blocks = gpu_tables.KeyBlocks.of(scene)
        source = gpu_tables.Source.of(keys, values, blocks, copied=True)
        (rows,) = gpu_attention.row_chunks(scene, 0, 7, 1)
        selected = torch.zeros(7, rows.words, rows.end_cube, dtype=torch.int32)
        work = gpu_plan.plan(selected, blocks, rows, size=gpu_hopper.ROWS)
        output = torch.empty_like(queries)
        gpu_hopper.attend(queries, source, output, blocks, rows, work, scale=0.1)


def choose(cubes: int) -> None:
    """The last rows of a video, which may choose from almost as many `cubes`."""
    sequence = video_sequence(cubes * 64, 64, torch.device("cpu"))
    segment = max(sequence.segments(), key=lambda segment: segment.end_cube)
    rows = gpu_rows.Rows.of([segment], int(segment.positions[0]))
    queries = torch.zeros(7, rows.count, 128, dtype=torch.bfloat16)
    terms = cube_means.mean_terms(torch.zeros(1, cubes, 128), queries.dtype)
    block_selection.choose(queries, terms, rows, p=0.9, scale=0.1)


def spread(dtype: torch.dtype) -> None:
    """The FFN's own kernel, with and without means."""
    scene = ODD["ragged"].build()
    hidden = torch.ones(scene.length, 3584, dtype=dtype)
    for skipped in ("mean", "bypass"):
        gpu_ffn.sparse_ffn(
            *(hidden, hidden.float().norm(dim=-1), scene, lambda rows: rows),
            rule=Rule("top_k", 0.5),
            skipped=skipped,
        )


def usage(kernel: CompiledKernel) -> dict[str, int]:
    """Registers of a thread and bytes that it spills, as the disassembler reads them."""
    found = re.search(r"REG:(\d+) STACK:(\d+)", disassembled(kernel, "--dump-resource-usage"))
    return {"registers": int(found[1]), "stack": int(found[2])} if found else {}


def disassembled(kernel: CompiledKernel, option: str) -> str:
    """What the disassembler tells of a kernel; nothing where it is not installed."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    if not tool.exists():
        return ""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(kernel.asm["cubin"])
        command = [tool, option, file.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def products(kernel: CompiledKernel) -> dict[str, int]:
    """Products of matrices in the code of Hopper, and how often it waits for some."""
    code = disassembled(kernel, "--dump-sass")
    return {"products": code.count("HGMMA."), "waits": code.count("WARPGROUP.DEPBAR")}


def main() -> None:
    compiled = collect()
    driver.set_active(Absent(int(sys.argv[1])))
    own = "--hopper" in sys.argv
    if own:
        hopper()
    else:
        usual() if "--usual" in sys.argv else everything()
    for kernel in {id(kernel): kernel for kernel in compiled}.values():
        if own and kernel.name != "_tile_kernel":
            continue
        line = {"kernel": kernel.name, "shared": kernel.metadata.shared, **usage(kernel)}
        line["warps"] = kernel.metadata.num_warps
        print(json.dumps(line | products(kernel) if own else line))


if __name__ == "__main__":
    main()
