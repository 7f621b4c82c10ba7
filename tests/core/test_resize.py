"""Resizing against PyTorch's interpolation, and the way back."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketvision.core.resize import Image, Resize
from pocketvision.core.structures import Detections, Size

sides = st.integers(1, 900)
modes = st.sampled_from(["stretch", "letterbox"])


def random_image(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def detections(boxes: np.ndarray) -> Detections:
    return Detections(
        torch.from_numpy(boxes), torch.ones(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64)
    )


@settings(deadline=None, max_examples=100)
@given(modes, st.tuples(sides, sides), st.tuples(sides, sides), st.integers(0, 1000))
def test_boxes_come_back(mode: str, image_size: Size, original_size: Size, seed: int) -> None:
    resize = Resize(image_size, mode=mode)
    corners = np.random.default_rng(seed).random((5, 2, 2)) * original_size[::-1]
    boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1).astype(np.float32)
    scaled = resize.apply_to_boxes(boxes, original_size)
    height, width = resize.content_size(original_size)
    assert (scaled >= 0).all() and (scaled <= np.array([width, height] * 2) + 1e-3).all()
    restored = resize.restore(detections(scaled), original_size)
    np.testing.assert_allclose(restored.boxes.numpy(), boxes, rtol=1e-5, atol=1e-2)
    assert torch.equal(restored.scores, torch.ones(5))


@settings(deadline=None, max_examples=100)
@given(st.tuples(sides, sides), st.tuples(sides, sides))
def test_letterbox_fills_one_side_and_keeps_the_aspect_ratio(image_size: Size, original_size: Size) -> None:
    height, width = Resize(image_size, mode="letterbox").content_size(original_size)
    assert 1 <= height <= image_size[0] and 1 <= width <= image_size[1]
    assert height == image_size[0] or width == image_size[1]
    scale = min(image_size[0] / original_size[0], image_size[1] / original_size[1])
    assert abs(height - original_size[0] * scale) <= 1 and abs(width - original_size[1] * scale) <= 1


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_restored_boxes_are_clipped_to_the_original(mode: str) -> None:
    wild = np.array([[-50, -60, 5000, 4000], [10, 10, 20, 20]], dtype=np.float32)
    restored = Resize((64, 96), mode=mode).restore(detections(wild), (120, 100)).boxes
    assert restored[0].tolist() == [0, 0, 100, 120]
    assert (restored[1] > 0).all() and (restored[1] < 60).all()


@pytest.mark.parametrize(("size", "image_size"), [((50, 71), (96, 128)), ((200, 301), (64, 80))])
def test_plain_bilinear_equals_pytorch(size: Size, image_size: Size) -> None:
    image = random_image(*size)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = F.interpolate(tensor, image_size, mode="bilinear")[0].permute(1, 2, 0).numpy()
    difference = np.abs(Resize(image_size).apply(image).astype(np.float32) - expected)
    assert difference.max() <= 1.01


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_antialias_equals_pytorch(interpolation: str) -> None:
    image = random_image(60, 80)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = F.interpolate(tensor, (20, 25), mode=interpolation, antialias=True)[0].permute(1, 2, 0).numpy()
    expected = expected.clip(0, 255)
    small = Resize((20, 25), interpolation=interpolation, antialias=True).apply(image)
    assert np.abs(small.astype(np.float32) - expected).max() <= 2
    plain = Resize((20, 25), interpolation=interpolation).apply(image)
    assert np.abs(plain.astype(np.float32) - expected).max() > 20


@pytest.mark.parametrize("size", [(300, 500), (501, 300), (224, 224), (97, 131), (375, 499)])
@pytest.mark.parametrize(("short_side", "side"), [(256, 224), (232, 224), (64, 64), (73, 65), (67, 64)])
def test_crop_is_torchvision_s_evaluation_to_the_bit(size: Size, short_side: int, side: int) -> None:
    from PIL import Image as PillowImage
    from torchvision import transforms

    image = random_image(*size)
    expected = transforms.CenterCrop(side)(transforms.Resize(short_side)(PillowImage.fromarray(image)))
    resize = Resize((side, side), mode="crop", crop_share=side / short_side, antialias=True)
    np.testing.assert_array_equal(resize.apply(image), np.array(expected))


@pytest.mark.parametrize(("share", "sides"), [(0.9, (56, 71)), (0.7, (71, 91)), (1.0, (50, 64))])
def test_sides_before_a_crop_are_rounded(share: float, sides: Size) -> None:
    """50 / 0.9 = 55.6 and 64 / 0.9 = 71.1; an image of the input's shape has both."""
    image = random_image(100, 128)
    whole = cv2.resize(image, sides[::-1])
    top, left = round((sides[0] - 50) / 2), round((sides[1] - 64) / 2)
    cut = Resize((50, 64), mode="crop", crop_share=share).apply(image)
    np.testing.assert_array_equal(cut, whole[top : top + 50, left : left + 64])


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 80), st.integers(1, 80)),
    st.tuples(sides, sides),
    st.floats(0.05, 1.0),
    st.booleans(),
)
def test_crops_have_the_input_s_size(
    image_size: Size, original_size: Size, crop_share: float, antialias: bool
) -> None:
    image = np.full((*original_size, 3), 7, np.uint8)
    if max(original_size) / min(original_size) > 20:
        return  # the whole image, enlarged before the cut, would be huge
    resize = Resize(image_size, mode="crop", crop_share=crop_share, antialias=antialias)
    cut = resize.apply(image)
    assert cut.shape == (*image_size, 3) and cut.dtype == np.uint8 and (cut == 7).all()


def test_crop_shows_its_share_of_the_centre() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[25:75, 75:125] = 255  # the center, of half the shorter side
    cut = Resize((50, 50), mode="crop", crop_share=0.5).apply(image)
    assert (cut == 255).all()
    wider = Resize((50, 50), mode="crop", crop_share=0.6).apply(image)
    assert (wider[0] < 255).all() and (wider[8:-8, 8:-8] == 255).all()


def test_nothing_is_restored_from_a_crop() -> None:
    resize = Resize((32, 32), mode="crop")
    boxes = np.zeros((1, 4), dtype=np.float32)
    for use in (
        lambda: resize.apply_to_boxes(boxes, (50, 60)),
        lambda: resize.apply_to_mask(np.zeros((50, 60), np.uint8)),
        lambda: resize.restore(detections(boxes), (50, 60)),
        lambda: resize.restore_logits(torch.zeros(2, 4, 4), (50, 60)),
    ):
        with pytest.raises(ValueError, match="'crop' is for classifiers"):
            use()


@pytest.mark.parametrize("crop_share", [0.0, 1.5])
def test_crop_share_out_of_range(crop_share: float) -> None:
    with pytest.raises(ValueError, match="crop_share"):
        Resize((32, 32), mode="crop", crop_share=crop_share)


def test_letterbox_pads_right_and_bottom() -> None:
    wide = Resize((64, 64), mode="letterbox", fill=7).apply(np.full((20, 40, 3), 200, np.uint8))
    assert wide.shape == (64, 64, 3) and wide.dtype == np.uint8
    assert (wide[:32] == 200).all() and (wide[32:] == 7).all()
    tall = Resize((64, 64), mode="letterbox").apply(np.full((40, 20, 3), 200, np.uint8))
    assert (tall[:, :32] == 200).all() and (tall[:, 32:] == 114).all()


@settings(deadline=None, max_examples=30)
@given(modes, st.integers(1, 60), st.integers(1, 60))
def test_masks_are_nearest_and_padded_with_ignored(mode: str, height: int, width: int) -> None:
    mask = np.random.default_rng(height).choice(np.array([0, 3, 11], np.uint8), (height, width))
    resize = Resize((32, 48), mode=mode)
    resized = resize.apply_to_mask(mask)
    rows, columns = resize.content_size((height, width))
    y, x = ((np.arange(n) + 0.5) * side / n for n, side in ((rows, height), (columns, width)))
    y_clear, x_clear = (np.abs(c - c.round()) > 1e-3 for c in (y, x))  # a cell's border is nobody's
    nearest = mask[np.ix_(y[y_clear].astype(int), x[x_clear].astype(int))]
    np.testing.assert_array_equal(resized[:rows, :columns][np.ix_(y_clear, x_clear)], nearest)
    assert resized.shape == (32, 48) and resized.dtype == np.uint8
    assert (resized[rows:] == 255).all() and (resized[:, columns:] == 255).all()


def test_stretched_logits_are_interpolated_to_the_original() -> None:
    logits = torch.randn(4, 8, 12, generator=torch.Generator().manual_seed(0))
    restored = Resize((64, 96)).restore_logits(logits, (77, 55))
    torch.testing.assert_close(restored, F.interpolate(logits[None], (77, 55), mode="bilinear")[0])


@pytest.mark.parametrize("low_resolution", [1, 4])
@pytest.mark.parametrize("original", [(40, 80), (80, 40), (31, 17)])
def test_letterboxed_logits_lose_the_padding(original: Size, low_resolution: int) -> None:
    """Left and right halves have classes 0 and 1; the padding says 2."""
    resize = Resize((64, 64), mode="letterbox")
    mask = np.zeros(original, np.uint8)
    mask[:, original[1] // 2 :] = 1
    labels = torch.from_numpy(resize.apply_to_mask(mask)).long()
    labels[labels == 255] = 2
    logits = F.one_hot(labels, 3).permute(2, 0, 1).float()
    logits = F.avg_pool2d(logits[None], low_resolution)[0] if low_resolution > 1 else logits
    restored = resize.restore_logits(logits, original).argmax(dim=0).numpy()
    assert restored.shape == original
    margin = low_resolution * max(1, round(max(original) / 64))
    inner = restored[: -margin or None, : -margin or None]
    wrong = inner != mask[: -margin or None, : -margin or None]
    assert wrong.any(axis=0).sum() <= 2 * margin
    assert (inner != 2).all()


@pytest.mark.parametrize("image_size", [(0, 5), (5, 0), (5,), (5, 6, 7), 5, "55"])
def test_a_size_is_two_sides_of_a_pixel_at_least(image_size: Any) -> None:
    with pytest.raises(ValueError, match=r"image_size is .*give \(height, width\)"):
        Resize(image_size)


@pytest.mark.parametrize("options", [{"mode": "zoom"}, {"interpolation": "area"}])
def test_an_unknown_way_to_resize_is_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="choose from"):
        Resize((32, 32), **options)


def test_pictures_of_the_input_s_shape_fill_it() -> None:
    """Long and thin ones keep a pixel, and a share of 1 is the whole center."""
    letterbox = Resize((64, 96), mode="letterbox")
    assert letterbox.content_size((128, 192)) == letterbox.content_size((32, 48)) == (64, 96)
    assert letterbox.content_size((1, 3000)) == (1, 96) and letterbox.content_size((3000, 1)) == (64, 1)
    image = random_image(64, 96)
    np.testing.assert_array_equal(letterbox.apply(image), image)
    np.testing.assert_array_equal(Resize((64, 96), mode="crop", crop_share=1.0).apply(image), image)
