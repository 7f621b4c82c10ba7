"""Pictures of shapes, drawn on the fly: a data set for a first run that needs no download.

The four classes differ by shape alone. Color, texture, size, position and rotation are drawn without
looking at the class, and crosses, rings, crescents, blobs and bars lie around as distractors.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Image

SHAPE_NAMES = ("circle", "square", "triangle", "star")
SEGMENTATION_SHAPE_NAMES = ("background", *SHAPE_NAMES)

VAL_SEED, TEST_SEED = 2**32 - 1, 2**32 - 2
"""Seeds of the validation and the test pictures, which no training series may have."""

_Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]
Outline = list[Points]
"""Closed polygons (P, 2) of x, y in any unit; a polygon inside another one is a hole."""

_MAX_OBJECTS, _MAX_DISTRACTORS = 6, 3
# A little inside the promised 12 to 60 % of the image, because drawing rounds outwards to pixels.
_SIDE_RANGE = (0.13, 0.58)
_MAX_OVERLAP = 0.3
_MIN_CONTRAST = 70.0
_DISTRACTOR = 0
_SUBPIXEL_BITS = 4


class ShapeImage(NamedTuple):
    """A picture with its truth.

    ``image`` (H, W, 3) uint8 RGB; ``boxes`` (G, 4) xyxy, tight around the whole shape even where a later
    one hides a part; ``labels`` (G,) index SHAPE_NAMES; ``mask`` (H, W) uint8 indexes
    SEGMENTATION_SHAPE_NAMES and shows what is visible.
    """

    image: Image
    boxes: _Floats
    labels: npt.NDArray[np.int64]
    mask: Image


class _Sticker(NamedTuple):
    """A shape cut out and placed: coverage (h, w) in [0, 1], tight; its box; its class in the mask."""

    coverage: _Floats
    box: tuple[int, int, int, int]
    mask_value: int


def generate(index: int, seed: int, image_size: int = 192) -> ShapeImage:
    """Draw picture ``index`` of the series ``seed``; the same arguments give the same picture.

    Both are in [0, 2**32): numpy splits larger numbers, so that two series could share pictures.
    """
    if not (0 <= index < 2**32 and 0 <= seed < 2**32):
        raise InputError(f"Index {index} and seed {seed} of a picture must be from 0 to 2**32 - 1.")
    rng = np.random.default_rng((seed, index))
    stickers = _place_stickers(rng, image_size)
    canvas = _draw_background(rng, image_size)
    mask = np.zeros((image_size, image_size), np.uint8)
    for position in rng.permutation(len(stickers)):
        _paste(stickers[position], canvas, mask, rng)
    shapes = [sticker for sticker in stickers if sticker.mask_value != _DISTRACTOR]
    boxes = np.array([shape.box for shape in shapes], np.float32).reshape(-1, 4)
    labels = np.array([shape.mask_value - 1 for shape in shapes], np.int64)
    return ShapeImage(_photograph(canvas, rng), boxes, labels, mask)


def _place_stickers(rng: np.random.Generator, image_size: int) -> list[_Sticker]:
    """1 to 6 shapes, then up to 3 distractors; what finds no free place is left out."""
    values = [
        int(value) for value in rng.integers(1, len(SHAPE_NAMES) + 1, rng.integers(1, _MAX_OBJECTS + 1))
    ]
    values += [_DISTRACTOR] * int(rng.integers(0, _MAX_DISTRACTORS + 1))
    stickers: list[_Sticker] = []
    for value in values:
        draw = _DISTRACTORS[rng.integers(len(_DISTRACTORS))] if value == _DISTRACTOR else _SHAPES[value - 1]
        side = image_size * float(rng.uniform(*_SIDE_RANGE))
        coverage = _rasterise(_pose(draw(rng), side, rng))
        height, width = coverage.shape
        for x, y in rng.integers(0, (image_size - width + 1, image_size - height + 1), (20, 2)).tolist():
            box = (x, y, x + width, y + height)
            if all(_overlap(box, other.box) <= _MAX_OVERLAP for other in stickers):
                stickers.append(_Sticker(coverage, box, value))
                break
    return stickers


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Intersection over the smaller box: unlike IoU it is 1 for a small shape lying under a large one."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0) * max(height, 0) / smaller


def _pose(outline: Outline, side: float, rng: np.random.Generator) -> Outline:
    """Squeeze (as if seen at an angle), rotate, and scale until the longest side of the box is ``side``."""
    direction, angle = rng.uniform(0, 2 * np.pi, 2)
    squeeze = _rotation(-direction) @ np.diag([1.0, rng.uniform(0.8, 1.0)]) @ _rotation(direction)
    outline = [points @ (squeeze @ _rotation(angle)) for points in outline]
    corners = np.concatenate(outline)
    scale = side / np.ptp(corners, axis=0).max()
    origin = corners.min(axis=0) * scale - 2 - rng.random(2)
    return [points * scale - origin for points in outline]


def _rotation(angle: float) -> Points:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _rasterise(outline: Outline) -> _Floats:
    """Anti-aliased coverage of an outline in pixels, cropped to the pixels it covers by half or more."""
    width, height = np.ceil(np.concatenate(outline).max(axis=0)).astype(int) + 3
    fixed = [np.round((points - 0.5) * 2**_SUBPIXEL_BITS).astype(np.int32) for points in outline]
    coverage = np.zeros((height, width), np.uint8)
    cv2.fillPoly(coverage, fixed, 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    x, y, width, height = cv2.boundingRect((coverage >= 128).astype(np.uint8))
    tight: _Floats = coverage[y : y + height, x : x + width].astype(np.float32) / np.float32(255)
    return tight


def _paste(sticker: _Sticker, canvas: _Floats, mask: Image, rng: np.random.Generator) -> None:
    """Paint the sticker in two near colors that stand out from what lies under it."""
    left, top, right, bottom = sticker.box
    under = canvas[top:bottom, left:right]
    colors = _random_colors(rng, 64)
    # Of 64 random colors one is far enough, whatever lies below.
    contrasts = np.linalg.norm(colors - np.array(cv2.mean(under)[:3]), axis=1)
    color = colors[np.argmax(contrasts >= _MIN_CONTRAST)]
    spread = rng.uniform(-90, 90, 3)
    coverage = sticker.coverage
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](rng, max(coverage.shape)) - np.float32(0.5)
    pattern = pattern[: bottom - top, : right - left] * coverage
    paint = cv2.transform(cv2.merge((coverage, pattern)), np.stack((color, spread), axis=1))
    under[:] = cv2.multiply(under, cv2.merge((1 - coverage,) * 3)) + paint
    mask[top:bottom, left:right][coverage >= 0.5] = sticker.mask_value


def _random_colors(rng: np.random.Generator, count: int) -> _Floats:
    """RGB colors (count, 3) from gray to vivid."""
    colors = rng.uniform(0, 255, (count, 3))
    vividness = rng.uniform(0.2, 1, (count, 1))
    grays = colors.mean(axis=1, keepdims=True)
    mixed: _Floats = (grays + (colors - grays) * vividness).astype(np.float32)
    return mixed


def _draw_background(rng: np.random.Generator, size: int) -> _Floats:
    """Regions with soft or hard borders, clouds inside them, and light that falls off to one side."""
    sharpness = float(np.exp(rng.uniform(0, 2.5)))
    regions = np.clip((_clouds(rng, size, 2) - 0.5) * sharpness + 0.5, 0, 1)
    clouds = _clouds(rng, size, 4) * np.float32(rng.uniform(0.3, 0.8))
    light = 0.7 + 0.6 * _gradient(rng, size)
    rest = light * (1 - clouds)
    shares = cv2.merge((rest * regions, rest * (1 - regions), light * clouds))
    canvas: _Floats = cv2.transform(shares, _random_colors(rng, 3).T)
    return canvas


def _clouds(rng: np.random.Generator, size: int, coarsest: int = 3) -> _Floats:
    """Noise of several octaves (size, size), in [0, 1]."""
    cells, weight = coarsest, np.float32(1)
    decay = np.float32(rng.uniform(0.5, 0.75))
    noise = rng.random((cells, cells), np.float32)
    while cells * 2 < size:
        cells, weight = cells * 2, weight * decay
        noise = _stretch(noise, cells, cv2.INTER_CUBIC)
        noise += rng.random((cells, cells), np.float32) * weight
    lowest, highest = noise.min(), noise.max()
    return _stretch((noise - lowest) / (highest - lowest), size, cv2.INTER_LINEAR)


def _gradient(rng: np.random.Generator, size: int) -> _Floats:
    """A linear ramp (size, size) in any direction, in [0, 1]."""
    return _stretch(rng.random((2, 2), np.float32), size, cv2.INTER_LINEAR)


def _stretch(field: _Floats, size: int, interpolation: int) -> _Floats:
    return np.asarray(cv2.resize(field, (size, size), interpolation=interpolation), np.float32)


def _stripes(rng: np.random.Generator, size: int) -> _Floats:
    """Waves (size, size) in any direction, in [0, 1]."""
    dx, dy = rng.normal(0, 1, 2) * rng.uniform(0.2, 0.6)
    steps = np.arange(size, dtype=np.float32)
    waves: _Floats = np.sin(steps * np.float32(dx) + (steps * np.float32(dy))[:, None]) * 0.5 + 0.5
    return waves


def _photograph(canvas: _Floats, rng: np.random.Generator) -> Image:
    """What the lens and the sensor add: blur and noise."""
    blurred = cv2.GaussianBlur(canvas, (5, 5), rng.uniform(0.3, 1.2))
    noise = rng.integers(0, 256, canvas.shape, np.uint8)
    strength = rng.uniform(0.02, 0.15)
    noisy = cv2.addWeighted(blurred, 1.0, noise, strength, -127.5 * strength, dtype=cv2.CV_8U)
    return np.asarray(noisy, dtype=np.uint8)


def _polar(angles: Points, radii: Points | float) -> Points:
    points: Points = np.stack((np.cos(angles) * radii, np.sin(angles) * radii), axis=1)
    return points


def _angles(count: int) -> Points:
    angles: Points = np.arange(count, dtype=np.float64) * (2 * np.pi / count)
    return angles


def _polygon(num_corners: int, rng: np.random.Generator) -> Outline:
    return [_polar(_angles(num_corners), 1.0)]


def _star(rng: np.random.Generator) -> Outline:
    return [_polar(_angles(10), np.tile([1.0, rng.uniform(0.4, 0.5)], 5))]


def _bar(rng: np.random.Generator) -> Outline:
    thin = rng.uniform(0.04, 0.12)
    return [np.array([[-1, -thin], [1, -thin], [1, thin], [-1, thin]])]


def _cross(rng: np.random.Generator) -> Outline:
    arm = rng.uniform(0.2, 0.35)
    quarter = np.array([[1, -arm], [1, arm], [arm, arm]])
    return [np.concatenate([quarter @ _rotation(-turn * np.pi / 2) for turn in range(4)])]


def _ring(rng: np.random.Generator) -> Outline:
    return [_polar(_angles(48), 1.0), _polar(_angles(48), rng.uniform(0.5, 0.75))]


def _crescent(rng: np.random.Generator) -> Outline:
    outer = _polar(np.linspace(0.35 * np.pi, 1.65 * np.pi, 32), 1.0)
    bulge = rng.uniform(0.1, 0.5)
    tips = outer[:, 0].max()
    inner = np.stack((tips - (tips - outer[:, 0]) * bulge, outer[:, 1]), axis=1)
    return [np.concatenate((outer, inner[::-1]))]


def _blob(rng: np.random.Generator) -> Outline:
    angles = _angles(48)
    waves = sum(rng.uniform(0.12, 0.2) * np.sin(k * angles + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 5))
    return [_polar(angles, 1.0 + waves)]


_Draw = Callable[[np.random.Generator], Outline]
_SHAPES: tuple[_Draw, ...] = (
    partial(_polygon, 48),
    partial(_polygon, 4),
    partial(_polygon, 3),
    _star,
)
_DISTRACTORS: tuple[_Draw, ...] = (_bar, _cross, _ring, _crescent, _blob)
_PATTERNS: tuple[Callable[[np.random.Generator, int], _Floats], ...] = (_clouds, _gradient, _stripes)
