"""Pictures for people: boxes with names, coloured masks, contact sheets. Images are (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from pocketvision.core.files import replacing
from pocketvision.core.resize import Image
from pocketvision.core.structures import IGNORE_INDEX

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

Color = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]
Values = Tensor | npt.NDArray[Any] | Sequence[Any]

# Okabe and Ito's colours, which people with any kind of colour vision can tell apart.
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
"""Class colours: seven safe for colour-blind eyes, then darker and lighter ones; repeated where it ends."""

IGNORED_COLOR: Color = (64, 64, 64)
_MARGIN = 6
_WHITE = (255, 255, 255)


def draw_boxes(
    image: Image,
    boxes: Values,
    labels: Values,
    class_names: Sequence[str | None] | None,
    scores: Values | None = None,
    color: Color | None = None,
    *,
    line_width: int = 2,
    label_edge: Literal["top", "bottom"] = "top",
    font_size: int = 14,
) -> Image:
    """A copy of ``image`` with boxes (G, 4) xyxy, their names, and their scores if given.

    Without ``color`` each class has its colour of PALETTE; ``class_names`` None writes nothing, and
    ``line_width`` 0 writes the names alone. Names stand outside the box at ``label_edge``
    where there is room, always within the image, and step aside for names that were written before.
    """
    from PIL import Image as PillowImage
    from PIL import ImageDraw, ImageFont

    canvas = PillowImage.fromarray(image)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(font_size)
    rows = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).tolist()
    indices = np.asarray(labels, dtype=np.int64).tolist()
    colors = [color or PALETTE[index % len(PALETTE)] for index in indices]
    for (left, top, right, bottom), own in zip(rows, colors, strict=True):
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=own, width=line_width)
    if class_names is None:
        return np.array(canvas)
    texts = [class_names[index] or str(index) for index in indices]
    if scores is not None:
        values = np.asarray(scores, dtype=np.float64).tolist()
        texts = [f"{text} {value:.2f}" for text, value in zip(texts, values, strict=True)]
    taken: list[Rectangle] = []
    for box, own, text in zip(rows, colors, texts, strict=True):
        size = _text_size(font, text)
        place = _find_place(box, size, canvas.size, label_edge, taken)
        taken.append(place)
        _write(draw, font, text, place, own)
    return np.array(canvas)


def _text_size(font: FreeTypeFont | ImageFont, text: str) -> tuple[int, int]:
    # One height for all texts, whether or not they have letters that reach below the line.
    return int(np.ceil(font.getbbox(text)[2])) + 6, int(np.ceil(font.getbbox("Ágy")[3])) + 3


def _find_place(
    box: Sequence[float],
    size: tuple[int, int],
    image_size: tuple[int, int],
    edge: Literal["top", "bottom"],
    taken: list[Rectangle],
) -> Rectangle:
    """Where a text of ``size`` (width, height) goes: the first free of the places at an edge of the box."""
    left, top, right, bottom = box
    width, height = size
    rows = (
        (top - height, top, top + height) if edge == "top" else (bottom, bottom - height, bottom - 2 * height)
    )
    places = [_keep_inside(x, y, size, image_size) for y in rows for x in (left, right - width)]
    return next((place for place in places if not any(_touch(place, other) for other in taken)), places[0])


def _keep_inside(x: float, y: float, size: tuple[int, int], image_size: tuple[int, int]) -> Rectangle:
    left = max(0.0, min(round(x), image_size[0] - size[0]))
    top = max(0.0, min(round(y), image_size[1] - size[1]))
    return left, top, left + size[0], top + size[1]


def _touch(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _write(
    draw: ImageDraw, font: FreeTypeFont | ImageFont, text: str, place: Rectangle, color: Color
) -> None:
    left, top, right, bottom = place
    draw.rectangle((left, top, right - 1, bottom - 1), fill=color)
    brightness = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]
    draw.text((left + 3, top), text, fill=(0, 0, 0) if brightness > 110 else _WHITE, font=font)


def color_mask(mask: Image, palette: Sequence[Color] = PALETTE) -> Image:
    """Class indices (H, W) uint8 as colours (H, W, 3); ignored pixels (255) are dark grey."""
    table = np.array([palette[index % len(palette)] for index in range(256)], np.uint8)
    table[IGNORE_INDEX] = IGNORED_COLOR
    return table[mask]


def overlay_mask(image: Image, mask: Image, palette: Sequence[Color] = PALETTE, alpha: float = 0.55) -> Image:
    """``image`` seen through the colours of ``mask`` (H, W) uint8; ``alpha`` 1 hides the image."""
    return np.asarray(cv2.addWeighted(color_mask(mask, palette), alpha, image, 1 - alpha, 0), dtype=np.uint8)


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
    from PIL import Image as PillowImage
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(font_size)
    line = font_size + 10
    entries: list[tuple[int, int, int, str]] = []
    x = y = _MARGIN
    for index, name in enumerate(class_names):
        if name is None:
            continue
        advance = font_size + _text_size(font, name)[0] + 20
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
    from PIL import Image as PillowImage
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(font_size)
    canvas = PillowImage.new("RGB", _text_size(font, text), _WHITE)
    ImageDraw.Draw(canvas).text((3, 0), text, fill=(0, 0, 0), font=font)
    return np.array(canvas)


def save_image(path: Path, image: Image) -> None:
    """Write a PNG or JPEG file, by the suffix of ``path``."""
    from PIL import Image as PillowImage

    kind = "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG"
    with replacing(path) as temporary:
        PillowImage.fromarray(image).save(temporary, format=kind)
