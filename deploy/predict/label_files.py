"""Predictions -> files that labeling tools import, for people to correct: CVAT, Label Studio, LabelMe.

Objects are boxes, or the outlines of what a segmenter saw; the readers of ``pocketvision.datasets`` take
the corrected files back. Numbers are written so that they are read as the same float32.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from pocketvision.core.files import replacing, write_json
from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.label_outlines import MaskPart, outlines_of, parts_of
from pocketvision.deploy.predict.output_names import OutputNames
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.sources import Source

_BACKGROUND = "background"


class PreLabel(NamedTuple):
    """An object for a labeling tool: the corners of a polygon, or two corners and a score."""

    name: str
    corners: list[list[float]]
    score: float | None = None


class PictureNames:
    """Paths of pictures below the folder that is common to all of them, as tools show them."""

    def __init__(self, sources: Sequence[Source]) -> None:
        folders = [source.path.resolve().parent for source in sources if source.path is not None]
        self.folder = Path(os.path.commonpath(folders)) if folders else Path()

    def of(self, source: Source) -> str:
        """The path with ``/``, and without what no file can hold."""
        inner = Path(source.name).resolve().relative_to(self.folder).as_posix()
        return replace(source, name=inner).public_name


class LabelMeWriter:
    """``labelme/NAME.json`` beside which LabelMe finds the picture: rectangles, or polygons."""

    def __init__(self, names: OutputNames) -> None:
        self.names = names

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        file = self.names.file(frame, ".json", "labelme")
        height, width = prediction.size
        shape_type = "rectangle" if prediction.task == "detection" else "polygon"
        shapes: list[dict[str, Any]] = [
            {
                "label": item.name,
                "points": item.corners,
                "group_id": None,
                "description": "",
                "shape_type": shape_type,
                "flags": {},
                "mask": None,
                **({} if item.score is None else {"score": item.score}),
            }
            for item in _pre_labels(prediction)
        ]
        content: dict[str, Any] = {
            "version": "5.0.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": _path_from(file.parent, frame.source),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write_json(file, content)

    def close(self) -> None:
        pass


class LabelStudioWriter:
    """``labelstudio.json``: tasks with predictions; ``labelstudio_labels.txt``: the labeling interface."""

    def __init__(self, names: OutputNames, class_names: Sequence[str | None], task: str) -> None:
        self.names, self.class_names = names, class_names
        self.kind = "rectangle" if task == "detection" else "polygon"
        self.pictures = PictureNames(list(names.stems))
        self.tasks: list[dict[str, Any]] = []

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        inner = f"{self.pictures.folder.name}/{self.pictures.of(frame.source)}"
        height, width = prediction.size
        results = [
            {
                "id": f"{len(self.tasks) + 1}_{number}",
                "from_name": "label",
                "to_name": "image",
                "type": f"{self.kind}labels",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": self._value(item, width, height),
                **({} if item.score is None else {"score": item.score}),
            }
            for number, item in enumerate(_pre_labels(prediction), start=1)
        ]
        self.tasks.append(
            {
                "data": {"image": f"/data/local-files/?d={quote(inner)}"},
                "predictions": [{"model_version": "pocketvision", "result": results}],
            }
        )

    def _value(self, item: PreLabel, width: int, height: int) -> dict[str, Any]:
        points = [[100 * x / width, 100 * y / height] for x, y in item.corners]
        labels = {f"{self.kind}labels": [item.name]}
        if self.kind == "polygon":
            return {"points": points, "closed": True, **labels}
        (left, top), (right, bottom) = points
        return {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0, **labels}

    def close(self) -> None:
        write_json(self.names.file_of_all("labelstudio.json"), self.tasks)
        view, kind = ET.Element("View"), f"{self.kind.capitalize()}Labels"
        ET.SubElement(view, "Image", name="image", value="$image")
        labels = ET.SubElement(view, kind, name="label", toName="image")
        for name in _names(self.class_names):
            ET.SubElement(labels, "Label", value=name)
        ET.indent(view)
        with replacing(self.names.file_of_all("labelstudio_labels.txt")) as temporary:
            temporary.write_text(ET.tostring(view, encoding="unicode") + "\n", encoding="utf-8")


class CvatWriter:
    """``cvat.xml``, "CVAT for images 1.1", with boxes or masks; ``cvat_labels.json``: the raw labels."""

    def __init__(self, names: OutputNames, class_names: Sequence[str | None], task: str) -> None:
        self.names, self.pictures = names, PictureNames(list(names.stems))
        has_masks = task == "segmentation"
        self.labels = [name for name in _names(class_names) if not (has_masks and name == _BACKGROUND)]
        self.root = ET.Element("annotations")
        ET.SubElement(self.root, "version").text = "1.1"
        labels = ET.SubElement(ET.SubElement(ET.SubElement(self.root, "meta"), "task"), "labels")
        for name in self.labels:
            label = ET.SubElement(labels, "label")
            ET.SubElement(label, "name").text = name
            ET.SubElement(label, "attributes")
        self.num_images = 0

    def add(self, frame: SourceFrame, prediction: Prediction) -> None:
        height, width = prediction.size
        name = self.pictures.of(frame.source)
        stated = {"id": str(self.num_images), "name": name, "width": str(width), "height": str(height)}
        image = ET.SubElement(self.root, "image", stated)
        self.num_images += 1
        common = {"source": "auto", "occluded": "0", "z_order": "0"}
        if prediction.label_map is not None:
            for part in parts_of(prediction.label_map):
                label = _name(prediction, part.label)
                if label != _BACKGROUND:
                    ET.SubElement(image, "mask", {"label": label, **_mask(part), **common})
            return
        for item in _pre_labels(prediction):
            sides = (str(side) for corner in item.corners for side in corner)
            box = dict(zip(("xtl", "ytl", "xbr", "ybr"), sides, strict=True))
            ET.SubElement(image, "box", {"label": item.name, **box, **common})

    def close(self) -> None:
        ET.indent(self.root)
        with replacing(self.names.file_of_all("cvat.xml")) as temporary:
            ET.ElementTree(self.root).write(temporary, encoding="utf-8", xml_declaration=True)
        write_json(
            self.names.file_of_all("cvat_labels.json"),
            [{"name": name, "attributes": []} for name in self.labels],
        )


def _pre_labels(prediction: Prediction) -> Iterator[PreLabel]:
    if prediction.label_map is not None:
        names = list(prediction.class_names)
        background = names.index(_BACKGROUND) if _BACKGROUND in names else None
        for outline in outlines_of(prediction.label_map, background):
            yield PreLabel(_name(prediction, outline.label), _plain(outline.corners))
        return
    assert prediction.boxes is not None and prediction.scores is not None
    for box, score, name in zip(prediction.boxes, prediction.scores, prediction.names, strict=True):
        yield PreLabel(name, _plain(box.reshape(2, 2)), _shortest(score))


def _plain(corners: npt.NDArray[Any]) -> list[list[float]]:
    return [[_shortest(side) for side in corner] for corner in corners]


def _shortest(value: Any) -> float:
    """The number of the fewest digits that is the same float32, or float64."""
    return float(str(value))


def _mask(part: MaskPart) -> dict[str, str]:
    """Runs of pixels outside and inside in turn, row by row, from one outside on."""
    inside = part.pixels.ravel()
    edges = np.flatnonzero(np.diff(inside, prepend=False))
    runs = np.diff(edges, prepend=0, append=len(inside))
    height, width = part.pixels.shape
    return {
        "rle": ", ".join(map(str, runs.tolist())),
        "left": str(part.left),
        "top": str(part.top),
        "width": str(width),
        "height": str(height),
    }


def _names(class_names: Sequence[str | None]) -> list[str]:
    return [name for name in class_names if name is not None]


def _name(prediction: Prediction, label: int) -> str:
    return prediction.class_names[label] or str(label)


def _path_from(folder: Path, source: Source) -> str:
    """The picture as seen from a folder; whole where it lies on another drive."""
    picture = Path(source.name).resolve()
    try:
        path = Path(os.path.relpath(picture, folder.resolve()))
    except ValueError:
        path = picture
    return replace(source, name=path.as_posix()).public_name
