"""pocketvision: MobileNet detection and segmentation, from images to a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pocketvision.deploy.predict.predictor import Predictor as Predictor
    from pocketvision.models import VisionModel

__version__ = "0.2.0"
__all__ = ["Predictor", "__version__", "from_pretrained", "load", "push_to_hub", "save_pretrained"]


def load(
    source: str | Path,
    weights: str | Path | None = None,
    class_names: Sequence[str | None] | None = None,
) -> VisionModel:
    """A ready model: ``load("ssdlite_v3_large_coco", weights="coco")``, or of a run folder or weights file.

    ``load("hf://owner/name")`` is :func:`from_pretrained`. See
    :func:`pocketvision.runs.ready_model.load_model`.

    Raises:
        InputError: nothing is there, it does not fit, or nobody names the classes.
    """
    if str(source).startswith("hf://"):
        from pocketvision.core.errors import InputError

        if weights is not None or class_names is not None:
            raise InputError(f"{source} has its own weights and class names: give neither.")
        return from_pretrained(source)
    from pocketvision.runs.ready_model import load_model

    return load_model(source, weights, class_names)


def save_pretrained(source: str | Path, folder: str | Path, licence: str | None = None) -> Path:
    """Write the weights of a run or of our .safetensors, and a model card, into ``folder``.

    See :func:`pocketvision.deploy.hub.save_pretrained`.
    """
    from pocketvision.deploy.hub import save_pretrained

    return save_pretrained(source, folder, licence)


def from_pretrained(source: str | Path) -> VisionModel:
    """The ready model of such a folder, or of ``hf://owner/name[@revision]``. Runs no code of theirs.

    See :func:`pocketvision.deploy.hub.from_pretrained`.
    """
    from pocketvision.deploy.hub import from_pretrained

    return from_pretrained(source)


def push_to_hub(source: str | Path, name: str, *, licence: str | None = None, is_private: bool = True) -> str:
    """Upload what :func:`save_pretrained` writes to ``owner/name`` and return its address.

    See :func:`pocketvision.deploy.hub.push_to_hub`.
    """
    from pocketvision.deploy.hub import push_to_hub

    return push_to_hub(source, name, licence=licence, is_private=is_private)


def __getattr__(name: str) -> Any:
    """``pocketvision.Predictor``, imported when it is first asked for."""
    if name == "Predictor":
        from pocketvision.deploy.predict.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'pocketvision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
