"""The model families that AdaSpark runs on: one record each, all that differs between them.

Read in transformers' own modelling files. A record names what the patch looks for; whoever adds a
family adds a record (see the contributor's guide).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adaspark.errors import UserError


@dataclass(frozen=True)
class Family:
    """A family by its `model_type` in transformers; `name` is what people call it.

    `model_class` generates; inside it `text` is the language model and `vision` the tower. Of each
    decoder layer `attention` is the module whose keys are chosen among (it comes after rotary
    embedding and norms of its own), `mixer` the one that stands in its place in other layers and
    stays as it is, `entry` the norm before either, `ffn` the block, of whatever class, and `norm`
    the norm before it, at whose entry the residual stream is read.

    Geometry: the video's tokens are `video_token_id`, the spatial merge is the vision
    configuration's. With `frames_apart` each pair of frames is a run of its own, with its time
    written out before it; else a video is one run. `counts_seconds`: slices lie seconds apart in
    M-RoPE. `deepstack`: the first layers add features of the tower to the video's tokens.
    """

    model_type: str
    name: str
    model_class: str
    example: str
    text: str = "language_model"
    vision: str = "visual"
    attention: str = "self_attn"
    mixer: str | None = None
    mixer_name: str = ""
    entry: str = "input_layernorm"
    norm: str = "post_attention_layernorm"
    ffn: str = "mlp"
    frames_apart: bool = False
    counts_seconds: bool = False
    deepstack: bool = False


FAMILIES = (
    Family("qwen2_vl", "Qwen2-VL", "Qwen2VLForConditionalGeneration", "Qwen/Qwen2-VL-2B-Instruct"),
    Family(
        "qwen2_5_vl",
        "Qwen2.5-VL",
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen/Qwen2.5-VL-3B-Instruct",
        counts_seconds=True,
    ),
    Family(
        "qwen3_vl",
        "Qwen3-VL",
        "Qwen3VLForConditionalGeneration",
        "Qwen/Qwen3-VL-4B-Instruct",
        frames_apart=True,
        deepstack=True,
    ),
    Family(
        "qwen3_vl_moe",
        "Qwen3-VL (MoE)",
        "Qwen3VLMoeForConditionalGeneration",
        "Qwen/Qwen3-VL-30B-A3B-Instruct",
        frames_apart=True,
        deepstack=True,
    ),
    Family(
        "qwen3_5",
        "Qwen3.5",
        "Qwen3_5ForConditionalGeneration",
        "Qwen/Qwen3.5-4B",
        mixer="linear_attn",
        mixer_name="Gated DeltaNet",
        frames_apart=True,
    ),
    Family(
        "qwen3_5_moe",
        "Qwen3.5 (MoE)",
        "Qwen3_5MoeForConditionalGeneration",
        "Qwen/Qwen3.5-35B-A3B",
        mixer="linear_attn",
        mixer_name="Gated DeltaNet",
        frames_apart=True,
    ),
)
_BY_TYPE = {family.model_type: family for family in FAMILIES}
NAMES = ", ".join(family.name for family in FAMILIES if "MoE" not in family.name)

_NO_GRID = (
    "no grid of its video tokens reaches the model (frames are images between text), so nothing "
    "says where a token stands"
)
_CHOOSES = "its attention chooses blocks itself, by training"
_MISSING = {
    "glm4v": "its video tokens bear the image's id, and a norm follows its FFN",
    "glm4v_moe": "its video tokens bear the image's id, and a norm follows its FFN",
    "glm46v": "its video tokens bear the image's id, and a norm follows its FFN",
    "internvl": _NO_GRID,
    "smolvlm": _NO_GRID,
    "idefics3": _NO_GRID,
    "llava_onevision": _NO_GRID,
    "llava_next_video": _NO_GRID,
    "qwen2_5_omni": "its video tokens are cut into pieces between those of sound",
    "qwen3_omni_moe": "its video tokens are cut into pieces between those of sound",
    "ernie4_5_vl_moe": "its FFN takes the kind of each token as a second argument",
    "video_llama_3": "its grid has holes where frames were compressed",
    "qwen4_exp": _CHOOSES,
    "minimax_m3_vl": _CHOOSES,
    "hy_v4_vl": _CHOOSES,
}
GUIDE = "How to add a family stands in .github/CONTRIBUTING.md"


def family_of(config: Any) -> Family | None:
    """The family of a model's configuration; None for any other model."""
    return _BY_TYPE.get(getattr(config, "model_type", ""))


def known_family(config: Any) -> Family:
    """The family of a model's configuration, which must have one."""
    family = family_of(config)
    assert family is not None, "checked when the model came in"
    return family


def refusal(name: str, model_type: str) -> UserError:
    """The error for a model of no known family: what is missing, or which ones there are."""
    if (missing := _MISSING.get(model_type)) is not None:
        return UserError(
            f"{name} is a {model_type} model, which AdaSpark cannot run: {missing}. {GUIDE}."
        )
    if (whole := _BY_TYPE.get(model_type.removesuffix("_text"))) is not None:
        return UserError(f"{name} is the text part of {whole.name} alone: give the whole model.")
    return UserError(
        f"{name} is a {model_type} model; AdaSpark runs on {NAMES}, such as "
        f"{_BY_TYPE['qwen2_5_vl'].example}, or on the bundled mini."
    )


def model_class(family: Family) -> Any:
    """The class of transformers that generates. Raises UserError where this version lacks it."""
    import transformers

    try:
        return getattr(transformers, family.model_class)
    except AttributeError as error:
        raise UserError(
            f"{family.name} is not in transformers {transformers.__version__}: "
            f"pip install -U transformers."
        ) from error


def attention_layers(text: Any, family: Family) -> list[int]:
    """The layers of a text model that have attention to choose in; the rest stay as they are."""
    return [i for i, layer in enumerate(text.layers) if hasattr(layer, family.attention)]


def layers_note(base: Any) -> list[str]:
    """A sentence for the user of a base model in some of whose layers no cubes are chosen."""
    family = known_family(base.config)
    layers = getattr(base, family.text).layers
    attending = attention_layers(getattr(base, family.text), family)
    if len(attending) == len(layers):
        return []
    return [
        f"{len(layers) - len(attending)} of {len(layers)} layers have no attention "
        f"({family.mixer_name}): they stay as they are, and no cubes are chosen in them."
    ]


def language_shape(text: Any) -> dict[str, int]:
    """The numbers of the language model, or of its configuration, that FLOP counts need.

    Where not every layer has attention, `attention_layers` says how many do, and `mixer_flops`
    what the others take in its place, a token and layer; `gate_heads` are projected beside the
    queries. Of experts, `intermediate` is the width
    that a token passes through, on average over the layers.
    """
    config = getattr(text, "config", text)
    layers = len(text.layers) if hasattr(text, "layers") else config.num_hidden_layers
    heads = config.num_attention_heads
    shape = {
        "layers": layers,
        "hidden": config.hidden_size,
        "intermediate": _passed_width(config, layers),
        "heads": heads,
        "kv_heads": config.num_key_value_heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // heads,
    }
    kinds = (getattr(config, "layer_types", None) or [])[:layers]
    if (linear := kinds.count("linear_attention")) > 0:  # Qwen3.5, whose attention has a gate
        shape |= {"attention_layers": layers - linear, "gate_heads": heads}
        shape["mixer_flops"] = _delta_net_flops(config)
    return shape


def _passed_width(config: Any, layers: int) -> int:
    """How wide the FFN is that one token passes through."""
    if not (experts := getattr(config, "num_experts_per_tok", 0) or 0):
        return int(config.intermediate_size)
    routed = experts * config.moe_intermediate_size
    routed += getattr(config, "shared_expert_intermediate_size", 0) or 0
    step, plain = getattr(config, "decoder_sparse_step", 1), getattr(config, "mlp_only_layers", [])
    of_experts = sum(i not in plain and (i + 1) % step == 0 for i in range(layers))
    dense = getattr(config, "intermediate_size", 0) or 0
    return int((routed * of_experts + dense * (layers - of_experts)) // max(1, layers))


def _delta_net_flops(config: Any) -> int:
    """FLOPs a token of a Gated DeltaNet layer: projections, convolution, its rule step by step."""
    heads, width = config.linear_num_value_heads, config.linear_value_head_dim
    keys = config.linear_num_key_heads * config.linear_key_head_dim
    values = heads * width
    projected = 2 * keys + 2 * values + 2 * heads
    projections = 2 * config.hidden_size * (projected + values)
    convolution = 2 * config.linear_conv_kernel_dim * (2 * keys + values)
    return int(projections + convolution + 6 * values * config.linear_key_head_dim)
