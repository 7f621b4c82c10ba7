"""What a model says about one image: to draw, to save, to pass on."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

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
from pocketvision.core.terminal import notebook
from pocketvision.deploy.predict import exchange

Task = Literal["detection", "segmentation", "classification", "joint"]
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

    task: Task
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

    def __len__(self) -> int:
        """How many objects were found; for segmentation how many classes are in the label map."""
        return len(self._rows())

    def __bool__(self) -> bool:
        """A prediction in which nothing was found is one, too."""
        return True

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """What was found, one by one, as in :meth:`to_dict`."""
        return iter(self._rows())

    def _repr_png_(self) -> bytes:
        """The picture that a notebook shows."""
        file = io.BytesIO()
        PillowImage.fromarray(self.draw()).save(file, format="PNG")
        return file.getvalue()

    def show(self) -> None:
        """Put :meth:`draw` below the cell of a notebook, elsewhere into the system's viewer."""
        if (place := notebook()) is not None:
            place.display(self)
        else:
            PillowImage.fromarray(self.draw()).show()

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

    def to_numpy(self) -> npt.NDArray[Any]:
        """Rows (M, 6) of x1, y1, x2, y2, score, label; (M, 2) of score, label; or the label map (H, W)."""
        return exchange.to_numpy(self)

    def to_df(self) -> Any:
        """A ``pandas.DataFrame`` with the columns that ``predict --format csv`` writes, not rounded.

        Raises:
            InputError: pandas is missing. Every other method ``to_...`` says so of its package, too.
        """
        return exchange.to_df(self)

    def to_supervision(self) -> Any:
        """``supervision.Detections``, with a mask a class for segmentation, or ``Classifications``."""
        return exchange.to_supervision(self)

    def to_fiftyone(self, label_field: str = "predictions") -> Any:
        """A ``fiftyone.Sample`` of the image's path with what was found in ``label_field``."""
        return exchange.to_fiftyone(self, label_field)

    def to_fiftyone_dict(self) -> dict[str, Any]:
        """The FiftyOne label as a dict, without FiftyOne."""
        return exchange.to_fiftyone_dict(self)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO's annotations, with scores: boxes, or an RLE mask a class. Category ids are labels plus 1."""
        return exchange.to_coco(self, image_id)

    @classmethod
    def from_numpy(
        cls, image: Image, array: npt.NDArray[Any], class_names: exchange.Names, task: Task = "detection"
    ) -> Prediction:
        """The prediction whose :meth:`to_numpy` is ``array``.

        Raises:
            InputError: a label without a name, a value that is no number, or a shape that does not fit.
                Every other method ``from_...`` says so, too.
        """
        return cls._of(
            image, exchange.from_numpy(array, task, class_names, image.shape[:2]), class_names, task
        )

    @classmethod
    def from_df(
        cls, image: Image, table: Any, class_names: exchange.Names, task: Task = "detection"
    ) -> Prediction:
        """The prediction whose :meth:`to_df` is ``table``, which may have more columns."""
        return cls._of(image, exchange.from_df(table, task, class_names), class_names, task)

    @classmethod
    def from_supervision(
        cls, image: Image, found: Any, class_names: exchange.Names, task: Task = "detection"
    ) -> Prediction:
        """The boxes, masks or classes of supervision's object; ``class_id`` indexes ``class_names``."""
        fields = exchange.from_supervision(found, task, class_names, image.shape[:2])
        return cls._of(image, fields, class_names, task)

    @classmethod
    def from_fiftyone(
        cls, image: Image, label: Any, class_names: exchange.Names, task: Task = "detection"
    ) -> Prediction:
        """What a FiftyOne label, or its dict, holds; by class name."""
        fields = exchange.from_fiftyone(label, task, class_names, image.shape[:2])
        return cls._of(image, fields, class_names, task)

    @classmethod
    def from_coco(
        cls,
        image: Image,
        annotations: Sequence[Mapping[str, Any]],
        class_names: exchange.Names,
        task: Task = "detection",
    ) -> Prediction:
        """What annotations of one image hold, in which category ids are labels plus 1."""
        fields = exchange.from_coco(annotations, task, class_names, image.shape[:2])
        return cls._of(image, fields, class_names, task)

    @classmethod
    def _of(cls, image: Image, fields: dict[str, Any], class_names: exchange.Names, task: Task) -> Prediction:
        return cls(task, image, tuple(class_names), **fields)
