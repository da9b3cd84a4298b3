"""HDR light (PQ and HLG, ITU-R BT.2100) as SDR colours on a BT.709 display.

Light is measured in units of reference white, 203 cd/m^2 (ITU-R BT.2408). Up to nearly that the
picture is kept exactly; what is brighter is bent under white without changing its hue.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from adaspark.video.colour import Primaries, Transfer

Floats = NDArray[np.float32]

CODE_BITS = 12
"""Depth of the pictures taken."""

_REFERENCE_WHITE_NITS = 203.0
_HLG_PEAK_NITS, _HLG_SYSTEM_GAMMA = 1000.0, 1.2
_DISPLAY_GAMMA = 2.4  # ITU-R BT.1886
_KNEE = 0.9
_STRIP_PIXELS = 1 << 15  # that what is computed stays in the processor's cache
_SHADES = 1 << 14  # entries of the table from the root of light to a level

# Linear light to that of BT.709's primaries; all three have the white D65 (ITU-R BT.2407).
_TO_BT709: dict[int, Floats] = {
    Primaries.BT2020: np.array(
        [
            [1.660491, -0.587641, -0.072850],
            [-0.124550, 1.132900, -0.008349],
            [-0.018151, -0.100579, 1.118730],
        ],
        np.float32,
    ),
    Primaries.DISPLAY_P3: np.array(
        [
            [1.224940, -0.224940, 0.0],
            [-0.042057, 1.042057, 0.0],
            [-0.019638, -0.078636, 1.098274],
        ],
        np.float32,
    ),
}


def sdr_from_hdr(coded: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """Turn R'G'B' planes [3, H, W] of `CODE_BITS`, full range, into RGB [H, W, 3].

    `transfer` is PQ or HLG; primaries other than BT.2020 and Display P3 count as BT.709's.
    """
    _, height, width = coded.shape
    shown = np.empty((height, width, 3), np.uint8)
    rows = max(_STRIP_PIXELS // width, 1)
    for top in range(0, height, rows):
        light = _light(coded[:, top : top + rows], transfer)
        if primaries in _TO_BT709:
            light = np.tensordot(_TO_BT709[primaries], light, axes=1)
        shade = np.sqrt(_below_white(np.maximum(light, 0))) * (_SHADES - 1) + 0.5
        shown[top : top + rows] = _levels()[shade.astype(np.uint16)].transpose(1, 2, 0)
    return shown


def _light(coded: NDArray[np.uint16], transfer: int) -> Floats:
    return (_pq_light() if transfer == Transfer.PQ else _hlg_light())[coded]


def _below_white(light: Floats) -> Floats:
    """Bend the brightest channel from the knee on, towards 1, and the others in proportion."""
    brightest = light.max(axis=0)
    over = np.maximum(brightest - _KNEE, 0)
    room = 1 - _KNEE
    bent = _KNEE + room * over / (over + room)
    return light * np.where(over > 0, bent / np.maximum(brightest, _KNEE), 1)


@cache
def _codes() -> NDArray[np.float64]:
    return np.linspace(0, 1, 1 << CODE_BITS)


@cache
def _pq_light() -> Floats:
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    root = _codes() ** (1 / m2)
    nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    return (nits / _REFERENCE_WHITE_NITS).astype(np.float32)


@cache
def _hlg_light() -> Floats:
    """The light of a 1000 cd/m^2 display. BT.2100 takes the system's gamma on luma; on each channel
    instead, as zscale does unless told otherwise, saturated colours come back as they went in.
    """
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    low, high = _codes() ** 2 / 3, (np.exp((_codes() - c) / a) + b) / 12
    scene = np.where(_codes() <= 0.5, low, high)
    return (_HLG_PEAK_NITS / _REFERENCE_WHITE_NITS * scene**_HLG_SYSTEM_GAMMA).astype(np.float32)


@cache
def _levels() -> NDArray[np.uint8]:
    light = np.linspace(0, 1, _SHADES) ** 2
    return np.rint(255 * light ** (1 / _DISPLAY_GAMMA)).astype(np.uint8)
