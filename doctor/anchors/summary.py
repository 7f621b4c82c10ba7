"""Everything that the report says about anchors, from the boxes to train on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.doctor.anchors.fitted import fit_layout
from pocketvision.doctor.anchors.reach import (
    AnchorLayout,
    Ceiling,
    ImageBoxes,
    areas_of,
    at_size,
    best_iou,
    ceiling,
    evenly,
    match,
    resize_boxes,
)
from pocketvision.doctor.anchors.suggested import Suggestion, suggest, suggest_size

SIZES: tuple[Size, ...] = ((224, 224), (320, 320), (416, 416), (512, 512), (640, 640))
MAX_MATCHED_BOXES, MAX_BOXES = 10_000, 50_000
_WORTH = 0.02


@dataclass(frozen=True)
class Matched:
    """How an anchor layout matches at the input size: numbers of boxes, and the ceiling."""

    name: str
    num_boxes: int
    num_unmatched: int
    num_lost: int


@dataclass(frozen=True)
class AnchorReport:
    """Matching at ``image_size``, ceilings by layout and input size, and suggestions."""

    image_size: Size
    num_boxes: int
    matched: tuple[Matched, ...]
    ceilings: tuple[tuple[str, Size, Ceiling], ...]
    suggestions: tuple[Suggestion, ...]

    def as_row(self) -> dict[str, Any]:
        """What the JSON report holds."""
        return {
            "image_size": list(self.image_size),
            "num_boxes": self.num_boxes,
            "matched": [asdict(row) for row in self.matched],
            "recall_ceilings": [
                {"anchors": name, "image_size": list(size), **reached._asdict()}
                for name, size, reached in self.ceilings
            ],
            "suggestions": [
                {
                    "image_size": list(suggestion.image_size),
                    "strides": list(suggestion.layout.strides),
                    "anchors": repr(suggestion.layout.anchors),
                    **suggestion.ceiling._asdict(),
                }
                for suggestion in self.suggestions
            ],
        }


def report_anchors(found: ImageBoxes, resize: Resize, own: AnchorLayout | None) -> AnchorReport | None:
    """Report on the anchors that training uses: ``own``, those of a config, or what ``train --data`` fits.

    Suggestions are for a config, whose anchors can be changed. Of very many boxes an even part is looked
    at; ``num_boxes`` says how many. None without boxes.
    """
    if not len(found.boxes):
        return None
    sizes = tuple(sorted({*SIZES, resize.image_size}))
    to_match, sample = evenly(found, MAX_MATCHED_BOXES), evenly(found, MAX_BOXES)
    layouts = {size: own or fit_layout(sample, at_size(resize, size)) for size in sizes}
    here = layouts[resize.image_size]
    result = match(to_match, here, resize)
    unmatched, lost = int(result.unmatched.sum()), int(result.lost.sum())
    matched = Matched(here.name, len(to_match.boxes), unmatched, lost)
    areas = areas_of(sample.boxes)
    ceilings = []
    for size, layout in layouts.items():
        boxes = resize_boxes(sample, at_size(resize, size))
        ceilings.append((layout.name, size, ceiling(best_iou(boxes, layout, size), areas)))
    suggestions = () if own is None else _suggestions(sample, resize, own.strides, sizes)
    return AnchorReport(resize.image_size, len(sample.boxes), (matched,), tuple(ceilings), suggestions)


def _suggestions(
    found: ImageBoxes, resize: Resize, strides: tuple[int, ...], sizes: tuple[Size, ...]
) -> tuple[Suggestion, ...]:
    """For the maps as they are, with a finer map where that is worth it, and at the best input size."""
    suggestions = [suggest(found, resize, strides)]
    finer = (strides[0] // 2, *strides)
    if finer[0] >= 4:
        with_finer = suggest(found, resize, finer, all_maps=False)
        if (with_finer.ceiling.all or 0.0) >= (suggestions[0].ceiling.all or 0.0) + _WORTH:
            suggestions.append(with_finer)
    best = suggest_size(found, resize, finer if len(suggestions) > 1 else strides, sizes)
    if best.image_size != resize.image_size:
        suggestions.append(best)
    return tuple(suggestions)
