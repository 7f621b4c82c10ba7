from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets import ClassificationAugmentation, DetectionAugmentation, SegmentationAugmentation
from pocketvision.datasets.augment.mixing import Annotated, view
from pocketvision.datasets.images.decoded_cache import ImageCache
from pocketvision.datasets.images.picture import PictureFile
from pocketvision.datasets.images.read import read_image, read_reduced
from pocketvision.datasets.records.annotations import Boxes

Write = Callable[..., None]
RESIZE = Resize((40, 48))


@pytest.fixture
def photo(tmp_path: Path, write_image: Write) -> str:
    path = tmp_path / "photo.jpg"
    write_image(path, height=333, width=500, seed=3)
    return str(path)


def test_channels_are_the_same_at_every_reduction(photo: str) -> None:
    whole = read_image(photo)
    assert (whole == cv2.imread(photo)[..., ::-1]).all()
    for reduction in (2, 4, 8):
        small, size, covers = read_reduced(photo, 1 / reduction)
        assert size == (333, 500) and covers == tuple(side * reduction for side in small.shape[:2])
        assert small.shape[:2] == (-(-333 // reduction), -(-500 // reduction))
        expected = cv2.resize(whole, small.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ("scale", "reduction"), [(1, 1), (0.51, 1), (0.5, 2), (0.26, 2), (0.25, 4), (0.01, 8)]
)
def test_no_finer_than_needed(photo: str, scale: float, reduction: int) -> None:
    read = PictureFile(photo, (333, 500)).read(scale)
    assert (read.pixels == read_reduced(photo, 1 / reduction).pixels).all()
    assert read.covers == tuple(-(-side // reduction) * reduction for side in (333, 500))


def test_size_without_decoding(photo: str, tmp_path: Path, write_image: Write) -> None:
    assert PictureFile(photo).size == (333, 500)
    write_image(tmp_path / "a.png", height=30, width=20)
    picture = PictureFile(str(tmp_path / "a.png"))
    assert picture.size == (30, 20) and picture.read(0.1).pixels.shape == (30, 20, 3)


@pytest.mark.parametrize("scale", [1, 0.25])
def test_another_size_than_stated(photo: str, scale: float) -> None:
    with pytest.raises(InputError, match=r"photo\.jpg is .* its annotation says 500x300: its boxes"):
        PictureFile(photo, (300, 500)).read(scale)


def test_a_truncated_file_is_found_at_every_reduction(photo: str) -> None:
    Path(photo).write_bytes(Path(photo).read_bytes()[:-1500])
    for scale in (1, 0.25):
        with pytest.raises(InputError, match=r"photo\.jpg (is truncated|cannot be read)"):
            PictureFile(photo, (333, 500)).read(scale)


@pytest.mark.parametrize("size", [(1600, 1200), (1601, 1203)])
def test_reduced_samples_show_what_whole_ones_show(
    size: tuple[int, int], tmp_path: Path, write_image: Write
) -> None:
    path = str(tmp_path / "large.jpg")
    write_image(tmp_path / "large.jpg", *size, seed=1)
    whole, picture = read_image(path), PictureFile(path, size)
    boxes = np.array([[100, 200, 700, 900]], dtype=np.float32)
    rows, columns = np.mgrid[: size[0], : size[1]]
    mask = (rows // 100 % 2 + columns // 100 % 2).astype(np.uint8)
    detection = DetectionAugmentation(photometric=False)
    segmentation, classes = (
        SegmentationAugmentation(photometric=False),
        ClassificationAugmentation(photometric=False),
    )
    for seed in range(8):
        one, two = (np.random.default_rng(seed) for _ in range(2))
        expected, found = (
            detection(image, boxes, np.zeros(1, dtype=np.int64), RESIZE, rng)
            for image, rng in ((whole, one), (picture, two))
        )
        assert np.abs(expected[0].astype(int) - found[0]).mean() < 3
        np.testing.assert_allclose(expected[1], found[1], atol=1.01)
        pair, reduced = segmentation(whole, mask, RESIZE, one), segmentation(picture, mask, RESIZE, two)
        assert np.abs(pair[0].astype(int) - reduced[0]).mean() < 3
        assert (pair[1] != reduced[1]).mean() < 0.1
        assert np.abs(classes(whole, RESIZE, one).astype(int) - classes(picture, RESIZE, two)).mean() < 3


def test_a_cache_keeps_what_training_needs(photo: str, tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 1 << 20)
    picture = PictureFile(photo, (333, 500), cache, (100, 100))
    assert picture.read(0.01).pixels.shape == (100, 150, 3) and picture.size == (333, 500)
    assert PictureFile(photo, None, cache, (100, 100)).size == (333, 500)
    expected = cv2.resize(read_image(photo), (150, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(picture.read().pixels.astype(int) - expected).mean() < 3
    assert PictureFile(photo, (333, 500), cache, (500, 500)).read().pixels.shape == (333, 500, 3)
    with pytest.raises(InputError, match="its annotation says 500x300"):
        PictureFile(photo, (300, 500), cache, (100, 100)).read()


def test_kept_size_is_what_the_closest_view_shows() -> None:
    assert DetectionAugmentation(min_crop_side=0.5).kept_size(RESIZE) == (80, 96)
    assert DetectionAugmentation(crop_probability=0.0).kept_size(RESIZE) == (40, 48)
    assert SegmentationAugmentation(scale=(0.5, 2.0)).kept_size(RESIZE) == (80, 96)
    assert ClassificationAugmentation(crop_scale=(0.25, 1.0)).kept_size(RESIZE) == (80, 96)


def centers_of_dots(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Centers (G, 2) of mass of the light near each of ``boxes`` (G, 4) in a dark image (H, W, 3)."""
    found = []
    for left, top, right, bottom in boxes:
        low = np.maximum(np.floor([left - 4, top - 4]), 0).astype(int)
        part = image[low[1] : int(bottom + 5), low[0] : int(right + 5), 1].astype(float)
        y, x = np.mgrid[: part.shape[0], : part.shape[1]] + 0.5
        found.append(low + np.array([(part * x).sum(), (part * y).sum()]) / part.sum())
    return np.array(found)


SIDES = [(2569, 2569), (2575, 2561), (2568, 2576)]


@pytest.fixture(scope="module", params=SIDES)
def dots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Size, Boxes]:
    """A dark photo with light squares of 32 pixels all over, whose sides need be no multiples of 8."""
    height, width = request.param
    image, boxes = np.zeros((height, width, 3), np.uint8), []
    for top in range(120, height - 150, 300):
        for left in range(120, width - 150, 300):
            image[top : top + 32, left : left + 32] = 255
            boxes.append([left, top, left + 32, top + 32])
    path = tmp_path_factory.mktemp("dots") / "dots.jpg"
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    return str(path), (height, width), np.array(boxes, dtype=np.float32)


@pytest.mark.parametrize("is_cached", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_boxes_stay_on_objects_of_reduced_pictures(
    dots: tuple[str, Size, Boxes], quarters: int, is_cached: bool, tmp_path: Path
) -> None:
    """A reduced picture of n pixels covers n times the factor: boxes drifted by up to 0.9 pixels."""
    path, size, boxes = dots
    cache = ImageCache(tmp_path, 1 << 30) if is_cached else None
    annotated = Annotated(PictureFile(path, size, cache, (330, 330)), boxes, np.arange(len(boxes)))
    for window in ([0, 0, size[1], size[0]], [60.5, 50, size[1], size[0] - 33.25]):
        sample = view(annotated, window, Resize((320, 320)), (0, 0, 0), quarters)
        centers = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
        assert len(centers) > 40
        drift = centers_of_dots(sample.image, sample.boxes) - centers
        assert np.abs(drift).max() < 0.25 and np.abs(drift.mean(axis=0)).max() < 0.06


def test_masks_stay_on_objects_of_reduced_pictures(dots: tuple[str, Size, Boxes]) -> None:
    path, size, boxes = dots
    mask = np.zeros(size, np.uint8)
    for left, top, right, bottom in boxes.astype(int):
        mask[top:bottom, left:right] = 255
    augmentation = SegmentationAugmentation(scale=(1.0, 1.0), photometric=False, horizontal_flip=0)
    image, small = augmentation(PictureFile(path), mask, Resize((320, 320)), np.random.default_rng(0))
    at = boxes * np.tile([320 / size[1], 320 / size[0]], 2)
    drift = centers_of_dots(image, at) - centers_of_dots(small[..., None].repeat(3, axis=2), at)
    # Nearest neighbor moves the mask's dots by up to half a pixel.
    assert np.abs(drift).max() < 0.52 and np.abs(drift.mean(axis=0)).max() < 0.27
