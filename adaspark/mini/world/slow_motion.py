"""A scene in slow motion: what the same pictures show when they lie further apart in time."""

from __future__ import annotations

from dataclasses import replace

from adaspark.mini.world.event import Event
from adaspark.mini.world.scene import Scene


def slowed(scene: Scene, factor: float) -> Scene:
    """The scene with every moment `factor` times as late; a factor below 1 makes it faster."""
    if factor == 1:
        return scene
    camera = replace(scene.camera, period_secs=scene.camera.period_secs * factor)
    patches = tuple(
        replace(patch, start_secs=patch.start_secs * factor, end_secs=patch.end_secs * factor)
        for patch in scene.distractors
    )
    events = tuple(_slowed_event(event, factor) for event in scene.events)
    secs = scene.secs * factor
    return replace(scene, secs=secs, events=events, camera=camera, distractors=patches)


def _slowed_event(event: Event, factor: float) -> Event:
    turn = None if event.turn_secs is None else event.turn_secs * factor
    start, end = event.start_secs * factor, event.end_secs * factor
    return replace(event, start_secs=start, end_secs=end, turn_secs=turn)
