"""Whether the labeling tools' own packages take what predict writes for them.

    pocketvision predict RUN PHOTOS --format cvat,labelstudio,labelme --output FOUND
    uv venv labelers && uv pip install --python labelers/bin/python labelme label-studio-sdk cvat-sdk datumaro
    labelers/bin/python benchmarks/label_tools.py FOUND PHOTOS

LabelMe's reader loads every JSON; Label Studio's SDK checks labels, tasks and predictions, and its converter
makes COCO of the predictions as if they were confirmed; Datumaro reads CVAT's XML, and CVAT's SDK codes its
masks. PHOTOS is a folder without folders in it.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np


def labelme(found: Path) -> str:
    from labelme._label_file import read_label_file

    files = sorted((found / "labelme").glob("*.json"))
    count = sum(len(read_label_file(str(file)).shapes) for file in files)
    return f"labelme {_version('labelme')}: {len(files)} files, {count} shapes"


def label_studio(found: Path) -> str:
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    config = (found / "labelstudio_labels.txt").read_text(encoding="utf-8")
    interface = LabelInterface(config)
    interface.validate()
    tasks = json.loads((found / "labelstudio.json").read_text(encoding="utf-8"))
    confirmed = []
    for number, task in enumerate(tasks, start=1):
        # 2.1.2 checks tasks with predictions by a call that lacks its argument: these are checked apart.
        assert interface.validate_task({"data": task["data"]})
        (prediction,) = task["predictions"]
        errors = interface.validate_prediction(prediction, return_errors=True)
        assert not errors, errors
        annotation = {"id": number, "result": prediction["result"], "created_at": "2026-01-01T00:00:00Z"}
        confirmed.append({"id": number, "data": task["data"], "annotations": [annotation]})
    with tempfile.TemporaryDirectory() as name:
        file = Path(name, "project.json")
        file.write_text(json.dumps(confirmed), encoding="utf-8")
        converter = Converter(config=config, project_dir=name, download_resources=False)
        converter.convert_to_coco(str(file), f"{name}/coco", is_dir=False)
        coco = json.loads(Path(name, "coco", "result.json").read_text(encoding="utf-8"))
    count = sum(len(task["predictions"][0]["result"]) for task in tasks)
    assert len(coco["annotations"]) == count
    return f"label-studio-sdk {_version('label-studio-sdk')}: {len(tasks)} tasks, {count} regions"


def cvat(found: Path, photos: Path) -> str:
    from cvat_sdk.masks import decode_mask, encode_mask
    from datumaro.components.annotation import AnnotationType
    from datumaro.plugins.data_formats.cvat.base import CvatBase

    images = ET.parse(found / "cvat.xml").getroot().iter("image")
    stated = {image.get("name"): list(image) for image in images}
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(photos, Path(name, "images"))
        shutil.copy(found / "cvat.xml", name)
        data = CvatBase(f"{name}/cvat.xml", subset="cvat")
        labels = [label.name for label in data.categories()[AnnotationType.label]]
        count = 0
        for item in data:
            for read, own in zip(item.annotations, stated[Path(item.media.path).name], strict=True):
                assert labels[read.label] == own.get("label")
                count += 1
                if own.tag == "box":
                    box = [float(own.get(side, "")) for side in ("xtl", "ytl", "xbr", "ybr")]
                    np.testing.assert_allclose(read.points, box, atol=0.01)  # Datumaro rounds
                    continue
                height, width = item.media.size
                points = _points(own)
                mask = decode_mask(points, image_width=width, image_height=height)
                assert np.array_equal(mask, np.asarray(read.image) > 0) and encode_mask(mask) == points
    versions = f"datumaro {_version('datumaro')}, cvat-sdk {_version('cvat-sdk')}"
    return f"{versions}: {len(stated)} images, {count} shapes"


def _points(mask: Any) -> list[int]:
    """A mask as CVAT's server holds it: runs, and the corners of its box, both inside."""
    left, top, width, height = (int(mask.get(key)) for key in ("left", "top", "width", "height"))
    return [*map(int, mask.get("rle").split(",")), left, top, left + width - 1, top + height - 1]


def _version(package: str) -> str:
    return importlib.metadata.version(package)


if __name__ == "__main__":
    print(labelme(Path(sys.argv[1])), label_studio(Path(sys.argv[1])), sep="\n")
    print(cvat(Path(sys.argv[1]), Path(sys.argv[2])))
