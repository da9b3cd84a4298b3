"""The chat template: a processor's before the tokenizer's own, by transformers' rules, checked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from checkpoints import (
    TEXT_TEMPLATE,
    VIDEO_TEMPLATE,
    edit_json,
    hub_checkpoint,
    linked,
    replace_file,
    write_json,
)

from adaspark.errors import UserError
from adaspark.model import checkpoint
from adaspark.model.checkpoint import load
from adaspark.model.prompt import build_prompt

OTHER = VIDEO_TEMPLATE.replace("You are a helpful assistant.", "You are another.")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_checkpoint(tmp_path_factory.mktemp("hub") / "Qwen2.5-VL")


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    made = linked(tmp_path / "copy", stored)
    (made / "chat_template.json").unlink()
    return made


def template(folder: Path) -> str:
    text: str = load(str(folder), device="cpu").tokenizer.chat_template
    return text


def own_template(folder: Path, text: str | None) -> None:
    path = folder / "tokenizer_config.json"
    replace_file(path, path.read_bytes())
    edit_json(path, chat_template=text)


def test_the_older_layout_has_a_file_of_json(folder: Path) -> None:
    write_json(folder / "chat_template.json", {"chat_template": VIDEO_TEMPLATE})
    assert template(folder) == VIDEO_TEMPLATE


def test_the_newer_layout_has_a_file_of_jinja(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(VIDEO_TEMPLATE)
    assert template(folder) == VIDEO_TEMPLATE


def test_the_processor_s_configuration_may_hold_it(folder: Path) -> None:
    write_json(folder / "processor_config.json", {"chat_template": VIDEO_TEMPLATE})
    assert template(folder) == VIDEO_TEMPLATE


def test_of_two_files_it_is_the_one_that_transformers_takes(folder: Path) -> None:
    from transformers.processing_utils import ProcessorMixin

    write_json(folder / "chat_template.json", {"chat_template": VIDEO_TEMPLATE})
    (folder / "chat_template.jinja").write_text(OTHER)
    assert template(folder) == ProcessorMixin.get_processor_dict(folder)[0]["chat_template"]


# transformers leaves the file of a named template open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_named_templates_have_a_default(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(VIDEO_TEMPLATE)
    more = folder / "additional_chat_templates"
    more.mkdir()
    (more / "tools.jinja").write_text(TEXT_TEMPLATE)
    assert template(folder) == VIDEO_TEMPLATE


def test_the_tokenizer_s_own_serves_where_it_shows_a_video(folder: Path) -> None:
    own_template(folder, VIDEO_TEMPLATE)
    assert template(folder) == VIDEO_TEMPLATE


def test_the_prompt_is_the_processor_s(folder: Path) -> None:
    write_json(folder / "chat_template.json", {"chat_template": VIDEO_TEMPLATE})
    tokenizer = load(str(folder), device="cpu").tokenizer
    asked = build_prompt(tokenizer, "Why?", (2, 3, 4), position_step=1.0)
    video = "<|vision_start|>" + "<|video_pad|>" * 24 + "<|vision_end|>"
    expected = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{video}Why?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(asked.input_ids[0]) == expected


REFUSED: dict[str, tuple[str, str]] = {
    "for text alone": (TEXT_TEMPLATE, "does not show a video and a question"),
    "no video": ("{{ messages[0]['content'][1]['text'] }}", "shows the video 0 times"),
    "no question": ("<|video_pad|>", "shows the question 0 times"),
    "twice": ("<|video_pad|>" * 2 + "{{ messages[0].content[1].text }}", "shows the video 2 times"),
    "in another order": (
        "{{ messages[0].content[1].text }}<|video_pad|>",
        "shows the question before the video",
    ),
    "not a template": ("{% for %}", "does not show a video and a question"),
    "refuses": ("{{ raise_exception('no') }}", "does not show a video and a question"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_template_that_cannot_show_a_video_is_refused_before_the_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(checkpoint, "load_weights", read)
    monkeypatch.setattr(checkpoint, "check_weights", read)
    text, message = REFUSED[case]
    (folder / "chat_template.jinja").write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        load(str(folder), device="cpu")
    assert "hf download Qwen/Qwen2.5-VL-3B-Instruct chat_template.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_template_at_all_is_one_sentence(folder: Path) -> None:
    own_template(folder, None)
    with pytest.raises(UserError, match=r"has no chat template: it needs chat_template\.json"):
        load(str(folder), device="cpu")


@pytest.mark.parametrize("values", [{}, {"template": "x"}, {"chat_template": 3}])
def test_a_file_of_json_without_template_is_refused(folder: Path, values: object) -> None:
    (folder / "chat_template.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="chat template of"):
        load(str(folder), device="cpu")
