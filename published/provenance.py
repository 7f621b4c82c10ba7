"""Where weights come from, for the passport of what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pocketvision.core.download import sha256
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import HasImagenetFile, body_of
from pocketvision.core.weights import read_passport
from pocketvision.models import VisionModel
from pocketvision.published.catalog import NAMES, find_published
from pocketvision.published.timm_hub import is_timm_name, timm_url

_ORIGIN = ("source", "url", "sha256", "licence", "started_from")


def describe_source(model: VisionModel, weights: str | Path) -> dict[str, Any]:
    """``source`` (a name, or the file's) with its ``url`` or ``sha256``, and what its passport says:
    ``licence`` and ``started_from``, the same of the weights that it was made of.

    Nothing is downloaded. A file that is not there any more leaves only its name.
    """
    name = str(weights)
    if name == "imagenet":
        body = body_of(model.backbone)
        return {"source": name, "url": body.imagenet_url if isinstance(body, HasImagenetFile) else None}
    if name in NAMES:
        return {"source": name, "url": find_published(name, model).url}
    if is_timm_name(name):
        return {"source": name, "url": timm_url(name)}
    path = Path(name) / "weights.safetensors" if Path(name).is_dir() else Path(name)
    source = f"{Path(name).name}/{path.name}" if Path(name).is_dir() else path.name
    if not path.is_file():
        return {"source": source}
    facts: dict[str, Any] = {"source": source, "sha256": sha256(path)}
    passport = _passport(path)
    if "licence" in passport:
        facts["licence"] = passport["licence"]
    origin = {key: passport[key] for key in _ORIGIN if key in passport}
    if "source" in origin:  # an imported file
        facts["started_from"] = origin
    elif "started_from" in origin:  # a trained one
        facts["started_from"] = origin["started_from"]
    return facts


def _passport(path: Path) -> Mapping[str, Any]:
    try:
        return read_passport(path) if path.suffix == ".safetensors" else {}
    except InputError:
        return {}
