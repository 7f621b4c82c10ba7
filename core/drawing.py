"""Pictures for people: boxes with names, colored masks, contact sheets. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageDraw

from pocketvision.core.files import replacing
from pocketvision.core.resize import Image
from pocketvision.core.structures import IGNORE_INDEX, OTHER_INDEX, Size
from pocketvision.core.text_labels import (
    BoxName as BoxName,
)
from pocketvision.core.text_labels import (
    Color as Color,
)
from pocketvision.core.text_labels import (
    Rectangle,
    choose_place,
    fit_font,
    load_font,
    place_names,
    places_around,
    text_size,
    write,
)

if TYPE_CHECKING:
    from torch import Tensor

    _Values = Tensor | npt.NDArray[Any] | Sequence[Any]

# Okabe and Ito's colors, which people with any kind of color vision can tell apart.
_OKABE_ITO: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def _shade(color: Color, amount: float, towards: int) -> Color:
    red, green, blue = (round(value + (towards - value) * amount) for value in color)
    return red, green, blue


PALETTE: tuple[Color, ...] = (
    *_OKABE_ITO,
    *(_shade(color, 0.45, 0) for color in _OKABE_ITO),
    *(_shade(color, 0.55, 255) for color in _OKABE_ITO),
)
"""Class colors: seven safe for color-blind eyes, then darker and lighter ones; repeated where it ends."""

IGNORED_COLOR: Color = (64, 64, 64)
_MARGIN = 6
_SMALLEST_FONT = 11
_JPEG_QUALITY = 92
_WHITE = (255, 255, 255)


def drawing_sizes(image_size: Size) -> tuple[int, int]:
    """Line width and font size in pixels that suit an image of (height, width)."""
    # Slower than the side: a large image is looked at more closely, and its objects are often small.
    scale = (image_size[0] * image_size[1]) ** 0.325
    return max(1, round(scale / 25)), max(_SMALLEST_FONT, round(scale * 0.23))


def draw_boxes(
    image: Image,
    boxes: _Values,
    labels: _Values,
    class_names: Sequence[str | None] | None,
    scores: _Values | None = None,
    color: Color | None = None,
    *,
    line_width: int = 2,
    font_size: int = 14,
) -> Image:
    """A copy of ``image`` with boxes (G, 4) xyxy, their names, and their scores if given.

    Without ``color`` each class has its color of PALETTE; ``class_names`` None writes nothing. Names stand as
    :func:`draw_names` has it; but the first of each class, those are left out that would hide most of another
    box or lie on another name.
    """
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    array = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    rows = array.tolist()
    indices = np.asarray(labels, dtype=np.int64).tolist()
    colors = [color or PALETTE[index % len(PALETTE)] for index in indices]
    for (left, top, right, bottom), own in zip(rows, colors, strict=True):
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=own, width=line_width)
    if class_names is None:
        return np.array(canvas)
    names = name_boxes(rows, indices, class_names, colors, scores)
    return draw_names(np.array(canvas), names, font_size)


def name_boxes(
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    class_names: Sequence[str | None],
    colors: Sequence[Color],
    scores: _Values | None = None,
) -> list[BoxName]:
    """Names of boxes, of which the first of each class is needed."""
    texts = name_texts(labels, class_names, scores)
    firsts = {label: place for place, label in reversed(list(enumerate(labels)))}
    return [
        BoxName(text, box, color, is_needed=firsts[label] == place)
        for place, (text, box, color, label) in enumerate(zip(texts, boxes, colors, labels, strict=True))
    ]


def name_texts(
    labels: Sequence[int], class_names: Sequence[str | None], scores: _Values | None = None
) -> list[str]:
    """What stands at boxes: class names, those of reserved slots as numbers, with the scores if given."""
    texts = [class_names[index] or str(index) for index in labels]
    if scores is None:
        return texts
    values = np.asarray(scores, dtype=np.float64).tolist()
    return [f"{text} {value:.2f}" for text, value in zip(texts, values, strict=True)]


def draw_names(image: Image, names: Sequence[BoxName], font_size: int = 14) -> Image:
    """A copy of ``image`` with names at their boxes, the first ones where they stand best.

    A name stands outside its box where there is room, else where it hides the least of other names and
    boxes; always within the image.
    """
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    fonts = [fit_font(name.text, font_size, canvas.width) for name in names]
    boxes = np.array([name.box for name in names], dtype=np.float64).reshape(-1, 4)
    places = place_names(names, fonts, (canvas.height, canvas.width), boxes)
    for name, font, place in zip(names, fonts, places, strict=True):
        if place is not None:
            write(draw, font, name.text, place, name.color)
    return np.array(canvas)


def write_lines(image: Image, lines: Sequence[str], font_size: int = 14) -> Image:
    """A copy of ``image`` with ``lines`` in its left upper corner, black on white."""
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    top = 0
    for line in lines:
        font = fit_font(line, font_size, canvas.width)
        width, height = text_size(font, line)
        write(draw, font, line, (0, top, width, top + height), _WHITE)
        top += height
    return np.array(canvas)


def name_regions(
    image: Image,
    label_map: Image,
    class_names: Sequence[str | None],
    palette: Sequence[Color],
    font_size: int = 14,
    min_share: float = 0.003,
) -> Image:
    """A copy of ``image`` with the name of each class in the middle of its thickest part, largest first.

    Classes under ``min_share`` of the pixels of ``label_map`` (H, W) uint8 and ignored pixels stay unnamed.
    """
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    step = max(1, max(label_map.shape) // 320)
    small = label_map[::step, ::step]
    counts = np.bincount(small.ravel(), minlength=256)[: len(class_names)]
    taken: list[Rectangle] = []
    for index in np.argsort(-counts, kind="stable").tolist():
        name = class_names[index]
        if name is None or counts[index] < min_share * small.size:
            continue
        font = fit_font(name, font_size, canvas.width)
        size = text_size(font, name)
        corners = places_around(_middle(small == index, step), size)
        taken.append(choose_place(corners, size, image.shape[:2], taken, np.empty((0, 4))))
        write(draw, font, name, taken[-1], palette[index % len(palette)])
    return np.array(canvas)


def _middle(mask: npt.NDArray[np.bool_], step: int) -> tuple[float, float]:
    """The point (x, y) of a mask (H, W) that is farthest from its border; pixels are ``step`` wide."""
    framed = np.pad(mask.astype(np.uint8), 1)
    _, _, _, (x, y) = cv2.minMaxLoc(cv2.distanceTransform(framed, cv2.DIST_L2, 3))
    return (x - 0.5) * step, (y - 0.5) * step


def palette_for(class_names: Sequence[str | None]) -> tuple[Color, ...]:
    """One color a class; a class called background is black and leaves its color to the next one."""
    colors = iter(PALETTE * (len(class_names) // len(PALETTE) + 1))
    return tuple((0, 0, 0) if name == "background" else next(colors) for name in class_names)


def color_mask(mask: Image, palette: Sequence[Color] = PALETTE) -> Image:
    """Class indices (H, W) uint8 as colors (H, W, 3); ignored pixels (255) and those of
    classes that the model does not know are dark gray."""
    table = np.array([palette[index % len(palette)] for index in range(256)], np.uint8)
    table[[OTHER_INDEX, IGNORE_INDEX]] = IGNORED_COLOR
    return table[mask]


def overlay_mask(image: Image, mask: Image, palette: Sequence[Color] = PALETTE, alpha: float = 0.55) -> Image:
    """``image`` seen through the colors of ``mask`` (H, W) uint8; ``alpha`` 1 hides the image."""
    return np.asarray(cv2.addWeighted(color_mask(mask, palette), alpha, image, 1 - alpha, 0), dtype=np.uint8)


def false_color(image: Image) -> Image:
    """A picture of any channels (H, W, C) for a person: (H, W, 3).

    Gray is gray, of two channels the first is red and the second green and blue, of more than three the first
    three are red, green and blue.
    """
    chosen = {1: [0, 0, 0], 2: [0, 1, 1], 3: [0, 1, 2]}.get(image.shape[2], [0, 1, 2])
    return image if image.shape[2] == 3 else np.ascontiguousarray(image[..., chosen])


def contact_sheet(tiles: Sequence[Image], columns: int, captions: Sequence[str] | None = None) -> Image:
    """Tiles of any sizes in rows of ``columns`` on white, each with its caption below."""
    if captions is not None:
        tiles = [stack(tile, _text_line(text)) for tile, text in zip(tiles, captions, strict=True)]
    height = max(tile.shape[0] for tile in tiles) + _MARGIN
    width = max(tile.shape[1] for tile in tiles) + _MARGIN
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet: Image = np.full((rows * height + _MARGIN, columns * width + _MARGIN, 3), 255, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * height + _MARGIN, (i % columns) * width + _MARGIN
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def stack(*images: Image) -> Image:
    """Images one below the other, filled up with white on the right."""
    width = max(image.shape[1] for image in images)
    filled = [
        cv2.copyMakeBorder(image, 0, 0, 0, width - image.shape[1], cv2.BORDER_CONSTANT, value=_WHITE)
        for image in images
    ]
    return np.concatenate(filled).astype(np.uint8)


def legend(
    class_names: Sequence[str | None],
    palette: Sequence[Color] = PALETTE,
    *,
    width: int = 960,
    font_size: int = 16,
) -> Image:
    """A white strip of ``width`` with a swatch and a name for every class; reserved slots are left out."""
    font = load_font(font_size)
    line = font_size + 10
    entries: list[tuple[int, int, int, str]] = []
    x = y = _MARGIN
    for index, name in enumerate(class_names):
        if name is None:
            continue
        advance = font_size + text_size(font, name)[0] + 20
        if x > _MARGIN and x + advance > width:
            x, y = _MARGIN, y + line
        entries.append((x, y, index, name))
        x += advance
    canvas = PillowImage.new("RGB", (width, y + line), _WHITE)
    draw = ImageDraw.Draw(canvas)
    for x, y, index, name in entries:
        swatch = (x, y + 2, x + font_size, y + 2 + font_size)
        draw.rectangle(swatch, fill=palette[index % len(palette)], outline=(0, 0, 0))
        draw.text((x + font_size + 6, y), name, fill=(0, 0, 0), font=font)
    return np.array(canvas)


def _text_line(text: str, font_size: int = 14) -> Image:
    font = load_font(font_size)
    canvas = PillowImage.new("RGB", text_size(font, text), _WHITE)
    ImageDraw.Draw(canvas).text((3, 0), text, fill=(0, 0, 0), font=font)
    return np.array(canvas)


def save_image(path: Path, image: Image) -> None:
    """Write a PNG or JPEG file, by the suffix of ``path``."""
    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with replacing(path) as temporary:
        PillowImage.fromarray(image).save(temporary, format=kind, quality=_JPEG_QUALITY)
