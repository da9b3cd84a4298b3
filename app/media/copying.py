"""Whether the packets of a video can be copied for browsers: only if they will be shown right."""

from __future__ import annotations

import numpy as np

from adaspark.video.boxes import Crop
from adaspark.video.colour import ColourReading, Matrix
from adaspark.video.file import open_video, shown_name, video_stream
from adaspark.video.probe import Scan
from adaspark.video.turn import Turn
from app.media.plain_h264 import PlainStream, read_plain
from app.media.transcode import fits_box

_FRAMES_LOOKED_AT = 16
# Without a GPU, Chromium multiplies this plane by 2 although BT.709 in limited range has 2.112
# (libyuv's fixed point): above this value, blue falls short by more than 5 of 255 levels.
_MAX_BLUE = 172
_MAX_BLUE_SHARE = 0.001


def plain_stream(scanned: Scan) -> PlainStream | None:
    """The packets to copy; None if browsers might show them otherwise than the model sees them."""
    info, index = scanned.info, scanned.index
    is_upright = (scanned.turn, scanned.crop) == (Turn(), Crop()) and scanned.square_pixels
    # Hidden frames need an edit list.
    is_timed = index.has_pts and not index.hides_frames and _is_steady(scanned)
    is_known = info.codec == "h264" and _has_known_colours(scanned.colour)
    if not (is_known and is_upright and is_timed and fits_box(info.width, info.height)):
        return None
    with open_video(info.path) as container:
        plain = read_plain(container, video_stream(container, shown_name(info.path)))
    if plain is None or len(plain.pts) != len(index) or _is_too_blue(scanned):
        return None
    return plain


def _has_known_colours(colour: ColourReading) -> bool:
    """Whether browsers read the colours as the model does, once the copy says how.

    Where nothing is stated, the copy's container can state it all.
    """
    stated = (colour.stated.matrix, colour.stated.primaries, colour.stated.transfer)
    is_plain = not (colour.has_alpha or colour.interlaced or colour.full_range)
    return colour.is_complete or (stated == (None, None, None) and is_plain)


def _is_too_blue(scanned: Scan) -> bool:
    """Whether browsers would show blue patches too dark, judged by some of the frames."""
    if scanned.colour.matrix != Matrix.BT709 or scanned.colour.full_range:
        return False
    at = np.linspace(0, len(scanned.index.key_frames) - 1, _FRAMES_LOOKED_AT).astype(int)
    for shown in scanned.reader.frames(np.unique(scanned.index.key_frames[at]).tolist()):
        height = shown.frame.height // 2 * 2
        chroma = shown.frame.to_ndarray()[height : height * 5 // 4]
        if np.mean(chroma > _MAX_BLUE) > _MAX_BLUE_SHARE:
            return True
    return False


def _is_steady(scanned: Scan) -> bool:
    """Whether frames follow each other evenly: if they do not, Chromium (150) may show an
    earlier one after a seek in a stream with B-frames.
    """
    gaps = np.diff(scanned.index.times_secs)
    return not len(gaps) or bool(gaps.max() <= 2 * np.median(gaps))
