"""Answers as the chat model does, to prompts that the requests bring along."""

from __future__ import annotations

from typing import Any

import torch

from lmms_eval.models.simple.qwen2_5_vl import Qwen2_5_VL as Simple


class Qwen2_5_VL(Simple):
    is_simple = False

    @torch.no_grad()
    def generate_until(self, requests: list[Any]) -> list[list[int]]:
        answers = []
        for request in requests:
            ids = self.model.generate(**request.inputs, max_new_tokens=3, do_sample=False)
            answers.append(ids[0, request.inputs["input_ids"].shape[1] :].tolist())
        return answers
