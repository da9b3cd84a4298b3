"""Tables, findings and pictures of `adaspark eval case`.

Everything but the frames follows from the items; the frames are drawn again from their scenes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from adaspark.eval.case.frames import case_of
from adaspark.eval.harness.by_layer import said_left_out
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.report import stats
from adaspark.eval.report.cells import written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.tables import Columns, Row, Table

KINDS = {"key": "the key word", "answer": "the row that answers"}
COVERED = 0.5
"""A case is a hit if this share of the object's tokens is chosen, a miss if none is."""
DRAWN = 4
"""cases in a picture: more would not fit on a page"""

Items = Sequence[Mapping[str, Any]]


def summarise(items: Items) -> list[Table]:
    """The fit of chosen and true tokens by layer, and by family in the layer that fits best."""
    return [_by_layer(items), _by_family(items)] if items else []


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    results.save(summarise(results.items), list(_figures(results)))
    write_page(
        results,
        title="Which cubes a word chooses",
        paper="Fig. 5",
        seen=list(findings(results.items)),
        failed=[*failures(results.items), *said_left_out(results.data)],
    )


def findings(items: Items) -> Iterator[str]:
    """How well the choices of each kind of word fit, in the layer that fits best."""
    for kind, words in KINDS.items():
        mine = of_kind(items, kind)
        if not mine:
            continue
        layer = best_layer(mine)
        recall, share, iou = (mean_of(mine, name, layer) for name in ("recall", "share", "iou"))
        more = lift(mine, layer)
        yield (
            f"Of {words}, layer {layer} fits best: its cubes cover {written(recall, 'percent')} of "
            f"the object's tokens in {written(share, 'percent')} of the video, "
            f"{written(more, 'points')} points more than cubes drawn by lot would; IoU "
            f"{written(iou, 'percent')} of at most {written(_ceiling(mine), 'percent')} for whole "
            "cubes that cover the object."
        )


def failures(items: Items) -> Iterator[str]:
    """Words and families whose choices fit no better than random cubes, and missed objects."""
    for kind, words in KINDS.items():
        mine = of_kind(items, kind)
        if not mine:
            continue
        layer = best_layer(mine)
        blind = [family for family, own in families(mine).items() if lift(own, layer).low <= 0]
        if blind:
            yield (
                f"Of {words}, layer {layer}: not shown to find the object better than by lot in "
                f"{', '.join(blind)}."
            )
        missed = sum(item["recall"][layer] == 0 for item in mine)
        right = sum(item["recall"][layer] == 0 and item["correct"] == 1 for item in mine)
        if missed:
            yield (
                f"Of {words}, layer {layer} chooses nothing of the object in {missed} of "
                f"{len(mine)} questions; {right} of them are answered right all the same, by way "
                "of other layers, heads or words."
            )


def of_kind(items: Items, kind: str) -> Items:
    """Items of the key words, or of the answering rows."""
    return [item for item in items if item["key"][2] == kind]


def best_layer(items: Items) -> int:
    """The layer whose chosen cubes fit the truth best: greatest mean IoU, the first of equals."""
    return int(np.argmax(np.mean([item["iou"] for item in items], axis=0)))


def mean_of(items: Items, name: str, layer: int) -> stats.Estimate:
    """Mean of a figure in one layer, bootstrapped by video."""
    return stats.bootstrap_mean([i[name][layer] for i in items], [i["key"][0] for i in items])


def lift(items: Items, layer: int) -> stats.Estimate:
    """Share of the truth that is chosen, less the share of the video: 0 for random cubes."""
    more = [item["recall"][layer] - item["share"][layer] for item in items]
    return stats.bootstrap_mean(more, [item["key"][0] for item in items])


def cases(items: Items, layer: int) -> tuple[Items, Items]:
    """The first hit of each family, by seed, and the first miss; at most `DRAWN` of each."""
    hits: dict[str, Mapping[str, Any]] = {}
    misses: dict[str, Mapping[str, Any]] = {}
    for item in sorted(items, key=lambda item: item["key"][:2]):
        recall = item["recall"][layer]
        if recall >= COVERED and item["correct"]:
            hits.setdefault(item["family"], item)
        elif recall == 0:
            misses.setdefault(item["family"], item)
    return list(hits.values())[:DRAWN], list(misses.values())[:DRAWN]


def families(items: Items) -> dict[str, Items]:
    """Items by family."""
    names = dict.fromkeys(item["family"] for item in items)
    return {name: [item for item in items if item["family"] == name] for name in names}


def _ceiling(items: Items) -> float:
    return float(np.mean([item["ceiling"] for item in items]))


def _by_layer(items: Items) -> Table:
    columns: Columns = {
        "word": "text",
        "layer": "count",
        "of the object chosen": "percent",
        "of the video chosen": "percent",
        "more than by lot, points": "points",
        "IoU": "percent",
        "highest IoU of cubes": "percent",
    }
    rows: list[Row] = []
    for kind, words in KINDS.items():
        mine = of_kind(items, kind)
        for layer in range(len(mine[0]["iou"]) if mine else 0):
            recall, share, iou = (mean_of(mine, name, layer) for name in ("recall", "share", "iou"))
            rows.append([words, layer, recall, share, lift(mine, layer), iou, _ceiling(mine)])
    note = (
        "A cube counts where half of the heads or more kept it. Tokens; means over questions with "
        "a 95 % interval, bootstrapped by video."
    )
    return Table("Chosen and true tokens by layer", columns, rows, note)


def _by_family(items: Items) -> Table:
    columns: Columns = {
        "word": "text",
        "family": "text",
        "questions": "count",
        "layer": "count",
        "of the object chosen": "percent",
        "more than by lot, points": "points",
        "right": "percent",
        "hits": "count",
        "misses": "count",
    }
    rows: list[Row] = []
    for kind, words in KINDS.items():
        mine = of_kind(items, kind)
        layer = best_layer(mine) if mine else 0
        for family, own in families(mine).items():
            recalls = np.array([item["recall"][layer] for item in own])
            right = stats.wilson(sum(item["correct"] == 1 for item in own), len(own))
            shares: Row = [mean_of(own, "recall", layer), lift(own, layer), right]
            counts: Row = [int((recalls >= COVERED).sum()), int((recalls == 0).sum())]
            rows.append([words, family, len(own), layer, *shares, *counts])
    note = "In the layer that fits best. Hit: half of the object or more is chosen; miss: nothing."
    return Table("Chosen and true tokens by family", columns, rows, note)


def _figures(results: Results) -> Iterator[Figure]:
    """Hits and misses of each kind of word, in the layer that fits best."""
    from adaspark.eval.report import charts

    plan = results.plan
    drawn_again = mixed_clips(
        Length.parse(plan["length"]),
        items=plan["items"],
        families=plan["families"],
        seed=results.seed,
    )
    clips = {clip.seed: clip for clip in drawn_again}
    for kind, words in KINDS.items():
        mine = of_kind(results.items, kind)
        if not mine:
            continue
        layer = best_layer(mine)
        for name, found in zip(("hits", "misses"), cases(mine, layer), strict=True):
            if found:
                title = f"{name.capitalize()} of {words}, layer {layer}"
                drawn = [
                    case_of(clips[i["key"][0]], i, layer, results.config["cube"]) for i in found
                ]
                note = "The first of each family by seed. Small model, synthetic video."
                picture = charts.case_frames(drawn, title=title, note=note)
                alt = "; ".join(case.title for case in drawn)
                yield Figure(f"case_{kind}_{name}", picture, title, f"{title}: {alt}.")
