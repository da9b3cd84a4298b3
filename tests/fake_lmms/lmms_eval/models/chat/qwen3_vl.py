"""As the other chat model, over a small random Qwen3_VL."""

from __future__ import annotations

from typing import Any

from family_models import family_model

from lmms_eval.models.chat.qwen2_5_vl import Qwen2_5_VL


class Qwen3_VL(Qwen2_5_VL):
    def loaded(self) -> Any:
        return family_model("qwen3_vl")
