"""One description of how an image becomes the model's input, and how results travel back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from pocketvision.core.structures import IGNORE_INDEX, Size, Window

if TYPE_CHECKING:
    from torch import Tensor

    from pocketvision.core.structures import Detections

Image = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, or (H, W, C) where a model takes other channels."""

_INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST}
_ANTIALIAS = {
    "bilinear": PillowImage.Resampling.BILINEAR,
    "bicubic": PillowImage.Resampling.BICUBIC,
    "nearest": PillowImage.Resampling.NEAREST,
}
_MODES = ("stretch", "letterbox", "crop")
MAX_CHANNELS = 16
_MIN_TILE = 16
_MAX_BORDER_CHANNELS = 4
"""That OpenCV has colors of."""


@dataclass(frozen=True)
class PixelFormat:
    """What of a picture file becomes the model's pixels, 8 bits a channel.

    ``channels`` 3 is RGB, 1 gray; other numbers are a file's own channels in their order. ``value_range``
    (low, high) are the values that become 0 and 255, evenly in between; without it 8 bits stay as they are
    and 16 bits give their upper 8.

    Raises:
        ValueError: no number of channels from 1 to 16, or a range that does not rise.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.channels, int) or not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"channels is {self.channels!r}: give a whole number from 1 to {MAX_CHANNELS}.")
        limits = self.value_range
        if limits is not None and not (len(limits) == 2 and 0 < limits[1] - limits[0] < np.inf):
            raise ValueError(f"value_range is {limits!r}: give (LOW, HIGH), such as (0, 4095).")


RGB = PixelFormat()


@dataclass(frozen=True)
class Tiling:
    """Tiles of ``tile`` (height, width) that share at least ``overlap`` of their sides with the next.

    They are spread evenly; an image that is smaller in a direction has one tile there, of its own size.
    With ``adds_whole`` a detector sees the image as a whole as well, for what is larger than a tile.

    Raises:
        ValueError: a value makes no tiles.
    """

    tile: Size
    overlap: float = 0.2
    adds_whole: bool = False

    def __post_init__(self) -> None:
        if len(self.tile) != 2 or min(self.tile) < _MIN_TILE:
            raise ValueError(
                f"The tile is {self.tile}: give its height and width, at least {_MIN_TILE} pixels each."
            )
        if not 0 <= self.overlap < 0.9:
            raise ValueError(f"The overlap of tiles is {self.overlap}: give a share from 0, below 0.9.")

    @property
    def option(self) -> int | Size:
        """``data.tile_size``."""
        height, width = self.tile
        return height if height == width else self.tile

    def windows(self, image_size: Size) -> list[Window]:
        """The tiles of an image of (height, width), row by row."""
        tops, lefts = (self._starts(*sides) for sides in zip(image_size, self.tile, strict=True))
        height, width = (min(sides) for sides in zip(image_size, self.tile, strict=True))
        return [Window(top, left, height, width) for top in tops for left in lefts]

    def _starts(self, length: int, tile: int) -> list[int]:
        if length <= tile:
            return [0]
        steps = math.ceil((length - tile) / (tile * (1 - self.overlap)))
        return [round(i * (length - tile) / steps) for i in range(steps + 1)]


@dataclass(frozen=True)
class Resize:
    """Resize to ``image_size`` (height, width) by stretching, letterboxing or cropping.

    ``stretch`` ignores the aspect ratio, as SSD does; ``letterbox`` keeps it and pads the right and
    the bottom with ``fill``. ``crop`` is for classifiers: it keeps the ratio and cuts out the center,
    so scaled that the cut is ``crop_share`` of the shorter side. ImageNet's usual 224 out of 256 is
    ``Resize((224, 224), mode="crop", crop_share=0.875, antialias=True)``, to the bit what
    torchvision's accuracies were measured with. Nothing can be restored from outside the cut.

    With ``antialias`` shrinking filters over the area that a pixel covers, as Pillow does; without,
    it is the plain interpolation that TensorFlow and torchvision's detectors use.

    ``pixels`` says which channels an image has and how they are read from its file. With ``tiling`` an image
    is seen tile by tile, and each tile becomes an input of its own.

    Raises:
        ValueError: a value is not one of those above, or a mask, boxes or results meet ``crop``.
    """

    image_size: Size
    mode: Literal["stretch", "letterbox", "crop"] = "stretch"
    interpolation: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    antialias: bool = False
    fill: int = 114
    crop_share: float = 0.875
    pixels: PixelFormat = RGB
    tiling: Tiling | None = None

    def __post_init__(self) -> None:
        size = self.image_size
        if not (isinstance(size, tuple | list) and len(size) == 2 and all(side >= 1 for side in size)):
            raise ValueError(f"image_size is {size!r}: give (height, width) in pixels, such as (320, 320).")
        if self.mode not in _MODES:
            raise ValueError(f"resize mode is {self.mode!r}: choose from {', '.join(_MODES)}.")
        if self.interpolation not in _INTERPOLATION:
            raise ValueError(f"interpolation is {self.interpolation!r}: choose from {list(_INTERPOLATION)}.")
        if not 0 < self.crop_share <= 1:
            raise ValueError(f"crop_share is {self.crop_share!r}: give a number above 0, up to 1.")

    def facts(self) -> dict[str, Any]:
        """The fields as JSON has them; those that earlier versions don't know only if they say something."""
        values = asdict(self)
        if self.pixels == RGB:
            del values["pixels"]
        if self.tiling is None:
            del values["tiling"]
        return values

    @classmethod
    def from_facts(cls, values: Mapping[str, Any]) -> Resize:
        """What :meth:`facts` gave, with tuples for lists."""
        fields = dict(values)
        pixels, tiling = fields.pop("pixels", None), tiling_of(fields.pop("tiling", None))
        return cls(**fields, pixels=RGB if pixels is None else PixelFormat(**pixels), tiling=tiling)

    def content_size(self, original_size: Size) -> Size:
        """Size of the part of the input that shows the image."""
        if self.mode != "letterbox":
            return self.image_size
        scale = min(self.image_size[0] / original_size[0], self.image_size[1] / original_size[1])
        height, width = (max(1, round(side * scale)) for side in original_size)
        return min(height, self.image_size[0]), min(width, self.image_size[1])

    def apply(self, image: Image) -> Image:
        """Resize an image (H, W, C) uint8 to ``image_size``."""
        if self.mode == "crop":
            return self._cut(self._interpolate(image, self._size_before_crop(image.shape[:2])))
        return self._pad(self._interpolate(image, self.content_size(image.shape[:2])), self.fill)

    def apply_to_mask(self, mask: Image) -> Image:
        """Resize a mask (H, W) uint8 to ``image_size``: nearest neighbor, padded with 255 (ignored)."""
        self._refuse_crop()
        height, width = self.content_size(mask.shape[:2])
        resized = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return self._pad(np.asarray(resized), IGNORE_INDEX)

    def apply_to_boxes(self, boxes: npt.NDArray[np.float32], original_size: Size) -> npt.NDArray[np.float32]:
        """Scale boxes (G, 4) xyxy from the original image's pixels to the input's."""
        self._refuse_crop()
        return (boxes * self._factors(original_size)).astype(np.float32)

    def restore(self, detections: Detections, original_size: Size) -> Detections:
        """Scale detections from the input's pixels back to the original image, clipped to it."""
        import torch

        from pocketvision.core.boxes import clip_boxes

        self._refuse_crop()
        factors = torch.from_numpy(self._factors(original_size)).to(detections.boxes)
        return detections._replace(boxes=clip_boxes(detections.boxes / factors, original_size))

    def restore_logits(self, logits: Tensor, original_size: Size) -> Tensor:
        """Resize one image's logits (K, h, w) of any resolution to the original image: (K, H, W)."""
        from pocketvision.core.label_map import enlarge

        return enlarge(self._content(logits, original_size), original_size)

    def restore_labels(self, logits: Tensor, original_size: Size) -> Tensor:
        """The best class of every pixel of the original image, (H, W) uint8, from logits (K, h, w).

        That is the argmax of :meth:`restore_logits`, in a fraction of its time and memory.
        """
        from pocketvision.core.label_map import enlarged_argmax

        return enlarged_argmax(self._content(logits, original_size), original_size)

    def _content(self, logits: Tensor, original_size: Size) -> Tensor:
        """The part of an image's logits that shows the image and not its padding."""
        from pocketvision.core.label_map import enlarge

        self._refuse_crop()
        content = self.content_size(original_size)
        if content == self.image_size:
            return logits
        return enlarge(logits, self.image_size)[:, : content[0], : content[1]]

    def _size_before_crop(self, original_size: Size) -> Size:
        """The whole image's size of which the center is cut: as torchvision rounds it."""
        target = [round(side / self.crop_share) for side in self.image_size]
        height, width = original_size
        if target[0] * width >= target[1] * height:
            return target[0], target[0] * width // height
        return target[1] * height // width, target[1]

    def _interpolate(self, image: Image, size: Size) -> Image:
        if self.antialias and image.shape[2] != RGB.channels:  # Pillow has no pictures of other channels
            return np.concatenate(
                [self._filter(image[..., i], size)[..., None] for i in range(image.shape[2])], 2
            )
        if self.antialias:
            return self._filter(image, size)
        resized = cv2.resize(image, size[::-1], interpolation=_INTERPOLATION[self.interpolation])
        return np.asarray(resized, dtype=np.uint8).reshape(*size, image.shape[2])

    def _filter(self, image: Image, size: Size) -> Image:
        picture = PillowImage.fromarray(image)
        return np.array(picture.resize(size[::-1], _ANTIALIAS[self.interpolation]))

    def _cut(self, image: Image) -> Image:
        height, width = self.image_size
        top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
        return np.ascontiguousarray(image[top : top + height, left : left + width])

    def _refuse_crop(self) -> None:
        if self.mode == "crop":
            raise ValueError("resize mode 'crop' is for classifiers: choose 'stretch' or 'letterbox'.")

    def _factors(self, original_size: Size) -> npt.NDArray[np.float32]:
        height, width = self.content_size(original_size)
        scale = [width / original_size[1], height / original_size[0]]
        return np.array(scale * 2, dtype=np.float32)

    def _pad(self, image: npt.NDArray[Any], value: int) -> Image:
        bottom, right = self.image_size[0] - image.shape[0], self.image_size[1] - image.shape[1]
        if not bottom and not right:
            return image
        return bordered(image, (0, bottom, 0, right), (value,) * 3)


def tiling_of(facts: Mapping[str, Any] | None) -> Tiling | None:
    """The tiling of ``Resize.facts()["tiling"]``."""
    return None if facts is None else Tiling(**{**facts, "tile": tuple(facts["tile"])})


def bordered(image: npt.NDArray[Any], pads: tuple[int, int, int, int], color: Sequence[int]) -> Image:
    """Pixels of ``color`` added at the top, bottom, left and right of (H, W) or (H, W, C).

    Of a color of another number of channels than the image has, each channel gets the mean.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if len(color) != channels:
        color = (round(sum(color) / len(color)),) * channels
    top, bottom, left, right = pads
    if channels <= _MAX_BORDER_CHANNELS:
        framed: Image = np.asarray(
            cv2.copyMakeBorder(image, *pads, cv2.BORDER_CONSTANT, value=tuple(color)), dtype=np.uint8
        )
        return framed.reshape(*framed.shape[:2], *image.shape[2:])
    height, width = image.shape[:2]
    whole: Image = np.empty((height + top + bottom, width + left + right, channels), dtype=np.uint8)
    whole[:] = np.array(color, dtype=np.uint8)
    whole[top : top + height, left : left + width] = image
    return whole
