"""Charts of the evaluations as PNG: each function draws one kind, none knows what was measured."""

from adaspark.eval.report.charts.bars import bars_with_intervals
from adaspark.eval.report.charts.frames import Case, case_frames
from adaspark.eval.report.charts.fronts import pareto
from adaspark.eval.report.charts.heatmaps import heatmap_panels
from adaspark.eval.report.charts.lines import concentration, layer_grid, lines
from adaspark.eval.report.charts.style import MAX_SERIES

__all__ = [
    "MAX_SERIES",
    "Case",
    "bars_with_intervals",
    "case_frames",
    "concentration",
    "heatmap_panels",
    "layer_grid",
    "lines",
    "pareto",
]
