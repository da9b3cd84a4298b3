"""What the page is sent, as JSON; `viz/static/types.d.ts` states the same for its scripts.

No text in a message is HTML: the scripts show it as it is.
"""

from typing import Any, Literal, NotRequired, TypedDict

EngineState = Literal["waiting", "loading", "ready", "failed", "replay"]


class CompilingFacts(TypedDict):
    """How many settings' kernels are compiled, of how many, while they are."""

    compiling: NotRequired[str]


class EngineFacts(CompilingFacts):
    """What is running; `device`, `dtype` and `backend` are known once the model is loaded."""

    model: str
    state: EngineState
    device: NotRequired[str]
    dtype: NotRequired[str]
    backend: NotRequired[str]


class RunPhase(TypedDict):
    """How far a run is: `done` of `total` frames, layers or words; 0 of 0 if that is not known.
    One that is "waiting" has `total` others ahead, which take about `secs` (None: not known).
    """

    name: str
    done: int
    total: int
    secs: NotRequired[float | None]


class _OfRun(TypedDict):
    """With each message of a run: the page's own number of it, and the panel that shows it."""

    run: NotRequired[Any]
    panel: NotRequired[str]


class Running(_OfRun):
    """A run so far, the whole of it: the page may miss an earlier message."""

    state: Literal["running"]
    answer: str
    phase: RunPhase | None


class FinishedRun(_OfRun):
    """A run with a result. Its scene, figures and files are fetched by its `key`; the files' names
    begin with `stem`. `url` is where its video is found, `summary` that of `Result.summary`, and
    `word_secs` what a word took after the first one, None if there was none.
    """

    state: Literal["done", "stopped"]
    answer: str
    question: str
    url: str
    key: str
    stem: str
    recorded: bool
    word_secs: float | None
    summary: dict[str, Any]


Field = Literal["video", "question", "dials"]
"""What an error is about: it is said there."""


class EndedRun(_OfRun):
    """A run without a result; an `error` is one sentence, about a `field` if it is about one."""

    state: Literal["stopped", "superseded", "error"]
    error: NotRequired[str]
    field: NotRequired[Field | None]


RunMessage = Running | FinishedRun | EndedRun


class Piece(TypedDict):
    """A piece of an answer; `same` if the other answer has it too."""

    text: str
    same: bool


class RunSide(TypedDict):
    """One of two runs beside each other. `tokens` are those of its video, pruned from
    `pruned_from` if they were; `seconds` those of prefill, None if they were not measured, or
    if one of the two runs was `recorded` on another visit, or did not read the video.
    """

    label: str
    answer: list[Piece]
    tokens: int
    pruned_from: int | None
    attention_density: float
    ffn_density: float
    flops: float
    seconds: float | None
    recorded: bool


class HeldShare(TypedDict):
    """The share of a dense run's attention to the video that lies on the cubes which a sparse one
    kept: of a `kind` of query, the mean of its words, heads and layers. `measured` by true keys,
    else estimated by their means.
    """

    kind: str
    share: float
    measured: bool


class Comparison(TypedDict):
    """Two runs beside each other; of one beside a dense one what it `held` of that. Of an ablation
    also the log-probability of the first answer, in nats, `before` and `after` cubes were forced
    (None: not known).
    """

    sides: list[RunSide]
    held: NotRequired[list[HeldShare]]
    before: NotRequired[float | None]
    after: NotRequired[float | None]


class ComparedRun(FinishedRun, Comparison):
    """A run beside the one in view, with both of them."""


class ComparedRuns(_OfRun, Comparison):
    """Two runs that had ended before, the other one's `key`."""

    state: Literal["done"]
    key: str


BesideMessage = RunMessage | ComparedRun | ComparedRuns


class SampleCard(TypedDict):
    """A sample clip that can be chosen; `poster_secs` is the moment that its card shows."""

    name: str
    title: str
    url: str
    poster_secs: float


class ModelNeeds(TypedDict):
    """What a video would take with a published model; `seconds` of a dense prefill at the pace at
    which this machine computes (None: not known yet).
    """

    model: str
    video_tokens: int
    weight_bytes: float
    cache_bytes: float
    dense_flops: float
    seconds: float | None


class TooLong(TypedDict):
    """That a video does not fit into the model, and how many of its frames would."""

    text: str
    max_frames: int


class Facts(TypedDict):
    """What a run on a video would take: `facts` in words, tokens, `seconds` on this machine (None
    before any were measured), what is said if it does not fit, and sentences of `warnings` about
    the answer to expect.
    """

    facts: str
    duration_secs: float
    video_tokens: int
    seconds: float | None
    too_long: TooLong | None
    warnings: list[str]


class _OfPick(TypedDict):
    """What is said with each answer to a choice of video: its number on the page, `pick`; an
    `error`, one sentence; and that the video `chosen` before it stays.
    """

    pick: NotRequired[Any]
    chosen: NotRequired[bool]
    error: NotRequired[str]
    field: NotRequired[Field]


class Card(Facts, _OfPick):
    """A chosen video: the name of its `sample` if it is one, and the `questions` to suggest.

    A sample also has the `question` to show and its `recorded` run; `unanswered` says that the
    controls' settings, or a permalink's, are still to be run, `missing` names the upload that a
    permalink was about.
    """

    name: str
    sample: str | None
    note: str
    url: str
    questions: list[str]
    needs: list[ModelNeeds]
    question: NotRequired[str]
    unanswered: NotRequired[bool]
    missing: NotRequired[str]
    recorded: NotRequired[FinishedRun]


class NoCard(_OfPick):
    """That a video is refused, or without an error, that there is none."""


class Opened(_OfPick):
    """A recorded run that somebody sent, without its video."""

    opened: FinishedRun


class PreviewPlace(TypedDict):
    """Where an upload that is being prepared plays as far as it has come."""

    url: str
    duration_secs: float


class Preparing(_OfPick):
    """How far the preparation of an upload is: a share of it."""

    progress: float
    preview: PreviewPlace | None


Choice = Card | NoCard
PickMessage = Choice | Preparing | Opened
