"""What a camera and a video codec do to pictures, so that H.264 clips look familiar."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Half-resolution chroma, blur, exposure and noise, drawn a clip: float32 in 0 to 255.

    `pictures` is uint8 [B, F, 3, H, W]; `generator` lives on the same device.
    """
    batch, frames, _, height, width = pictures.shape
    strength = torch.rand(batch, 4, 1, 1, 1, generator=generator, device=pictures.device)
    flat = pictures.flatten(0, 1).float()
    luma = flat.mean(dim=1, keepdim=True)
    chroma = F.interpolate(F.avg_pool2d(flat - luma, 2), size=(height, width), mode="bilinear")
    coded = luma + chroma
    soft = F.avg_pool2d(F.pad(coded, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    blur = (strength[:, 0] * 1.6 - 0.8).clamp(min=0).repeat_interleave(frames, 0)
    coded = torch.lerp(coded, soft, blur)
    gain = (0.9 + 0.2 * strength[:, 1]).repeat_interleave(frames, 0)
    offset = (20 * strength[:, 2] - 10).repeat_interleave(frames, 0)
    level = (5 * strength[:, 3]).repeat_interleave(frames, 0)
    noise = torch.randn(
        coded[:, :1].shape, generator=generator, device=coded.device, dtype=coded.dtype
    )
    return (coded * gain + offset + level * noise).clamp_(0, 255).view(pictures.shape)
