"""Other studios and real models: who may be asked, and what a video would take there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from clips import write_clip
from fake_engine import FakeEngine, loading

from adaspark.errors import UserError
from adaspark.video.clip import probe
from app.media.samples import Sample
from app.service.real_models import PUBLISHED, needs
from app.service.remote import ask_remote, origin
from app.service.service import Service
from app.service.settings import Settings
from app.web.limits import limits_from

DIALS = Settings(0.9, 0.7, 2, 2, 2)


@pytest.mark.parametrize(
    "address", ["", "ftp://a", "//a", "a.example", "https://", "https://me@a.example", None, 3]
)
def test_an_address_of_no_studio_is_refused(address: object) -> None:
    with pytest.raises(UserError, match="https://"):
        origin(address)


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin(" https://Studio.Example:8000/path?x=1 ") == "https://studio.example:8000"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    clip = write_clip(tmp_path / "01_clip.mp4")
    sample = Sample("01_clip", "Clip", clip, ("What is it?",))
    made = Service(loading(FakeEngine()), tmp_path / "copies", samples=[sample])
    made.openings.choose_sample("a", "01_clip", DIALS)
    return made


def test_only_studios_that_the_operator_allows_are_asked(service: Service) -> None:
    for address in ("http://127.0.0.1:9", "http://169.254.169.254/latest", "https://b.example"):
        [message] = ask_remote(service, "a", address, "why?", DIALS, {"https://a.example"})
        assert message["state"] == "error" and "has not allowed" in message["error"]


def test_a_studio_that_does_not_answer_is_named(service: Service) -> None:
    allowed = limits_from({"ADASPARK_REMOTES": "http://127.0.0.1:9/"}).remotes
    *_, message = ask_remote(service, "a", "http://127.0.0.1:9", "why?", DIALS, allowed)
    assert message["state"] == "error" and "127.0.0.1:9 did not answer" in message["error"]


def test_what_a_model_needs_grows_with_the_video(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "clip.mp4"))
    short, long = needs(info, 0.0), needs(replace(info, duration_secs=600.0, frames=6000), 1e-12)
    for a, b, name in zip(short, long, PUBLISHED, strict=True):
        assert a["model"] == name and a["seconds"] is None
        assert b["video_tokens"] > a["video_tokens"] and b["cache_bytes"] > a["cache_bytes"]
        assert a["weight_bytes"] == b["weight_bytes"] == 2 * PUBLISHED[name].parameters
        assert b["seconds"] == pytest.approx(b["dense_flops"] * 1e-12)
