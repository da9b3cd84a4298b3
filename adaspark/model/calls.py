"""One call of a sparsified model: its prompts, found by its arguments and its cache.

A call is handed from the base model to its layers as an argument, so that each thread has its
own, a layer that is called by itself has none, and one that is computed again for its gradients
has the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import local
from typing import Any

from torch import Tensor
from transformers import Cache

from adaspark.method.config import Cube
from adaspark.model.cache_names import argument_names, cache_in
from adaspark.model.cached_geometry import recall, remember
from adaspark.model.families import attention_layers, language_shape
from adaspark.model.patch import Patch, family_in
from adaspark.model.placing import Arguments
from adaspark.model.prompt_geometry import Session, read_packed
from adaspark.model.shapes import CannotPlace
from adaspark.trace.listening import listening
from adaspark.trace.meta import Meta
from adaspark.trace.recorder import Recorder

ARGUMENT = "adaspark_call"
_here = local()


@dataclass(eq=False)
class Call:
    """A call at work. `done` holds (half, layer) of all layers that have computed sparsely."""

    patch: Patch
    session: Session
    recorders: list[Recorder]
    done: set[tuple[str, int]] = field(default_factory=set)

    def recording(self, half: str, layer: int) -> list[Recorder]:
        """The recorders of a layer's half: none if it is computed again for gradients."""
        if (half, layer) in self.done:
            return []
        self.done.add((half, layer))
        return self.recorders


@contextmanager
def at_work(
    model: Any, patch: Patch, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[Session]:
    """A call of `model`; its text model finds it by `taken`, in this thread and once."""
    given = {**dict(zip(argument_names(model), args, strict=False)), **kwargs}
    cache = cache_in(given)
    session = _session(model, patch, given)
    if cache is not None:
        remember(cache, session)
    call = None
    if session.has_video and session.reason is None:
        call = Call(patch, session, listening(patch.recorders))
        _tell(model, call, given.get("input_ids"))
    _here.call = call
    try:
        yield session
    finally:
        _here.call = None
    if call is not None and session.brings_video:
        _check_done(call, model)


def _text(model: Any) -> Any:
    return getattr(model, family_in(model).text)


def taken() -> Call | None:
    """The call at work in this thread, for its text model alone."""
    call: Call | None = getattr(_here, "call", None)
    _here.call = None
    return call


def keep(session: Session, output: Any) -> None:
    """A cache made inside the call is where this prompt will be found again."""
    found = output if isinstance(output, tuple) else getattr(output, "values", tuple)()
    for cache in found:
        if isinstance(cache, Cache):
            remember(cache, session)


def _session(model: Any, patch: Patch, given: Mapping[str, Any]) -> Session:
    """The prompts of a call; of one that must run dense, why."""
    config, cache = model.config, cache_in(given)
    past = 0 if cache is None else int(cache.get_seq_length())
    embedding = model.get_input_embeddings()
    arguments = Arguments(
        given,
        past=past,
        video_id=config.video_token_id,
        merge=config.vision_config.spatial_merge_size,
        placeholder=lambda: embedding.weight[config.video_token_id],
        frames_apart=family_in(model).frames_apart,
        joins_stamps=patch.config.timestamps == "slice",
    )
    known = Session() if past == 0 else recall(cache)
    recorders = listening(patch.recorders)
    try:
        if known is None:
            raise CannotPlace("what its cache holds was not put there by this model's own calls")
        if known.reason is not None:
            session = replace(known, length=past + arguments.count)
        else:
            session = _read(model, arguments, known, patch.config.cube)
    except CannotPlace as error:
        session = Session(length=past + arguments.count, reason=str(error))
        is_said = patch.warn(f"AdaSpark runs this call dense: {error}.")
        for recorder in recorders:
            recorder.ran_dense(str(error), is_said=is_said)
    for recorder in recorders:
        recorder.is_called = True
    return session


def _read(model: Any, arguments: Arguments, known: Session, cube: Cube) -> Session:
    packed, text, family = None, _text(model), family_in(model)
    if not _has_cache(text, arguments.given):
        packed = arguments.packed_samples()
    session = (
        known.after(arguments, cube) if packed is None else read_packed(arguments, packed, cube)
    )
    if session.brings_video:
        layers = attention_layers(text, family)
        _check_layers([getattr(text.layers[i], family.attention) for i in layers])
        if arguments.given.get("cu_seq_lens_q") is not None:
            raise CannotPlace("its samples are packed by cu_seq_lens_q, without text position_ids")
        if arguments.given.get("is_causal") is False:
            raise CannotPlace("its attention is not causal")
    return session


def _has_cache(text: Any, given: Mapping[str, Any]) -> bool:
    """Whether the text model will have a cache: it then takes a row for one sample."""
    if cache_in(given) is not None:
        return True
    asked = given.get("use_cache")
    asked = getattr(text.config, "use_cache", False) if asked is None else asked
    return bool(asked) and not (text.training and getattr(text, "gradient_checkpointing", False))


def _check_layers(layers: list[Any]) -> None:
    if any(getattr(layer, "sliding_window", None) is not None for layer in layers):
        raise CannotPlace("this model has sliding-window layers")
    if any(layer.training and layer.attention_dropout > 0 for layer in layers):
        raise CannotPlace("attention dropout is on in training")


def _tell(model: Any, call: Call, ids: Tensor | None) -> None:
    """Begin or continue the recordings with the prompt; of a batch, with its first."""
    patch, session = call.patch, call.session
    first = session.rows[0][0]
    new = first.sequence.length - first.start
    row_ids = None if ids is None else ids[0, first.first : first.first + new]
    text, family = _text(model), family_in(model)
    layers = attention_layers(text, family)
    meta = Meta(
        config=patch.config,
        grids=list(first.grids),
        shape=language_shape(text),
        forced=list(patch.forced),
        attention_layers=layers if len(layers) < len(text.layers) else [],
    )
    for recorder in call.recorders:
        if session.brings_video and session.parts == 1:
            recorder.begin(session, row_ids, meta=meta)
        else:
            recorder.goes_on(session, row_ids, meta=meta)


def _check_done(call: Call, model: Any) -> None:
    """Say so where a layer has passed one of the halves by."""
    text = _text(model)
    expected = {"FFN": len(text.layers), "attention": len(attention_layers(text, family_in(model)))}
    for half, layers in expected.items():
        if sum(name == half for name, _ in call.done) < layers:
            call.patch.warn(
                f"AdaSpark: the {half} of some layers ran dense, for their own code does not call "
                "it as transformers' decoder layers do."
            )
