"""What of a page in Chinese is still English: the short list of what may be, and what is found."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MAY_BE = """
AdaSpark SparkWorld Studio Gradio Qwen VL VideoNIAH Instruct mini BibTeX arXiv CVPR Space Docker
Windows WSL Unicode Top top FFN FLOP FLOPs GFLOP TFLOP GPU CPU cpu float bfloat KL Home Esc Shift
RMSNorm API forced true false SDR HLG HDR BT profile DRM ADASPARK_REMOTES https MB GB GiB PNG JPEG
SVG CSV NPZ MP GIF HTML MOV MKV WebM WebP APNG AVI MPEG FLV WMV OGV max_new_tokens
"""
ALLOWED = frozenset(_MAY_BE.split())
"""Names, terms that Chinese papers leave as they are, formats and units."""
_QUOTED = re.compile(r"“[^”]*”|\b[\w.-]+\.(?:mp4|npz)\b")


def english(texts: Iterable[str]) -> list[str]:
    """Those texts that hold words that are neither Chinese nor on the list; words of a run, which
    stand in quotes, and names of files may be in any language.
    """
    return [text for text in texts if set(_words(text)) - ALLOWED]


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]{2,}", _QUOTED.sub(" ", text))
