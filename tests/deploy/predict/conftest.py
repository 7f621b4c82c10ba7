"""Every way in which a picture can get to a model."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.resize import Resize
from pocketvision.datasets import ClassificationDataset, ClassificationRecords, read_image
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.images.picture import PictureFile
from pocketvision.datasets.images.read import read_size
from pocketvision.deploy.certificate.images import ImageSet
from pocketvision.deploy.export.calibration_images import read_calibration_images
from pocketvision.deploy.predict.frames import read_frames
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.evaluation.originals import original_image
from pocketvision.models import VisionModel

Pixels = np.ndarray


def _doors(path: Path, classifier: VisionModel) -> Iterator[tuple[str, Pixels]]:
    """What each door makes of a file."""
    size, data = read_size(str(path)), path.read_bytes()
    yield "read_image", read_image(str(path))
    yield "training", PictureFile(str(path)).read().pixels
    yield "training, stated size", PictureFile(str(path), size).read().pixels
    cache = ImageCache(path.parent / "cache", 1 << 30)
    for time in ("first", "second"):
        yield f"training, {time} time from the cache", PictureFile(str(path), size, cache).read().pixels
    records = ClassificationRecords(
        root=str(path.parent), class_names=("a",), image_paths=[str(path)],
        image_ids=np.array([1]), labels=np.array([0]),
    )  # fmt: skip
    samples = ClassificationDataset(records, Resize(size))
    image, target = samples[0]
    assert target.original_size == size
    yield "evaluation", image.permute(1, 2, 0).numpy()
    yield "report", original_image(samples, 0)
    predictor = Predictor(TorchRuntime(classifier))
    yield "path", predictor(path).image
    yield "path as text", predictor(str(path)).image
    yield "bytes", predictor(data).image
    yield "BytesIO", predictor(io.BytesIO(data)).image
    with path.open("rb") as file:
        yield "open file", predictor(file).image
    with Image.open(path) as picture:
        yield "Pillow", predictor(picture).image
    with Image.open(path) as picture:
        picture.load()
        yield "Pillow, loaded", predictor(picture).image
    yield "array", predictor(read_image(str(path))).image
    for source in (Source("image", str(path)), Source("image", "stdin", data)):
        (frame,) = read_frames([source], pytest.fail)
        yield "predict", frame.image
    yield "certificate", ImageSet((str(path),), 1, "here").read(0)
    yield "calibration", read_calibration_images(path.parent, Resize(size), 1)[0].permute(1, 2, 0).numpy()


@pytest.fixture
def assert_doors_agree(models: dict[str, VisionModel]) -> Callable[[Path, Pixels], None]:
    """Asserts that a file's pixels are the expected ones through every door."""

    def check(path: Path, expected: Pixels) -> None:
        assert read_size(str(path)) == expected.shape[:2]
        for door, pixels in _doors(path, models["classification"]):
            assert pixels.dtype == np.uint8, door
            np.testing.assert_array_equal(pixels, expected, door)

    return check
