"""pocketvision: MobileNet detection and segmentation, from images to a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketvision.deploy.predict.predictor import Predictor as Predictor
    from pocketvision.models import VisionModel

__version__ = "0.2.0"
__all__ = ["Predictor", "__version__", "load"]


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


def __getattr__(name: str) -> Any:
    """``pocketvision.Predictor``, imported when it is first asked for."""
    if name == "Predictor":
        from pocketvision.deploy.predict.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'pocketvision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
