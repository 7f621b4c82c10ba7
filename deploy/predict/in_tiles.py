"""What a model finds in the windows of an image, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from pocketvision.core.resize import Image
from pocketvision.core.structures import ArrayDetections, Window
from pocketvision.datasets.tiles.merging import merge_detections, merge_label_maps
from pocketvision.deploy.predict.interpret import image_size, with_boxes
from pocketvision.deploy.predict.joint_prediction import JointPrediction
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.runtimes.artifact import Artifact


def put_together(
    artifact: Artifact, image: Image, found: Sequence[Prediction], windows: Sequence[Window]
) -> Prediction:
    """The prediction for ``image`` from what was ``found`` in each of its ``windows``.

    Boxes are of all windows. Tiles are of one size; a last window of another is the image as a whole, of
    which no pixels are taken. The class of the image is what the last window has.
    """
    if artifact.parts:
        joint = [cast(JointPrediction, one).parts for one in found]
        parts: dict[str, Prediction] = {
            part.task: put_together(part, image, [one[part.task] for one in joint], windows)
            for part in artifact.parts
        }
        return JointPrediction.of(image, parts)
    if artifact.task == "detection":
        return with_boxes(image, artifact.class_names, _boxes(artifact, image, found, windows))
    if artifact.task == "segmentation":
        label_map = _label_map(image, found, windows)
        return Prediction("segmentation", image, artifact.class_names, label_map=label_map)
    last = found[-1]
    return Prediction("classification", image, artifact.class_names, scores=last.scores, labels=last.labels)


def _boxes(
    artifact: Artifact, image: Image, found: Sequence[Prediction], windows: Sequence[Window]
) -> ArrayDetections:
    assert artifact.postprocess is not None
    parts = [ArrayDetections(*map(np.asarray, (one.boxes, one.scores, one.labels))) for one in found]
    return merge_detections(parts, windows, image_size(image), artifact.postprocess.iou_threshold)


def _label_map(image: Image, found: Sequence[Prediction], windows: Sequence[Window]) -> npt.NDArray[np.uint8]:
    tiles = [window for window in windows if window[2:] == windows[0][2:]]
    maps = [np.asarray(one.label_map, np.uint8) for one in found[: len(tiles)]]
    return merge_label_maps(maps, tiles, image_size(image))
