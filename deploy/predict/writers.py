"""Predictions -> files: pictures and videos, COCO JSON, YOLO text, CSV, masks, JSON, labels for tools."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from PIL import Image as PillowImage

from pocketvision.core.drawing import palette_for, save_image
from pocketvision.core.files import replacing, write_json
from pocketvision.core.structures import IGNORE_INDEX, names_by_task
from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.joint_prediction import JointPrediction
from pocketvision.deploy.predict.label_files import CvatWriter, LabelMeWriter, LabelStudioWriter
from pocketvision.deploy.predict.output_names import OutputNames
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.video import VideoFile
from pocketvision.deploy.prediction_formats import tasks_of

CSV_COLUMNS = {
    "detection": ("image", "frame", "x1", "y1", "x2", "y2", "score", "label", "name"),
    "segmentation": ("image", "frame", "label", "name", "share"),
    "classification": ("image", "frame", "score", "label", "name"),
}
_GRAY = (64, 64, 64)
JOINT = "joint"
"""What the task of a model of several is called."""


class PredictionWriter(Protocol):
    """One kind of file."""

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Take a prediction."""

    def close(self) -> None:
        """Write what needs all of them."""


class PictureWriter:
    """``NAME.jpg`` or ``NAME.png`` an image, ``NAME.mp4`` a video: with what was found drawn in."""

    def __init__(self, names: OutputNames, files: ExitStack) -> None:
        self.names, self.file = names, files.enter_context(ExitStack())
        self.video: tuple[Source, VideoFile] | None = None

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        picture = prediction.draw()
        if frame.number is None:
            suffix = ".png" if Path(frame.source.name).suffix.lower() == ".png" else ".jpg"
            save_image(self.names.file(frame, suffix), picture)
            return
        if self.video is None or self.video[0] != frame.source:
            self.file.close()  # the video before
            path = self.names.file(frame._replace(number=None), ".mp4", also=(".avi",))
            video = self.file.enter_context(VideoFile(path.parent, path.stem, frame.rate, prediction.size))
            if video.path.suffix != path.suffix:
                print(f"OpenCV can write no mp4 here: writing {video.path}.", flush=True)
            self.video = frame.source, video
        self.video[1].add(picture)

    def close(self) -> None:
        pass


class MaskWriter:
    """``masks/NAME.png``: class indices with a palette, which viewers show as colors."""

    def __init__(self, names: OutputNames, class_names: Sequence[str | None]) -> None:
        self.names = names
        colors = [*palette_for(class_names)][:IGNORE_INDEX]
        colors += [(0, 0, 0)] * (IGNORE_INDEX - len(colors)) + [_GRAY]
        self.palette = [value for color in colors for value in color]

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        assert prediction.label_map is not None
        mask = PillowImage.fromarray(prediction.label_map)
        mask.putpalette(self.palette)
        with replacing(self.names.file(frame, ".png", "masks")) as temporary:
            mask.save(temporary, format="PNG")

    def close(self) -> None:
        pass


class YoloWriter:
    """``labels/NAME.txt``: ``class x y width height score`` a box, in shares; ``classes.txt``."""

    def __init__(self, names: OutputNames, class_names: Sequence[str | None]) -> None:
        self.names = names
        lines = [f"{name or index}\n" for index, name in enumerate(class_names)]
        with replacing(names.file_of_all("classes.txt")) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        assert prediction.boxes is not None and prediction.labels is not None
        assert prediction.scores is not None
        height, width = prediction.size
        boxes = prediction.boxes.astype(np.float64) / [width, height, width, height]
        rows = np.concatenate(
            ((boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2], prediction.scores[:, None]),
            axis=1,
        )
        lines = [
            f"{label} {' '.join(f'{value:.6f}' for value in row)}\n"
            for label, row in zip(prediction.labels.tolist(), rows.tolist(), strict=True)
        ]
        with replacing(self.names.file(frame, ".txt", "labels")) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")

    def close(self) -> None:
        pass


class CocoWriter:
    """``predictions.json``: images, categories, and an annotation with a score for each box.

    A category's id is its class's index plus 1; a video's frames are images of their own.
    """

    def __init__(self, names: OutputNames, class_names: Sequence[str | None]) -> None:
        self.names = names
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories = [
            {"id": i + 1, "name": name} for i, name in enumerate(class_names) if name is not None
        ]

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        image_id, (height, width) = len(self.images) + 1, prediction.size
        facts = prediction.to_dict()
        name = facts["image"] if frame.number is None else self.names.stem(frame) + ".jpg"
        self.images.append({"id": image_id, "file_name": name, "height": height, "width": width})
        for found in facts["detections"]:
            x1, y1, x2, y2 = found["box"]
            sides = round(x2 - x1, 2), round(y2 - y1, 2)
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1,
                    "image_id": image_id,
                    "category_id": found["label"] + 1,
                    "bbox": [x1, y1, *sides],
                    "area": round(sides[0] * sides[1], 2),
                    "iscrowd": 0,
                    "score": found["score"],
                }
            )

    def close(self) -> None:
        content = {"images": self.images, "categories": self.categories, "annotations": self.annotations}
        write_json(self.names.file_of_all("predictions.json"), content)


class CsvWriter:
    """``predictions.csv``: a line for each box, or for each class of an image."""

    def __init__(self, names: OutputNames, files: ExitStack, task: str) -> None:
        temporary = files.enter_context(replacing(names.file_of_all("predictions.csv")))
        file = files.enter_context(temporary.open("w", newline="", encoding="utf-8"))
        self.rows = csv.DictWriter(file, CSV_COLUMNS[task])
        self.rows.writeheader()

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        facts = prediction.to_dict()
        place = {"image": facts["image"], "frame": facts.get("frame")}
        for row in facts["detections" if "detections" in facts else "classes"]:
            box = row.pop("box", ())
            self.rows.writerow({**place, **dict(zip(("x1", "y1", "x2", "y2"), box, strict=False)), **row})

    def close(self) -> None:
        pass


class JsonWriter:
    """``path``: a list of :meth:`Prediction.to_dict`, one an image or frame; ``-`` is standard output."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        self.rows.append(prediction.to_dict())

    def close(self) -> None:
        if self.path == Path("-"):
            print(json.dumps(self.rows, indent=2, ensure_ascii=False))
        else:
            write_json(self.path, self.rows)


class Writers:
    """All that is written, in a ``with`` statement: files are complete when it ends without an error.

    ``formats`` are those of :data:`PREDICTION_FORMATS`, into the folder ``output``; ``json_file`` is the
    file of :class:`JsonWriter`, None for none.
    """

    def __init__(
        self,
        formats: Sequence[str],
        names: OutputNames,
        task: str,
        class_names: Sequence[str | None],
        json_file: Path | None = None,
    ) -> None:
        self.files = ExitStack()
        own = names_by_task(class_names) if task == JOINT else {task: tuple(class_names)}
        tasks = tasks_of(formats, task, tuple(own))
        makers: dict[str, Callable[[Sequence[str | None]], PredictionWriter]] = {
            "images": lambda _: PictureWriter(names, self.files),
            "csv": lambda _: CsvWriter(names, self.files, task),
            "coco": lambda classes: CocoWriter(names, classes),
            "yolo": lambda classes: YoloWriter(names, classes),
            "masks": lambda classes: MaskWriter(names, classes),
            "cvat": lambda classes: CvatWriter(names, classes, task),
            "labelstudio": lambda classes: LabelStudioWriter(names, classes, task),
            "labelme": lambda _: LabelMeWriter(names),
        }
        self.writers = [(tasks[name], makers[name](own.get(tasks[name], ()))) for name in formats]
        if json_file is not None:
            self.writers.append((task, JsonWriter(json_file)))

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        """Pass a prediction to all of them, or to each the part that it is for."""
        for task, writer in self.writers:
            if isinstance(prediction, JointPrediction) and task != JOINT:
                writer.add(frame, prediction.parts[task])
            else:
                writer.add(frame, prediction)

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.files:
            if kind is not None and error is not None:
                raise error
            for _, writer in self.writers:
                writer.close()
