"""The parent's constructor, over a small random model."""

from __future__ import annotations

from typing import Any

from models import tiny_model

from lmms_eval.api.model import lmms


class Qwen2_5_VL(lmms):
    def __init__(
        self,
        pretrained: str = "Qwen/Qwen2.5-VL-3B-Instruct",
        device: str | None = "cuda",
        device_map: str | None = "auto",
        batch_size: int | str | None = 1,
        use_cache: bool = True,
        attn_implementation: str | None = None,
        min_pixels: int = 256 * 28 * 28,
        max_pixels: int = 1605632,
        max_num_frames: int = 32,
        fps: float | None = None,
        system_prompt: str | None = "You are a helpful assistant.",
        interleave_visuals: bool | None = False,
        reasoning_prompt: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        assert kwargs == {}, f"Unexpected kwargs: {kwargs}"
        known = [None, "flash_attention_2", "sdpa", "eager"]
        if attn_implementation not in known:
            raise ValueError(f"attn_implementation must be one of {known}")
        self.loaded_with = attn_implementation
        self.fps, self.max_pixels = fps, max_pixels
        self._model = self.loaded()

    def loaded(self) -> Any:
        return tiny_model()

    @property
    def model(self) -> Any:
        return self._model
