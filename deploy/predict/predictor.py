"""Images in, predictions out: any runtime behind one call."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, Image, PixelFormat, Tiling
from pocketvision.core.structures import Size, Window
from pocketvision.datasets.images.bands import as_pixels, decode_pixels, read_pixels, values_of
from pocketvision.datasets.images.read import from_pillow
from pocketvision.datasets.tiles.picture import cut_out
from pocketvision.deploy.predict.frames import read_frames
from pocketvision.deploy.predict.in_tiles import put_together
from pocketvision.deploy.predict.interpret import image_size, interpret
from pocketvision.deploy.predict.prediction import Prediction
from pocketvision.deploy.predict.sources import find_video
from pocketvision.deploy.runtimes.array_results import Outputs
from pocketvision.deploy.runtimes.artifact import Artifact
from pocketvision.deploy.runtimes.devices import AUTO, check_device, torch_device
from pocketvision.deploy.runtimes.opening import open_runtime
from pocketvision.deploy.runtimes.protocol import Runtime
from pocketvision.runs.folder import run_of_checkpoint
from pocketvision.runs.foreign import is_foreign

if TYPE_CHECKING:
    import torch

ImageLike = str | Path | bytes | IO[bytes] | npt.NDArray[np.uint8] | PillowImage.Image
"""A path, the bytes of a file or a file that is open, an array (H, W, 3) uint8 RGB, or a Pillow image."""

_DEFAULT_THRESHOLD = 0.5
_MANY_TILES = 400
logger = logging.getLogger("pocketvision")


class Predictor:
    """Predicts on images of any size with the model of ``runtime``.

    Detections score more than ``threshold``, None for the one with the best F1 on the model's validation
    images, or 0.5 where that is not known; a classifier gives its five best classes whatever they score.
    ``batch_size`` images go through the model at a time. With ``tiling``, None for the one that the model was
    trained with, a larger image is seen tile by tile. Threads may share a predictor.

    Raises:
        InputError: a classifier is to see tiles.
        ValueError: a value is out of range.
    """

    def __init__(
        self,
        runtime: Runtime,
        threshold: float | None = None,
        batch_size: int = 1,
        tiling: Tiling | None = None,
    ) -> None:
        artifact = runtime.artifact
        detector = next((part for part in (artifact, *artifact.parts) if part.postprocess), artifact)
        if threshold is None:
            threshold = _DEFAULT_THRESHOLD if detector.threshold is None else detector.threshold
        if not 0 <= threshold <= 1:
            raise ValueError(f"The threshold is {threshold}: give a score from 0 to 1.")
        if batch_size < 1:
            raise ValueError(f"The batch size is {batch_size}: give a number from 1.")
        if tiling is not None and artifact.task == "classification":
            raise InputError("A classifier sees the image as a whole: leave the tiles out.")
        parts = tuple(_suppressing(part, threshold) for part in artifact.parts)
        self.runtime, self.artifact = runtime, replace(_suppressing(artifact, threshold), parts=parts)
        self.threshold, self.batch_size = threshold, batch_size
        self.tiling = artifact.resize.tiling if tiling is None else tiling
        self._told: set[Size] = set()

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        threshold: float | None = None,
        batch_size: int = 1,
        tile: tuple[int, int] | None = None,
        overlap: float = 0.2,
        threads: int | None = None,
        device: str | torch.device = AUTO,
    ) -> Predictor:
        """The predictor of a run folder, a checkpoint in one, our .safetensors, an exported .onnx, .xml
        (OpenVINO), .pt2, .tflite (LiteRT), .pte (ExecuTorch) or .param (ncnn), or others' .tflite, .pb,
        .index or .pth, which becomes a model of ours.

        ``tile`` (height, width) is for images with objects that are small in them; without it a model has the
        tiles that it was trained in. One that had none sees the image as a whole as well, for large objects.
        ``threads`` are those of the CPU, None the runtime's choice; ``device`` is "auto", "cpu", "cuda",
        "cuda:1", "mps" or "gpu".
        Opening a run folder runs the config in it.

        Raises:
            InputError: nothing is there, it is broken or not ours, a package is missing, or as above.
            ValueError: a value is out of range.
        """
        runtime = _open(Path(source), threads, str(device))
        trained = runtime.artifact.resize.tiling
        tiling = None if tile is None else Tiling(tile, overlap, adds_whole=trained is None)
        return cls(runtime, threshold, batch_size, tiling)

    @property
    def class_names(self) -> tuple[str | None, ...]:
        """What the labels of predictions index; None is a slot that no prediction has."""
        return self.artifact.class_names

    def __call__(self, image: ImageLike) -> Prediction:
        """The prediction for one image.

        Raises:
            InputError: a file that is missing or broken.
            ValueError: an array of another shape or type.
        """
        return self.predict([image])[0]

    def predict(self, images: Sequence[ImageLike]) -> list[Prediction]:
        """The predictions for several images, in their order; raises as for one."""
        arrays = [_to_array(image, self.artifact.resize.pixels) for image in images]
        paths = [str(image) if isinstance(image, str | Path) else None for image in images]
        return [
            replace(prediction, path=path)
            for prediction, path in zip(self._predict(arrays), paths, strict=True)
        ]

    def video(self, source: str | Path | int, max_frames: int | None = None) -> Iterator[Prediction]:
        """The predictions for the frames of a video, a stream or the camera of a number, as they come.

        ``batch_size`` frames are read at a time; each prediction has its ``frame``.

        Raises:
            InputError: there is no such video, it ends before it should, or the model takes other channels.
        """
        frames = read_frames([find_video(source)], _raise, max_frames, self.artifact.resize.pixels)
        while batch := list(islice(frames, self.batch_size)):
            for frame, found in zip(batch, self.predict([part.image for part in batch]), strict=True):
                yield replace(found, path=frame.source.public_name, frame=frame.number)

    def _predict(self, images: Sequence[Image]) -> list[Prediction]:
        if self.tiling is None:
            return self._interpret(images)
        return [self._predict_tiles(image) for image in images]

    def _predict_tiles(self, image: Image) -> Prediction:
        assert self.tiling is not None
        windows = self._windows(image_size(image))
        if len(windows) > 1 and self.tiling.adds_whole and self.artifact.task != "segmentation":
            windows.append(Window(0, 0, *image_size(image)))
        found = self._interpret([cut_out(image, window) for window in windows])
        return put_together(self.artifact, image, found, windows)

    def _interpret(self, images: Sequence[Image]) -> list[Prediction]:
        """The predictions for images that are each seen as a whole."""
        return [
            prediction
            for batch in self._batches(images)
            for prediction in interpret(self.artifact, self._answer(batch), batch, self.threshold)
        ]

    def _windows(self, size: Size) -> list[Window]:
        """The tiles of an image; so many that one would wonder what takes so long are told, once a size."""
        assert self.tiling is not None
        windows = self.tiling.windows(size)
        if len(windows) > _MANY_TILES and size not in self._told:
            self._told.add(size)
            logger.warning(
                "An image of %dx%d pixels has %d tiles of %dx%d, and each is a pass through the model: "
                "larger tiles take less time.",
                size[1], size[0], len(windows), windows[0].width, windows[0].height,
            )  # fmt: skip
        return windows

    def _batches(self, images: Sequence[Image]) -> list[Sequence[Image]]:
        size = self.batch_size
        return [images[start : start + size] for start in range(0, len(images), size)]

    def _answer(self, images: Sequence[Image]) -> Outputs:
        """What the model says of images of any sizes."""
        resized = np.stack([self.artifact.resize.apply(image) for image in images])
        return self.runtime.answer(np.ascontiguousarray(resized.transpose(0, 3, 1, 2)))


def _suppressing(artifact: Artifact, threshold: float) -> Artifact:
    """Less to suppress, and the same result: what scores less never removes what scores more."""
    post = artifact.postprocess
    if post is None:
        return artifact
    return replace(artifact, postprocess=replace(post, score_threshold=max(threshold, post.score_threshold)))


def _open(path: Path, threads: int | None, device: str) -> Runtime:
    check_device(device)
    if path.suffix == ".mlpackage":
        return open_runtime(path, threads, device)  # which says where it runs
    is_ours = path.is_dir() or path.suffix == ".safetensors" or run_of_checkpoint(path) is not None
    if is_ours or is_foreign(path):
        # Imported here: an exported file needs neither.
        from pocketvision.deploy.runtimes.torch_module import TorchRuntime
        from pocketvision.runs.ready_model import load_model

        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return TorchRuntime(load_model(path), torch_device(device))
    if not path.is_file():
        raise InputError(f"There is no run folder, weights file or exported model {path}: check the path.")
    if path.suffix in (".pth", ".pt", ".ckpt", ".pb", ".bin"):
        raise InputError(
            f"{path} can't be run as it is: give a run folder, our .safetensors, an exported .onnx, .xml, "
            ".pt2, .tflite, .pte or .param, or convert it with 'pocketvision import-weights'."
        )
    return open_runtime(path, threads, device)


def _to_array(image: ImageLike, pixels: PixelFormat) -> Image:
    if isinstance(image, str | Path):
        return read_pixels(str(image), pixels).pixels
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_pixels(bytes(image), "The image", pixels)
    if hasattr(image, "read"):
        data, name = image.read(), str(getattr(image, "name", "The image"))
        if not isinstance(data, bytes):
            raise ValueError(f"{name} is opened as text: open it as bytes, with mode 'rb'.")
        return decode_pixels(data, name, pixels)
    if isinstance(image, PillowImage.Image):
        return from_pillow(image) if pixels == RGB else as_pixels(values_of(image), pixels)
    if not hasattr(image, "dtype"):
        raise ValueError(
            f"The image is a {type(image).__name__}: give a path, bytes, a Pillow image or an array uint8 "
            "(H, W, 3); predict takes a list of them."
        )
    if pixels != RGB and image.ndim in (2, 3) and image.size and image.dtype != np.uint8:
        return as_pixels(image, pixels)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != pixels.channels or not image.size:
        kind = "RGB" if pixels.channels == RGB.channels else "the channels that the model takes"
        raise ValueError(
            f"The image is {image.dtype} {image.shape}: give uint8 (H, W, {pixels.channels}), {kind}."
        )
    return np.ascontiguousarray(image)


def _raise(sentence: str) -> NoReturn:
    raise InputError(sentence)
