"""Questions with answers as what the language model is trained on; the vision tower stays frozen,
so each video is encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from adaspark.errors import UserError
from adaspark.model.checkpoint import Checkpoint, load
from adaspark.model.features import Features, encode
from adaspark.model.mrope import TEXT, VIDEO
from adaspark.model.prompt import build_prompt
from adaspark.model.shown import chosen_sampling, estimate
from adaspark.video.probe import probe

FAMILY = "qwen2_5_vl"
IGNORED = -100
"""The label of tokens that no loss is taken of: all but the answer's and its end."""
Example = dict[str, Tensor]


class Asked(NamedTuple):
    """A question about a video (a path) and the answer that is to be learnt."""

    video: str
    question: str
    answer: str


class Known(NamedTuple):
    """What is asked, with its video's features (on the host) and the M-RoPE step of its slices."""

    asked: Asked
    features: Features
    step: float


class Examples(Dataset[Example]):
    """One prompt with its answer an item, as a sparse model's forward takes it, batch of one."""

    def __init__(self, checkpoint: Checkpoint, found: Sequence[Known]):
        self._checkpoint = checkpoint
        self._found = found

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: int) -> Example:
        asked, features, step = self._found[index]
        checkpoint, tokenizer = self._checkpoint, self._checkpoint.tokenizer
        prompt = build_prompt(tokenizer, asked.question, features.grid, position_step=step)
        answer = tokenizer.encode(asked.answer, add_special_tokens=False, split_special_tokens=True)
        written = torch.tensor([[*answer, tokenizer.convert_tokens_to_ids("<|im_end|>")]])
        ids = torch.cat([prompt.input_ids, written], -1)
        embedding = checkpoint.model.get_input_embeddings()
        with torch.no_grad():
            # Detached: with gradient checkpointing what the table gives asks for a gradient.
            embeds = embedding(ids.to(checkpoint.device)).detach()
        types = torch.cat([prompt.token_types, torch.full_like(written, TEXT)], -1)
        embeds[types == VIDEO] = features.embeddings.to(embeds)
        places = prompt.next_position + torch.arange(written.shape[-1])
        slices, rows, columns = features.grid
        merge = checkpoint.sampling.merge
        return {
            "inputs_embeds": embeds,
            "position_ids": torch.cat([prompt.position_ids, places.expand(3, 1, -1)], -1),
            "mm_token_type_ids": types,
            "video_grid_thw": torch.tensor([[slices, rows * merge, columns * merge]]),
            "labels": torch.cat([torch.full_like(prompt.input_ids, IGNORED), written], -1),
        }


def one(batch: Sequence[Example]) -> Example:
    """The collator: prompts differ in length and grid, so each is a batch of its own."""
    (example,) = batch
    return example


class Teacher:
    """A loaded model that makes examples of questions and answers. Raises UserError as loading
    does.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        self._checkpoint = load(model, device=device)
        self.model = self._checkpoint.model
        if (kind := self.model.config.model_type) != FAMILY:
            raise UserError(f"{model} is a {kind} model; only {FAMILY} models can be tuned yet.")
        self.config = self._checkpoint.config

    def examples(
        self,
        asked: Sequence[Asked],
        sampling: Mapping[str, Any],
        on_error: Callable[[str], None],
    ) -> Examples:
        """An example of each, its video encoded once, as `sampling` shows it.

        A video that cannot be used is told to `on_error` and left out. Raises UserError if none
        is left.
        """
        chosen = chosen_sampling(self._checkpoint.sampling, **sampling)
        encoded: dict[str, tuple[Features, float] | None] = {}
        for each in asked:
            if each.video not in encoded:
                try:
                    encoded[each.video] = _encoded(self._checkpoint, each.video, chosen)
                except UserError as error:
                    on_error(str(error))
                    encoded[each.video] = None
        found = [Known(each, *kept) for each in asked if (kept := encoded[each.video]) is not None]
        if not found:
            raise UserError("None of the videos can be used: see the sentences above.")
        return Examples(self._checkpoint, found)


def _encoded(checkpoint: Checkpoint, video: str, sampling: Any) -> tuple[Features, float]:
    info = probe(video, fps=sampling.fps)
    expected = estimate(info, sampling)
    features, _ = encode(checkpoint, info.source, expected.grid, sampling, lambda *_: None)
    rate = checkpoint.model.config.vision_config.tokens_per_second
    # A clone: what was computed in inference mode cannot be trained on.
    embeddings = features.embeddings.clone().cpu()
    shown = Features(embeddings, features.grid, features.times_secs)
    return shown, rate * expected.seconds_per_slice
