"""HDR light becomes SDR levels: exactly below reference white, in order and hue above it."""

from __future__ import annotations

import numpy as np
import pytest
from coloured import BOUND, hdr_of

from adaspark.video.hdr import CODE_BITS, sdr_from_hdr

NUMBER = {"pq": 16, "hlg": 18}


def returned(rgb: np.ndarray, transfer: str) -> np.ndarray:
    """SDR [N, 3] (1 is white) sent through HDR and back, as levels of 255."""
    top = (1 << CODE_BITS) - 1
    coded = np.rint(np.clip(hdr_of(rgb, transfer), 0, 1) * top).astype(np.uint16)
    return sdr_from_hdr(coded.T[:, None], NUMBER[transfer], 9)[0].astype(float)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_every_sdr_colour_returns(transfer: str) -> None:
    # Half a step of 12 bits is at most 0.1% of white's light in PQ, 0.23% when BT.2020's channels
    # are taken from each other: 5 levels where a channel has 30, more below. The knee takes white
    # itself to 250.
    rgb = np.random.default_rng(0).integers(30, 256, (20_000, 3))
    assert np.abs(returned(rgb / 255, transfer) - rgb).max() <= BOUND


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_brighter_light_is_never_shown_darker(transfer: str) -> None:
    peak = (1000 / 203) ** (1 / 2.4)  # what HLG can hold
    grey = np.linspace(0, peak, 500)[:, None].repeat(3, 1)
    shown = returned(grey, transfer)
    assert (np.diff(shown[:, 1]) >= 0).all()
    assert shown.max() == 255
    assert np.ptp(shown, axis=1).max() <= 1  # a rounding


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_light_above_white_keeps_its_hue(transfer: str) -> None:
    light = np.array([[4.0, 2.0, 1.0]])
    shown = (returned(light ** (1 / 2.4), transfer) / 255) ** 2.4
    # One level of 255 is at most 2.4 / 255 of the light, of each of the two that are compared.
    assert shown[0] / shown[0, 0] == pytest.approx([1, 0.5, 0.25], abs=2 * 2.4 / 255)


def test_strips_do_not_show() -> None:
    coded = np.random.default_rng(0).integers(0, 1 << CODE_BITS, (3, 300, 700), dtype=np.uint16)
    whole = sdr_from_hdr(coded, 16, 9)
    rows = [sdr_from_hdr(coded[:, n : n + 1], 16, 9)[0] for n in range(300)]
    assert np.array_equal(whole, np.stack(rows))
