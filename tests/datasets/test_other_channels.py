"""Covers datasets/detection.py, datasets/segmentation.py: pictures of other channels than RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.core.resize import RGB, PixelFormat, Resize, bordered
from pocketvision.datasets.augment.colors import change_colors
from pocketvision.datasets.augment.mixing import Annotated
from pocketvision.datasets.augment.recipes import DetectionAugmentation, SegmentationAugmentation
from pocketvision.datasets.detection import to_tensor
from pocketvision.datasets.images.picture import Pixels
from pocketvision.datasets.loading import Loading
from pocketvision.datasets.records.annotations import SegmentationRecords
from pocketvision.datasets.segmentation import SegmentationDataset

BOXES, LABELS = np.float32([[4, 5, 20, 25]]), np.array([0])


def repeated(channels: int) -> np.ndarray:
    """Every channel the same: what is done to one must be done to all."""
    plane = np.random.default_rng(3).integers(0, 256, (40, 50, 1), dtype=np.uint8)
    return np.repeat(plane, channels, axis=2)


@pytest.mark.parametrize("channels", [1, 2, 5, 16])
@pytest.mark.parametrize("mixed", [False, True])
def test_channels_are_augmented_alike(channels: int, mixed: bool) -> None:
    resize = Resize((32, 48), pixels=PixelFormat(channels))
    shares = 1.0 if mixed else 0.0
    augmentation = DetectionAugmentation(
        mosaic=shares / 2, mixup=shares, copy_paste=shares, rotate90=True, fill=(7,) * channels,
        expand_probability=1.0, photometric_probability=1.0,
    )  # fmt: skip
    picture = Pixels(repeated(channels))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        partners = (lambda _: Annotated(picture, BOXES, LABELS)) if mixed else None
        image, *_ = augmentation(picture, BOXES, LABELS, resize, rng, partners)
        assert image.shape == (32, 48, channels) and image.dtype == np.uint8
        assert (image == image[..., :1]).all() and len(np.unique(image)) > 10


@pytest.mark.parametrize("channels", [1, 5])
def test_masks_go_along(channels: int) -> None:
    picture = repeated(channels)
    mask = (picture[..., 0] > 127).astype(np.uint8)
    resize = Resize((40, 50), pixels=PixelFormat(channels))
    augmentation = SegmentationAugmentation(scale=(0.5, 0.5), photometric=False, fill=(9,) * channels)
    image, cut = augmentation(picture, mask, resize, np.random.default_rng(0))
    assert image.shape == (40, 50, channels) and (image[cut == 255] == 9).all()


def test_gray_gets_the_brightness_and_contrast_of_equal_colors_and_no_hue() -> None:
    changes = {"brightness": 1.1, "contrast": 0.7, "saturation": 0.2, "hue": 0.3}
    gray = change_colors(repeated(1), **changes)
    rgb = change_colors(repeated(3), brightness=1.1, contrast=0.7)
    np.testing.assert_array_equal(gray[..., 0], rgb[..., 0])


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_each_channel_is_resized_as_it_would_be_alone(channels: int, antialias: bool) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, channels), dtype=np.uint8)
    resize = Resize((24, 24), mode="letterbox", antialias=antialias, pixels=PixelFormat(channels))
    found = resize.apply(image)
    for channel in range(channels):
        alone = resize.apply(np.repeat(image[..., channel : channel + 1], 3, axis=2))
        np.testing.assert_array_equal(found[..., channel], alone[..., 0])


def test_a_border_of_another_number_of_channels_is_the_mean() -> None:
    for channels in (1, 2, 4, 5):
        framed = bordered(np.zeros((2, 2, channels), dtype=np.uint8), (1, 0, 0, 2), (10, 20, 60))
        assert framed.shape == (3, 4, channels) and (framed[0] == 30).all() and not framed[1:, :2].any()
    assert to_tensor(repeated(5)).shape == (5, 40, 50)


def test_resize_states_pixels_only_where_they_are_not_rgb() -> None:
    assert "pixels" not in Resize((8, 8)).facts()
    other = Resize((8, 8), pixels=PixelFormat(2, (0, 1023)))
    assert (
        Resize.from_facts(other.facts()) == other and Resize.from_facts(Resize((8, 8)).facts()).pixels == RGB
    )
    for channels, limits in ((0, None), (17, None), (2.0, None), (1, (5, 5)), (1, (0, np.inf)), (1, (0,))):
        with pytest.raises(ValueError, match="give"):
            PixelFormat(channels, limits)  # type: ignore[arg-type]


def test_a_picture_of_other_channels_is_one_sentence_and_is_not_cached(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4), (1, 2, 3)).save(tmp_path / "a.png")
    Image.new("L", (6, 4)).save(tmp_path / "mask.png")
    paths = [str(tmp_path / "a.png")], [str(tmp_path / "mask.png")]
    records = SegmentationRecords(*paths, np.array([0]), ("thing",), np.arange(256, dtype=np.uint8))
    dataset = SegmentationDataset(records, Resize((4, 6), pixels=PixelFormat(5)))
    with pytest.raises(InputError, match=r"a\.png has 3 channels, and the model takes 5: "):
        dataset[0]
    with pytest.raises(InputError, match=r"data\.cache keeps 8-bit RGB pictures only"):
        Loading(cache="ram").prepare(dataset, object())
