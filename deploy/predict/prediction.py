"""What a model says about one image: to draw, to save, to pass on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pocketvision.core.drawing import (
    draw_boxes,
    drawing_sizes,
    false_color,
    name_regions,
    overlay_mask,
    palette_for,
    save_image,
    write_lines,
)
from pocketvision.core.errors import InputError
from pocketvision.core.resize import Image
from pocketvision.core.structures import Size

_MASK_ALPHA = 0.5
_PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, eq=False)
class Prediction:
    """The result for ``image`` (H, W, 3) uint8 RGB, or of the channels that the model takes, in its pixels.

    Detection has ``boxes`` (M, 4) float32 xyxy, ``scores`` (M,) and ``labels`` (M,), best first.
    Segmentation has ``label_map`` (H, W) uint8 of class indices. Classification has the ``scores`` and
    ``labels`` of the best classes. ``labels`` are indices into ``class_names``. ``path`` is the image's
    file or address, ``frame`` its place in a video; both None if unknown.
    """

    task: Literal["detection", "segmentation", "classification"]
    image: Image = field(repr=False)
    class_names: tuple[str | None, ...] = field(repr=False)
    path: str | None = None
    frame: int | None = None
    boxes: npt.NDArray[np.float32] | None = None
    scores: npt.NDArray[np.float32] | None = None
    labels: npt.NDArray[np.int64] | None = None
    label_map: npt.NDArray[np.uint8] | None = field(default=None, repr=False)

    @property
    def size(self) -> Size:
        """(height, width) of the image."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def names(self) -> list[str]:
        """The class name of each of ``labels``; for segmentation of each class in the label map."""
        labels = self.labels if self.labels is not None else np.unique(np.asarray(self.label_map))
        return [self._name(label) for label in labels.tolist()]

    def draw(self) -> Image:
        """The image (H, W, 3) with what was found; lines and letters suit its size."""
        line_width, font_size = drawing_sizes(self.size)
        if self.boxes is not None and self.labels is not None:
            return draw_boxes(
                false_color(self.image), self.boxes, self.labels, self.class_names, self.scores,
                line_width=line_width, font_size=font_size,
            )  # fmt: skip
        if self.label_map is not None:
            return self._draw_masks(font_size)
        scores = [] if self.scores is None else self.scores.tolist()
        lines = [f"{name} {score:.2f}" for name, score in zip(self.names, scores, strict=True)]
        return write_lines(false_color(self.image), lines, font_size)

    def _draw_masks(self, font_size: int) -> Image:
        assert self.label_map is not None
        palette = palette_for(self.class_names)
        is_background = np.array([name == "background" for name in self.class_names])
        picture = false_color(self.image)
        drawn = overlay_mask(picture, self.label_map, palette, _MASK_ALPHA)
        drawn = np.where(is_background[self.label_map][..., None], picture, drawn)
        names = [None if name == "background" else name for name in self.class_names]
        return name_regions(drawn, self.label_map, names, palette, font_size)

    def save(self, path: str | Path) -> None:
        """Write :meth:`draw` as a PNG or JPEG file.

        Raises:
            InputError: the suffix is another one, or the file is the image that this was predicted from.
        """
        target = Path(path)
        if target.suffix.lower() not in _PICTURE_SUFFIXES:
            raise InputError(f"{target} is no name for a picture: end it in {', '.join(_PICTURE_SUFFIXES)}.")
        if self.path is not None and target.resolve() == Path(self.path).resolve():
            raise InputError(f"{target} is the image itself: save the prediction under another name.")
        save_image(target, self.draw())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON.

        ``image``, ``frame`` in videos, ``size`` [height, width], ``task`` and, by task, ``detections`` with
        ``box`` [x1, y1, x2, y2], ``score``, ``label`` and ``name``; or ``classes`` with ``label``, ``name``
        and ``score``, in segmentation ``share`` of the image.
        """
        facts: dict[str, Any] = {"image": self.path, "size": list(self.size), "task": self.task}
        if self.frame is not None:
            facts["frame"] = self.frame
        rows = self._rows()
        return {**facts, "detections" if self.task == "detection" else "classes": rows}

    def _rows(self) -> list[dict[str, Any]]:
        if self.label_map is not None:
            labels, counts = np.unique(self.label_map, return_counts=True)
            shares = (counts / self.label_map.size).round(6).tolist()
            pairs = zip(labels.tolist(), shares, strict=True)
            return [{"label": label, "name": self._name(label), "share": share} for label, share in pairs]
        assert self.labels is not None and self.scores is not None
        scores = self.scores.astype(np.float64).round(5).tolist()
        rows = [
            {"label": label, "name": self._name(label), "score": score}
            for label, score in zip(self.labels.tolist(), scores, strict=True)
        ]
        if self.boxes is None:
            return rows
        boxes = self.boxes.astype(np.float64).round(2).tolist()
        return [{"box": box, **row} for box, row in zip(boxes, rows, strict=True)]

    def _name(self, label: int) -> str:
        return self.class_names[label] or str(label)
