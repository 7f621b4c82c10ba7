"""What an exported file says about itself: all that is needed to feed it and to understand its answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from pocketvision.core.boxes import SSDBoxCoder
from pocketvision.core.distances import DistanceBoxCoder
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import BoxCoder
from pocketvision.core.resize import RGB, Resize
from pocketvision.core.structures import Size
from pocketvision.deploy.formats import InputType
from pocketvision.deploy.runtimes.metadata import check_metadata
from pocketvision.models import SSDPostprocess

if TYPE_CHECKING:
    from torch import Tensor

METADATA_KEY = "pocketvision"
_MAX_REASON = 200
FORMAT_VERSION = 1
Box = tuple[float, float, float, float]
OUTPUTS = {
    "detection": ("class_logits", "box_deltas"),
    "segmentation": ("logits",),
    "classification": ("class_logits",),
}
CODERS: dict[str, type[BoxCoder]] = {"distances": DistanceBoxCoder}
"""Box coders beside SSD's, by their names in metadata."""
DETECTIONS = ("boxes", "scores", "labels", "num_detections")
LABEL_MAP = ("label_map",)


@dataclass(frozen=True)
class Quantization:
    """What int8 was made from: the number of calibration images, and the blocks that stayed float32."""

    num_images: int
    float_blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """The metadata of an exported model, as JSON inside the file under the key ``pocketvision``.

    The graph takes ``images`` (N, C, H, W) of the channels of ``resize.pixels``, RGB unless it says others,
    ``input_type`` uint8 or float32 in 0..255, and normalizes them itself: ``mean`` and ``std``, relative to
    0..1, are for the reader. ``outputs`` are its outputs in order. ``batch`` is the number of images that it
    takes, None for any. With ``has_dynamic_size`` it takes other sizes than ``resize.image_size`` too.

    ``quantization`` is None in float32; ``has_float16`` says that weights are rounded to it.

    Detectors state ``postprocess`` and, unless it is in the graph, ``anchors`` (A, 4) xyxy pixels;
    ``threshold`` is the score with the best F1 on validation images, where it is known.
    A model of several tasks has the metadata of each, as if it were alone, as ``parts``; its outputs are
    ``TASK_OUTPUT``. ``weights_sha256`` is the hash of the model's tensors, ``source`` says where
    they came from.
    """

    task: Literal["detection", "segmentation", "classification", "joint"]
    class_names: tuple[str | None, ...]
    resize: Resize
    mean: tuple[float, ...]
    std: tuple[float, ...]
    outputs: tuple[str, ...]
    weights_sha256: str
    input_type: InputType = "uint8"
    layout: Literal["NCHW"] = "NCHW"
    batch: int | None = None
    has_dynamic_size: bool = False
    anchors: tuple[Box, ...] | None = None
    postprocess: SSDPostprocess | None = None
    source: str | None = None
    licence: str | None = None
    quantization: Quantization | None = None
    threshold: float | None = None
    has_float16: bool = False
    parts: tuple[Artifact, ...] = ()
    format_version: int = FORMAT_VERSION

    @property
    def image_size(self) -> Size:
        """(height, width) of the input."""
        return self.resize.image_size

    @property
    def num_channels(self) -> int:
        """Channels of the input."""
        return self.resize.pixels.channels

    @property
    def takes_picture(self) -> bool:
        """Whether a runtime that knows pictures, as Core ML, can be given one: 8-bit RGB."""
        return self.input_type == "uint8" and self.resize.pixels == RGB

    @cached_property
    def anchor_array(self) -> npt.NDArray[np.float32]:
        """The anchors as an array (A, 4)."""
        return np.array(self.anchors or (), dtype=np.float32).reshape(-1, 4)

    @cached_property
    def anchor_boxes(self) -> Tensor:
        """The anchors as a tensor (A, 4)."""
        import torch

        return torch.from_numpy(self.anchor_array)

    @property
    def has_nms(self) -> bool:
        """Whether a detector's graph, or that of one of several tasks, gives final detections."""
        return self.outputs == DETECTIONS or any(part.has_nms for part in self.parts)

    @property
    def raw(self) -> Artifact:
        """The same without NMS and label map."""
        if self.parts:
            return self.with_parts(part.raw for part in self.parts)
        return replace(self, outputs=OUTPUTS[self.task])

    def with_parts(self, parts: Iterable[Artifact]) -> Artifact:
        """The same for several tasks, with the outputs of these ``parts``."""
        parts = tuple(parts)
        outputs = tuple(f"{part.task}_{name}" for part in parts for name in part.outputs)
        return replace(self, parts=parts, outputs=outputs)

    def with_common(self, **values: Any) -> Artifact:
        """With these values, which every part has as well."""
        return replace(self, **values, parts=tuple(replace(part, **values) for part in self.parts))

    def outputs_of(self, part: Artifact, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Those of all ``outputs`` that are a part's, by the names that they have alone."""
        return {name: outputs[f"{part.task}_{name}"] for name in part.outputs}

    def to_json(self) -> str:
        """The metadata as text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["resize"] = self.resize.facts()
        if self.has_nms:
            values["anchors"] = None
        if not self.has_float16:
            del values["has_float16"]  # files without it are read by earlier versions too
        values["parts"] = [json.loads(part.to_json()) for part in self.parts]
        if not self.parts:
            del values["parts"]  # likewise
        for name in ("postprocess", "quantization"):
            values[name] = asdict(values[name]) if values[name] else None
        if self.postprocess is not None:
            kind = next((name for name, of in CODERS.items() if type(self.postprocess.coder) is of), None)
            values["postprocess"]["coder"] |= {} if kind is None else {"kind": kind}
        return json.dumps(values, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None, source: str) -> Artifact:
        """Read what :meth:`to_json` wrote into the file ``source``.

        Raises:
            InputError: there is nothing to read, or another version wrote it.
        """
        if not text:
            raise InputError(
                f"{source} was not exported by pocketvision: it lacks the metadata that says how to use it. "
                "Export the model with 'pocketvision export'."
            )
        try:
            values = json.loads(text)
            if values.pop("format_version") != FORMAT_VERSION:
                raise InputError(
                    f"{source} was exported by another version of pocketvision: export it again."
                )
            check_metadata(values)
            return _parse(values)
        except InputError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, ArithmeticError) as error:
            reason = " ".join(str(error).split())[:_MAX_REASON] or type(error).__name__
            if isinstance(error, KeyError):
                reason = f"it lacks {reason}"
            raise InputError(f"{source} has broken metadata ({reason}): export it again.") from error


def _parse(values: dict[str, Any]) -> Artifact:
    values = {name: _tuples(value) for name, value in values.items()}
    values["resize"] = Resize.from_facts(values["resize"])
    if values["postprocess"] is not None:
        postprocess = dict(values["postprocess"])
        postprocess["coder"] = _read_coder(postprocess["coder"])
        values["postprocess"] = SSDPostprocess(**postprocess)
    values["parts"] = tuple(_parse(dict(part)) for part in values.get("parts", ()))
    if values.get("quantization") is not None:
        values["quantization"] = Quantization(**values["quantization"])
    return Artifact(**values)


def _read_coder(values: Mapping[str, Any]) -> BoxCoder:
    """The coder of its fields; SSD's, of which every file was at first, has no ``kind``."""
    options = dict(values)
    kind = options.pop("kind", None)
    return SSDBoxCoder(**options) if kind is None else CODERS[kind](**options)


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at any depth."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
