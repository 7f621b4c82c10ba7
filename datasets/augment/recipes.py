"""Training augmentation, one readable recipe a task; flips and colors are in :mod:`recipe`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pocketvision.core.resize import Resize, bordered
from pocketvision.core.structures import IGNORE_INDEX, Size
from pocketvision.datasets.augment.flips_and_colors import flip_and_color
from pocketvision.datasets.augment.inception_crop import inception_window
from pocketvision.datasets.augment.mixing import (
    Annotated,
    MixedSample,
    Partners,
    copy_paste,
    mixup,
    mosaic,
    view,
)
from pocketvision.datasets.augment.ssd_crop import clean_boxes, crop_window, expand_window, jitter_window
from pocketvision.datasets.augment.view import needed_scale, show, show_mask
from pocketvision.datasets.images.picture import Picture, as_picture
from pocketvision.datasets.images.read import Array
from pocketvision.datasets.records.annotations import Boxes, Labels, Mask

Sides = npt.NDArray[np.float64]

MEAN_COLOR = (124, 116, 104)
"""ImageNet's mean, RGB."""


@dataclass(frozen=True)
class DetectionAugmentation:
    """SSD's augmentation: zoom out, min-IoU crop, resize, then flips and colors at the input's size.

    Attributes:
        expand_probability: of zooming out, by a factor in ``expand_ratio``.
        crop_probability: of cropping, with one of ``min_ious``, sides of at least ``min_crop_side`` of
            the image and an aspect ratio of at most ``max_aspect_ratio`` (and its inverse).
        horizontal_flip, vertical_flip: probabilities.
        rotate90: turn by a random multiple of 90 degrees, for images without an upright direction.
        photometric: change colors at all; each change has ``photometric_probability``.
        brightness, contrast, saturation: largest relative change.
        hue: largest change, as a fraction of the color circle.
        fill: RGB around a zoomed-out image, or a value for each of its channels.
        scale_jitter: range of a factor on the image's size, with which it is shrunk (below 1) or enlarged
            instead of the zoom out; (1, 1) leaves it out.
        mosaic, mixup, copy_paste: probabilities of mixing in other images, for small data sets; see
            :mod:`pocketvision.datasets.augment.mixing`. A mosaic takes the place of zoom and crop.
        close_epochs: the last epochs of a training do without mixing, so that it ends on real images; at
            most half of them.
    """

    expand_probability: float = 0.5
    expand_ratio: tuple[float, float] = (1.0, 3.0)
    crop_probability: float = 0.85
    min_ious: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
    min_crop_side: float = 0.3
    max_aspect_ratio: float = 2.0
    crop_trials: int = 40
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    rotate90: bool = False
    photometric: bool = True
    photometric_probability: float = 0.5
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.05
    fill: tuple[int, ...] = MEAN_COLOR
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    mosaic: float = 0.0
    mixup: float = 0.0
    copy_paste: float = 0.0
    close_epochs: int = 10

    @property
    def mixes(self) -> bool:
        """Whether other images are needed."""
        return max(self.mosaic, self.mixup, self.copy_paste) > 0

    def num_closed(self, num_epochs: int) -> int:
        """How many of the epochs of a run do without mixing."""
        return min(self.close_epochs, num_epochs // 2)

    def kept_size(self, resize: Resize) -> Size:
        """Size (height, width) of an image beyond which nothing that is drawn gains from more pixels."""
        zoom = max(1.0, self.scale_jitter[1]) / (self.min_crop_side if self.crop_probability > 0 else 1.0)
        return _enlarged(resize.image_size, zoom)

    def __call__(
        self,
        image: Array | Picture,
        boxes: Boxes,
        labels: Labels,
        resize: Resize,
        rng: np.random.Generator,
        partners: Partners | None = None,
    ) -> tuple[Array, Boxes, Labels]:
        """Image (H, W, 3) uint8 RGB, boxes (G, 4) xyxy and labels (G,) -> those of the model's input.

        Without ``partners``, which draws other images, nothing is mixed.
        """
        picture = as_picture(image)
        annotated = Annotated(picture, *clean_boxes(boxes, labels, picture.size))
        if partners is None:
            sample = self._zoom(annotated, resize, rng)
        else:
            sample = self._mix(annotated, resize, rng, partners)
        changed, truth = flip_and_color(self, sample.image, {"boxes": sample.boxes}, rng)
        return changed, *clean_boxes(truth["boxes"], sample.labels, resize.image_size)

    def with_mask(
        self, image: Array | Picture, boxes: Boxes, labels: Labels, mask: Mask, resize: Resize,
        rng: np.random.Generator,
    ) -> tuple[Array, Boxes, Labels, Mask]:  # fmt: skip
        """As a call without partners, for an image that has a mask (H, W) too: it moves with the boxes."""
        picture = as_picture(image)
        annotated = Annotated(picture, *clean_boxes(boxes, labels, picture.size))
        window, quarters = self._window(annotated, rng)
        sample = view(annotated, window, resize, self.fill, quarters)
        shown = {"boxes": sample.boxes, "mask": show_mask(mask, window, resize, quarters)}
        changed, truth = flip_and_color(self, sample.image, shown, rng)
        return changed, *clean_boxes(truth["boxes"], sample.labels, resize.image_size), truth["mask"]

    def _mix(
        self, annotated: Annotated, resize: Resize, rng: np.random.Generator, partners: Partners
    ) -> MixedSample:
        if rng.random() < self.mosaic:
            others = [partners(rng) for _ in range(3)]
            sample = mosaic([annotated, *others], resize, self.fill, rng)
        else:
            sample = self._zoom(annotated, resize, rng)
        if rng.random() < self.copy_paste:
            sample = copy_paste(sample, partners(rng), resize, self.fill, rng)
        if rng.random() < self.mixup:
            sample = mixup(sample, self._zoom(partners(rng), resize, rng))
        return sample

    def _zoom(self, annotated: Annotated, resize: Resize, rng: np.random.Generator) -> MixedSample:
        window, quarters = self._window(annotated, rng)
        return view(annotated, window, resize, self.fill, quarters)

    def _window(self, annotated: Annotated, rng: np.random.Generator) -> tuple[list[float], int]:
        """Zooming and cropping as one window, and quarter turns, drawn before anything is decoded."""
        height, width = annotated.picture.size
        window = np.array([0.0, 0.0, width, height])
        if self.scale_jitter != (1.0, 1.0):
            window = jitter_window((height, width), self.scale_jitter, rng)
        elif rng.random() < self.expand_probability:
            window = expand_window((height, width), self.expand_ratio, rng)
        window = crop_window(
            annotated.boxes,
            window,
            probability=self.crop_probability,
            min_ious=self.min_ious,
            min_side=self.min_crop_side,
            max_aspect_ratio=self.max_aspect_ratio,
            trials=self.crop_trials,
            rng=rng,
        )
        return window.tolist(), int(rng.integers(4)) if self.rotate90 else 0


@dataclass(frozen=True)
class SegmentationAugmentation:
    """Random scale, crop, flips and colors; masks are resized by nearest neighbor.

    Attributes:
        scale: range of the factor on the model's own resize of the image.
        crop_size: (height, width) of the result; None is the model's image size. A smaller image is
            padded at the right and the bottom with ``fill``, its mask with 255.

    The other attributes are those of :class:`DetectionAugmentation`.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    crop_size: Size | None = None
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    photometric: bool = True
    photometric_probability: float = 0.5
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.05
    fill: tuple[int, ...] = MEAN_COLOR

    def kept_size(self, resize: Resize) -> Size:
        """Size (height, width) of an image beyond which nothing that is drawn gains from more pixels."""
        return _enlarged(resize.image_size, max(1.0, self.scale[1]))

    def __call__(
        self, image: Array | Picture, mask: Array, resize: Resize, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Image (H, W, 3) uint8 RGB and mask (H, W) uint8 -> both of the crop size."""
        crop_size = self.crop_size or resize.image_size
        image, mask = self._scale_and_crop(as_picture(image), mask, resize, crop_size, rng)
        image, mask = _pad(image, crop_size, self.fill), _pad(mask, crop_size, (IGNORE_INDEX,))
        changed, truth = flip_and_color(self, image, {"mask": mask}, rng)
        return changed, truth["mask"]

    def _scale_and_crop(
        self, picture: Picture, mask: Array, resize: Resize, crop_size: Size, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Cut out the part that the crop shows and resize that: enlarging the whole image would be slow."""
        original, content = np.array(picture.size), np.array(resize.content_size(picture.size))
        scaled = np.maximum(1, np.round(content * rng.uniform(*self.scale)))
        visible = np.minimum(crop_size, scaled)
        start = np.floor(rng.random(2) * (scaled - visible + 1))
        factor = original / scaled
        low = np.floor(start * factor)
        high = np.maximum(low + 1, np.minimum(original, np.ceil((start + visible) * factor)))
        pixels, _, covers = picture.read(float((visible / (high - low)).max()))
        # Whole pixels of what was read, which may be coarser than the mask; the mask's part is the same,
        # so that pixels which reach beyond its end are left out.
        share = np.array(pixels.shape[:2]) / covers
        first = np.floor(low * share + 1e-6)
        last = np.minimum(np.ceil(high * share - 1e-6), np.floor(original * share + 1e-6))
        last = np.maximum(last, first + 1)
        part, mask_part = _slices(first, last), _slices(np.round(first / share), np.round(last / share))
        stretch = replace(resize, image_size=(int(visible[0]), int(visible[1])), mode="stretch")
        return stretch.apply(pixels[part]), stretch.apply_to_mask(mask[mask_part])


@dataclass(frozen=True)
class ClassificationAugmentation:
    """Inception's augmentation: a random part stretched to the input's size, flips and colors.

    Attributes:
        crop_scale: range of the part's area as a share of the image's.
        crop_ratio: range of its width / height.

    The other attributes are those of :class:`DetectionAugmentation`. Scale and ratio are those of
    arXiv:1409.4842, sec. 6; the strengths of the color changes, all made to each image, are slim's.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    horizontal_flip: float = 0.5
    vertical_flip: float = 0.0
    photometric: bool = True
    photometric_probability: float = 1.0
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.2

    def kept_size(self, resize: Resize) -> Size:
        """Size (height, width) of an image beyond which nothing that is drawn gains from more pixels."""
        return _enlarged(resize.image_size, 1 / math.sqrt(self.crop_scale[0]))

    def __call__(self, image: Array | Picture, resize: Resize, rng: np.random.Generator) -> Array:
        """Image (H, W, 3) uint8 RGB -> one of the input's size."""
        picture, stretch = as_picture(image), replace(resize, mode="stretch")
        rows, columns = inception_window(picture.size, self.crop_scale, self.crop_ratio, rng)
        window = columns.start, rows.start, columns.stop, rows.stop
        pixels, _, covers = picture.read(needed_scale(window, stretch))
        part = show(pixels, covers, window, stretch, MEAN_COLOR)[0]
        return flip_and_color(self, part, {}, rng)[0]


def _enlarged(size: Size, factor: float) -> Size:
    return math.ceil(size[0] * factor), math.ceil(size[1] * factor)


def _slices(low: Sides, high: Sides) -> tuple[slice, slice]:
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))


def _pad(image: Array, size: Size, fill: tuple[int, ...]) -> Array:
    bottom, right = size[0] - image.shape[0], size[1] - image.shape[1]
    if not bottom and not right:
        return image
    return bordered(image, (0, bottom, 0, right), fill)
