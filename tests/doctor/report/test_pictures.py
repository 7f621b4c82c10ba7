"""Pictures of the report."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from pocketvision.core.drawing import PALETTE
from pocketvision.doctor.report.examination import SampleImage
from pocketvision.doctor.report.pictures import picture_of_sample


def test_a_class_has_one_colour_whatever_else_is_in_the_image(tmp_path: Path) -> None:
    path = str(tmp_path / "white.png")
    Image.new("RGB", (200, 160), "white").save(path)
    box, other = (20.0, 40.0, 90.0, 120.0), (110.0, 40.0, 180.0, 120.0)
    names = ("cat", "dog", "owl")
    for boxes, labels in (((box,), (2,)), ((box, other), (2, 0))):
        url = picture_of_sample(SampleImage(path, boxes, labels, names))
        assert url is not None
        image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
        edge = np.asarray(image)[60:110, 19:22].reshape(-1, 3).astype(int)
        darkest = edge[edge.sum(axis=1).argmin()]
        distances = [np.abs(darkest - color).sum() for color in PALETTE[:3]]
        assert int(np.argmin(distances)) == 2
