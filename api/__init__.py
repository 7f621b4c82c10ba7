"""pocketvision: MobileNet detection and segmentation, from images to a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketvision.deploy.predict.predictor import Predictor as LoadedPredictor
    from pocketvision.models import VisionModel

__version__ = "0.1.0"


def load(
    source: str | Path,
    weights: str | Path | None = None,
    class_names: Sequence[str | None] | None = None,
) -> VisionModel:
    """A ready model: ``load("ssdlite_v3_large_coco", weights="coco")``, or of a run folder or weights file.

    See :func:`pocketvision.runs.ready_model.load_model`.
    """
    from pocketvision.runs.ready_model import load_model

    return load_model(source, weights, class_names)


class Predictor:
    """Where predictors come from: ``Predictor.load("runs/mine")("photo.jpg").save("found.png")``."""

    @staticmethod
    def load(
        source: str | Path,
        *,
        threshold: float = 0.5,
        batch_size: int = 1,
        tile: tuple[int, int] | None = None,
        overlap: float = 0.2,
        threads: int | None = None,
    ) -> LoadedPredictor:
        """The predictor of a run folder, our .safetensors, or an exported .onnx, .xml (OpenVINO) or .pt2.

        Call it with a path, an array (H, W, 3) uint8 RGB or a Pillow image, and it gives a
        :class:`pocketvision.deploy.predict.prediction.Prediction`; :meth:`predict` takes several. ``tile``
        (height, width) is for images with objects that are small in them.

        See :func:`pocketvision.tools.predict.load_predictor`.
        """
        from pocketvision.tools.predict import load_predictor

        return load_predictor(
            source, threshold=threshold, batch_size=batch_size, tile=tile, overlap=overlap, threads=threads
        )
