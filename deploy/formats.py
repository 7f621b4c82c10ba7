"""What can be exported to, and how; without PyTorch, so that the command line answers at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pocketvision.core.errors import InputError
from pocketvision.core.files import check_new

if TYPE_CHECKING:
    from pocketvision.core.resize import PixelFormat

InputType = Literal["uint8", "float"]


class ExportFormat(NamedTuple):
    """What a format's file is called, and what it can hold.

    ``own_python``: it is written in the converters' environment. ``runs_here``: a runtime for it is there.
    ``nms``, ``label_map``: the graph can suppress boxes, or give the class of every pixel. ``int8``,
    ``float16``: how it can be made smaller. ``batches``: it can take several images a call; ``sizes``: of
    another size than the model's too.
    """

    suffix: str
    own_python: bool = False
    runs_here: bool = True
    nms: bool = False
    label_map: bool = True
    int8: bool = False
    float16: bool = False
    batches: bool = True
    sizes: bool = False


FORMATS = {
    "onnx": ExportFormat(".onnx", nms=True, int8=True, sizes=True),
    "openvino": ExportFormat(".xml", nms=True, int8=True, sizes=True),
    "pt2": ExportFormat(".pt2", sizes=True),
    "litert": ExportFormat(".tflite", own_python=True, int8=True, float16=True),
    "executorch": ExportFormat(".pte", own_python=True, int8=True),
    "ncnn": ExportFormat(".param", label_map=False, batches=False),
    "coreml": ExportFormat(".mlpackage", own_python=True, runs_here=False, float16=True, batches=False),
}

OWN_PYTHON = tuple(name for name, format in FORMATS.items() if format.own_python)
"""What is written in the converters' environment, whose PyTorch is another one."""
OTHER_CHANNELS = ("onnx", "openvino", "pt2", "litert", "executorch", "ncnn", "coreml")
"""Formats for models of other pictures than 8-bit RGB."""
BESIDE = {".xml": (".bin",), ".param": (".bin", ".json")}
"""Suffixes of files that belong beside one of the suffix in front."""

BACKENDS = ("torch", *(name for name, format in FORMATS.items() if format.runs_here))
"""What runs a model here: PyTorch itself, or the runtime of a format that can be written."""


CLIENT_FORMATS = {".onnx": "onnx", ".xml": "openvino", ".tflite": "litert", ".param": "ncnn"}
"""Suffix -> format of the files that a client can be written for."""


@dataclass(frozen=True)
class ExportOptions:
    """What goes into the graph besides the model.

    ``nms``: a detector gives final detections, padded to ``max_detections`` (ONNX and OpenVINO).
    ``label_map``: a segmenter gives the class of every pixel of its input. ``input_type``: what the
    graph takes; both in 0..255. ``batch``: the number of images, None for any. ``dynamic_size``: other
    image sizes than the model's too, for segmenters and classifiers. ``int8``: weights and activations
    are to be quantized. ``float16``: weights are kept in half the bytes (LiteRT). ``split``: blocks that
    need the most memory run in so many groups of channels. ``source`` and ``licence`` are written into the
    metadata.
    """

    nms: bool = False
    label_map: bool = False
    input_type: InputType = "uint8"
    batch: int | None = None
    dynamic_size: bool = False
    int8: bool = False
    float16: bool = False
    split: int | None = None
    source: str | None = None
    licence: str | None = None


def check_format(format: str, output: Path, options: ExportOptions) -> None:
    """Refuse what can be refused before a model is built.

    Raises:
        InputError: the format can't be written here, or does not fit the options or the file's name.
    """
    if format not in FORMATS:
        raise InputError(f"There is no format '{format}': choose from {', '.join(FORMATS)}.")
    suffix = FORMATS[format].suffix
    if output.suffix != suffix:
        raise InputError(f"{output} would not be taken for {format}: name it with {suffix}.")
    can = FORMATS[format]
    if options.nms and not can.nms:
        raise InputError(f"{format} has no operator for NMS: choose onnx or openvino, or leave --nms out.")
    if options.int8 and not can.int8:
        raise InputError(f"{format} can't be written in int8: choose another format, or leave --int8 out.")
    if options.float16 and not can.float16:
        raise InputError(f"{format} can't be written with float16: choose litert, or leave --float16 out.")
    if options.float16 and options.int8:
        raise InputError("--int8 and --float16 are two ways to a smaller file: leave one out.")
    if options.split is not None and options.split < 2:
        raise InputError(f"--split is {options.split}: give a number of groups from 2.")
    if options.split is not None and options.int8:
        raise InputError("--split is for graphs in float: leave it or --int8 out.")
    if options.dynamic_size and not can.sizes:
        raise InputError(f"{format} takes images of one size: choose --size fixed.")
    if options.label_map and not can.label_map:
        raise InputError(f"{format} has no operator for the best class of a pixel: leave --labels out.")
    if options.batch not in (None, 1) and not can.batches:
        raise InputError(f"{format} takes one image a call: leave --batch out.")
    if options.batch is not None and options.batch < 1:
        raise InputError(f"The batch size is {options.batch}: give a number from 1, or 'dynamic'.")
    if options.nms and options.label_map:
        raise InputError("--nms is for detectors and --labels for segmenters: leave one out.")


def check_pixels(what: str, pixels: PixelFormat) -> None:
    """Refuse what reads 8-bit RGB only; ``what`` is a format, or ``--web``.

    Raises:
        InputError: the model takes other pictures, and it is none of :data:`OTHER_CHANNELS`.
    """
    from pocketvision.core.resize import RGB  # which takes OpenCV along

    if pixels != RGB and what not in OTHER_CHANNELS:
        raise InputError(
            f"{what} is for models of 8-bit RGB pictures, and this one takes others: choose --format onnx."
        )


def client_folder(output: Path) -> Path:
    """Where the client of the model at ``output`` goes: NAME_client beside it."""
    return output.with_name(f"{output.stem}_client")


def check_client(format: str, output: Path) -> None:
    """Refuse a client that can't be written, before a model is built.

    Raises:
        InputError: no client runs the format, or there is something where its folder would be.
    """
    if format not in CLIENT_FORMATS.values():
        known = ", ".join(CLIENT_FORMATS.values())
        raise InputError(f"There is no client for {format}: choose from {known}, or leave --client out.")
    check_new(client_folder(output), "--output")
