"""The studio, with the bundled model, asked by programs: as the README does, and over MCP."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any
from urllib.request import urlopen

import pytest
from gradio_client import Client
from paths import ASSETS, ROOT
from test_batches import write_batch
from test_server import address, started

from adaspark import Trace
from adaspark.errors import UserError
from app.web import mcp as own

HAS_MCP = find_spec("mcp") is not None
needs_mcp = pytest.mark.skipif(not HAS_MCP, reason="mcp is not installed")
QUESTION = "Which color comes first?"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the running studio."""
    arguments = ("-m", "app", "--no-browser", "--port", "0", *["--mcp"] * HAS_MCP)
    batches = tmp_path_factory.mktemp("batches")
    write_batch(batches / "first")
    temporary = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("ADASPARK_BATCHES", str(batches))
        process = stack.enter_context(started(*arguments, folder=temporary))
        found = address(process).split("/gradio_api")[0].rstrip("/")  # MCP is named first
        until_ready(found)
        yield found
        process.terminate()


def until_ready(studio: str) -> None:
    """Wait for the model: what is told of a run is asked here, not how long loading takes."""
    for _ in range(600):
        with urlopen(f"{studio}/healthz") as answer:
            if json.load(answer)["state"] == "ready":
                return
        time.sleep(0.2)
    raise AssertionError("the model was not loaded")


@pytest.fixture
def url(studio: str) -> str:
    """The address for MCP."""
    return f"{studio}/gradio_api/mcp/"


def example(language: str, mark: str) -> str:
    """The README's block of code that has `mark` in it."""
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (found,) = [block for kind, block in blocks if kind == language and mark in block]
    return str(found).replace("assets/", f"{ASSETS}/")


@pytest.mark.long
def test_the_readme_s_client_is_answered(studio: str) -> None:
    names: dict[str, Any] = {}
    code = example("", "gradio_client").replace("http://127.0.0.1:7860", studio)
    exec(compile(code, "README.md", "exec"), names)
    assert names["answer"] == "blue" and names["summary"]["config"]["attn_top_p"] == 0.9
    assert Trace.load(names["trace_path"]).meta.answer == "blue"
    assert isinstance(names["studio"], Client)
    names["studio"].close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readme_s_curl_is_answered(studio: str) -> None:
    code = example("bash", "curl").replace("http://127.0.0.1:7860", studio)
    done = subprocess.run(["bash", "-euc", code], capture_output=True, text=True, check=True)
    last = [line for line in done.stdout.splitlines() if line.startswith("data: ")][-1]
    ((answer, summary, trace),) = json.loads(last.removeprefix("data: "))
    assert answer == "blue" and summary["answer"] == "blue" and trace["path"].endswith(".npz")


@pytest.fixture(scope="module")
def video() -> str:
    """A sample clip as clients send a file: its bytes, in the address."""
    clip = (ASSETS / "samples" / "2_order.mp4").read_bytes()
    return "data:video/mp4;base64," + base64.b64encode(clip).decode("ascii")


def talk(url: str, said: Callable[[Any], Awaitable[Any]]) -> Any:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def run() -> Any:
        async with (
            streamablehttp_client(url) as (reading, writing, _),
            ClientSession(reading, writing) as session,
        ):
            await session.initialize()
            return await said(session)

    return asyncio.run(run())


def call(url: str, tool: str, **given: Any) -> Any:
    """What a tool returned (Gradio writes it as Python does); its sentence if it failed."""
    answer = talk(url, lambda session: session.call_tool(tool, given))
    text = answer.content[0].text
    return text if answer.isError else ast.literal_eval(text)


def read(url: str, uri: Any) -> Any:
    """The JSON of a resource."""
    return json.loads(talk(url, lambda session: session.read_resource(uri)).contents[0].text)


@needs_mcp
def test_there_are_three_tools_and_runs_are_resources(url: str) -> None:
    tools = talk(url, lambda session: session.list_tools()).tools
    assert [tool.name for tool in tools] == ["ask", "inspect", "compare"]
    for tool in tools:
        assert len(tool.description) > 60 and "video" in tool.inputSchema["properties"]
    found = talk(url, lambda session: session.list_resource_templates()).resourceTemplates
    assert [each.uriTemplate for each in found] == [own.RUN, own.BATCH, own.PAGE]


@needs_mcp
def test_a_question_is_answered_and_its_run_read_again(url: str, video: str) -> None:
    answer, summary, _ = call(url, "ask", video=video, question=QUESTION)
    assert answer == "blue" and 0 < summary["attention_density"] < 1
    again = read(url, own.RUN.format(key=summary["key"]))
    assert again["question"] == QUESTION and again["layers"] == summary["layers"]


@needs_mcp
def test_a_batch_is_found_and_its_rows_are_read(url: str) -> None:
    (listed,) = talk(url, lambda session: session.list_resources()).resources
    (name,) = read(url, str(listed.uri))
    about = read(url, own.BATCH.format(name=name))
    rows = read(url, own.PAGE.format(name=name, page=0))
    assert about["rows"] == len(rows) == 3 and about["errors"] == 1
    assert rows[-1]["error"] == "It is no video."


@needs_mcp
def test_a_video_is_inspected_and_two_ways_are_compared(url: str, video: str) -> None:
    assert call(url, "inspect", video=video, max_frames=4)["video_tokens"] == 128
    found = call(url, "compare", video=video, question=QUESTION, max_frames=16)
    assert len(set(found["keys"])) == 2
    sparse, dense = found["sides"]
    assert sparse["attention_density"] < 1 == dense["attention_density"]


@needs_mcp
@pytest.mark.parametrize(
    ("tool", "given", "words"),
    [
        ("ask", {"question": " "}, "The question is blank"),
        ("compare", {"question": "?", "baseline": "none"}, "none"),
        ("ask", {"question": "?", "video": "http://127.0.0.1:9/x.mp4"}, ""),
    ],
)
def test_what_cannot_be_used_is_an_error(
    url: str, video: str, tool: str, given: dict[str, Any], words: str
) -> None:
    said = call(url, tool, **{"video": video, **given})
    assert isinstance(said, str) and words in said and "Traceback" not in said


def test_without_its_package_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(own, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"adaspark-studio\[mcp\]"):
        own.check_installed()
