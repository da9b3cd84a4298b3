"""Trace to pictures: the viewer's scene, charts, an offline report, frames with the selection."""
