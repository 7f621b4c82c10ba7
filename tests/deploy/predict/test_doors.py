"""Covers deploy/predict/frames.py.

One picture through every door: training, scoring, prediction and reports see the same pixels.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from pocketvision.core.errors import InputError
from pocketvision.datasets import read_image
from pocketvision.deploy.predict.frames import read_frames
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.predict.video import silence
from pocketvision.deploy.runtimes.torch_module import TorchRuntime
from pocketvision.models import VisionModel

Pixels = np.ndarray
Write = Callable[[Path], Any]
Agree = Callable[[Path, Pixels], None]
COLORS = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8), (41, 27))
GRAY = COLORS[..., 0]
ALPHA = cv2.resize(np.random.default_rng(1).integers(0, 256, (4, 6), dtype=np.uint8), (41, 27))
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def three(gray: Pixels) -> Pixels:
    return np.repeat(gray[..., None], 3, axis=2)


def over_white(color: Pixels, alpha: Pixels) -> Pixels:
    share = alpha[..., None].astype(np.float64) / 255
    return np.rint(color * share + 255 * (1 - share)).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.jpg", {"quality": 95}),
        ("a.png", {}),
        ("a.webp", {"lossless": True, "exact": True}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.avif", {}),
        ("lies.png", {"format": "JPEG"}),
        ("lies.jpg", {"format": "PNG"}),
    ],
)
def test_orientation(
    name: str, options: dict[str, Any], orientation: int, tmp_path: Path, assert_doors_agree: Agree
) -> None:
    plain = io.BytesIO()
    kind = options.get("format", {"jpg": "JPEG", "tif": "TIFF"}.get(name[-3:], Path(name).suffix[1:].upper()))
    Image.fromarray(COLORS).save(plain, **{**options, "format": kind})
    stored = np.asarray(Image.open(plain).convert("RGB"))
    path = tmp_path / name
    Image.fromarray(COLORS).save(path, **{**options, "format": kind}, exif=exif(orientation))
    assert_doors_agree(path, UPRIGHT[orientation](stored))


def test_orientation_of_grey_and_transparent_pictures(tmp_path: Path, assert_doors_agree: Agree) -> None:
    for number, mode in enumerate(("L", "LA", "RGBA", "I;16")):
        path = tmp_path / mode / "a.png"
        path.parent.mkdir()
        values = GRAY.astype(np.uint16) * 257 if mode == "I;16" else np.dstack((COLORS, ALPHA))
        picture = Image.fromarray(values)
        (picture if mode == "I;16" else picture.convert(mode)).save(path, exif=exif(5 + number))
        with Image.open(path) as stored:
            flat = stored.convert("RGBA") if mode != "I;16" else None
        color = (
            three(GRAY) if flat is None else over_white(np.asarray(flat)[..., :3], np.asarray(flat)[..., 3])
        )
        assert_doors_agree(path, UPRIGHT[5 + number](color))


def palette(transparency: int | bytes | None) -> tuple[Write, Pixels]:
    picture = Image.fromarray(COLORS).quantize(16)
    color = np.asarray(picture.convert("RGB"))
    indices = np.asarray(picture)
    alphas = np.full(256, 255, np.uint8)
    if isinstance(transparency, bytes):
        alphas[: len(transparency)] = list(transparency)
    elif transparency is not None:
        alphas[transparency] = 0
    known = {} if transparency is None else {"transparency": transparency}
    return lambda path: picture.save(path, **known), over_white(color, alphas[indices])


def saved(values: Pixels, mode: str | None = None, **options: Any) -> Write:
    picture = Image.fromarray(values)
    return lambda path: (picture.convert(mode) if mode else picture).save(path, **options)


DEEP = (np.arange(27 * 41, dtype=np.uint32).reshape(27, 41) * 59 + 7).astype(np.uint16)
HIGH = three((DEEP >> 8).astype(np.uint8))
BITS = (GRAY > 99).astype(np.uint8) * 255
LIGHT = COLORS.astype(np.float32) / np.float32(255)
KINDS: dict[str, tuple[str, Write, Pixels]] = {
    "gray": ("png", saved(GRAY), three(GRAY)),
    "gray BMP": ("bmp", saved(GRAY), three(GRAY)),
    "one bit": ("png", saved(BITS, "1"), three(BITS)),
    "gray and alpha": ("png", saved(np.dstack((GRAY, ALPHA)), None), over_white(three(GRAY), ALPHA)),
    "RGBA": ("png", saved(np.dstack((COLORS, ALPHA))), over_white(COLORS, ALPHA)),
    "RGBA TIFF": ("tif", saved(np.dstack((COLORS, ALPHA))), over_white(COLORS, ALPHA)),
    "RGBA WebP": (
        "webp", saved(np.dstack((COLORS, ALPHA)), lossless=True, exact=True), over_white(COLORS, ALPHA),
    ),
    "opaque RGBA": ("png", saved(np.dstack((COLORS, np.full_like(ALPHA, 255)))), COLORS),
    "palette": ("png", *palette(None)),
    "palette, one color transparent": ("png", *palette(3)),
    "palette with alpha": ("png", *palette(bytes(range(0, 160, 10)))),
    "GIF": ("gif", *palette(None)),
    "GIF, one color transparent": ("gif", *palette(3)),
    "gray, one value transparent": (
        "png", saved(GRAY, transparency=int(GRAY[3, 4])), over_white(three(GRAY), (GRAY[3, 4] != GRAY) * 255),
    ),
    "RGB, one color transparent": (
        "png", saved(COLORS, transparency=tuple(COLORS[3, 4].tolist())),
        over_white(COLORS, (COLORS[3, 4] != COLORS).any(axis=2) * 255),
    ),
    "16-bit gray": ("png", saved(DEEP), HIGH),
    "16-bit gray TIFF": ("tif", saved(DEEP), HIGH),
    "16-bit gray, big-endian TIFF": ("tif", saved(DEEP.astype(">u2")), HIGH),
    "16-bit gray, one value transparent": (
        "png", saved(DEEP, transparency=int(DEEP[3, 4])),
        over_white(HIGH, (DEEP[3, 4] != DEEP) * 255),
    ),
    "16-bit RGB": ("png", lambda path: cv2.imwrite(str(path), three(DEEP)), HIGH),
    "16-bit RGBA": (
        "png", lambda path: cv2.imwrite(str(path), np.dstack((three(DEEP), DEEP.T.reshape(DEEP.shape)))),
        over_white(HIGH, (DEEP.T.reshape(DEEP.shape) >> 8).astype(np.uint8)),
    ),
    "16-bit PGM": ("pgm", saved(DEEP), HIGH),
    "32-bit TIFF": ("tif", saved(GRAY.astype(np.int32)), three(GRAY)),
    "float TIFF to 1": ("tif", saved(LIGHT[..., 0]), three(GRAY)),
    "float TIFF to 255": ("tif", saved(GRAY.astype(np.float32)), three(GRAY)),
    "PPM": ("ppm", saved(COLORS), COLORS),
    "BMP": ("bmp", saved(COLORS), COLORS),
    "JPEG 2000": ("jp2", saved(COLORS), COLORS),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_depth_and_transparency(kind: str, tmp_path: Path, assert_doors_agree: Agree) -> None:
    suffix, write, expected = KINDS[kind]
    path = tmp_path / f"a.{suffix}"
    write(path)
    assert_doors_agree(path, expected)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_as_pillow_converts_it(name: str, tmp_path: Path, assert_doors_agree: Agree) -> None:
    path = tmp_path / name
    Image.fromarray(COLORS).convert("CMYK").save(path)
    assert_doors_agree(path, np.asarray(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (GRAY.astype(np.int32) * 999, r"a\.tif has 32-bit values from .* whose range no rule gives"),
        (-GRAY.astype(np.int32), r"a\.tif has 32-bit values from -"),
        (GRAY.astype(np.float32) * 99, r"a\.tif has floating-point values from .*: convert it to 8 bits"),
        (np.full((4, 5), np.nan, np.float32), r"a\.tif has values that are no number \(NaN\)"),
        (GRAY.astype(np.uint16), r"a\.tif has 16-bit values up to \d+ only, which are black"),
    ],
)
def test_values_without_a_known_range_are_refused(
    values: Pixels, sentence: str, tmp_path: Path, models: dict[str, VisionModel]
) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(values).save(path)
    predictor = Predictor(TorchRuntime(models["classification"]))
    with pytest.raises(InputError, match=sentence):
        read_image(str(path))
    for image in (path.read_bytes(), Image.open(path)):
        with pytest.raises(InputError, match=sentence.replace(r"a\.tif", "The image")):
            predictor(image)


def test_video_frames_are_what_their_pictures_are(tmp_path: Path) -> None:
    path, large = tmp_path / "a.avi", cv2.resize(COLORS, (64, 48))
    with silence():  # FFmpeg reads how loud to be once, when it is first used
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no FFV1, which loses nothing")
    for turns in range(3):
        writer.write(np.ascontiguousarray(np.rot90(large, 2 * turns)[..., ::-1]))
    writer.release()
    frames = list(read_frames([Source("video", str(path))], pytest.fail))
    assert len(frames) == 3
    for turns, frame in enumerate(frames):
        difference = np.abs(frame.image.astype(int) - np.rot90(large, 2 * turns))
        assert difference.max() <= 3, "but for the conversion to YUV, which is FFmpeg's"


def test_predictions_of_all_doors_are_the_same(tmp_path: Path, models: dict[str, VisionModel]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.dstack((COLORS, ALPHA))).save(path, exif=exif(6))
    predictor = Predictor(TorchRuntime(models["detection"]), 0.1)
    found = [predictor(image) for image in (path, path.read_bytes(), Image.open(path), read_image(str(path)))]
    assert len(found[0].boxes) and found[0].path == str(path) and found[1].path is None
    for other in found[1:]:
        torch.testing.assert_close(torch.from_numpy(other.boxes), torch.from_numpy(found[0].boxes))
        np.testing.assert_array_equal(other.scores, found[0].scores)


WEB_FORMATS: dict[str, dict[str, Any]] = {
    "jpg": {"quality": 95},
    "png": {},
    "webp": {"lossless": True},
    "avif": {},
}


def test_the_web_page_sees_the_same(tmp_path: Path, visit: Callable[..., Any]) -> None:
    """But for formats that browsers don't show."""
    expected = {}
    for kind, (suffix, write, pixels) in KINDS.items():
        name = f"{kind.replace(' ', '_').replace(',', '')}.{suffix}"
        write(tmp_path / name)
        expected[name] = pixels
    Image.fromarray(COLORS).convert("CMYK").save(tmp_path / "cmyk.jpg")
    expected["cmyk.jpg"] = read_image(str(tmp_path / "cmyk.jpg"))
    for orientation, turn in UPRIGHT.items():
        for suffix, options in (
            ("jpg", {"quality": 95}),
            ("png", {}),
            ("webp", {"lossless": True}),
            ("avif", {}),
        ):
            name = f"turned_{orientation}.{suffix}"
            picture = Image.fromarray(COLORS)
            picture.save(tmp_path / name, exif=exif(orientation), **options)
            with Image.open(tmp_path / name) as stored:
                expected[name] = turn(np.asarray(stored.convert("RGB")))
    for script in ("pictures.js", "orientation.js"):
        shutil.copy(Path(__file__).parents[3] / "deploy" / "web" / script, tmp_path)
    shutil.copy(Path(__file__).with_name("web_doors.html"), tmp_path)
    (tmp_path / "names.json").write_text(json.dumps(list(expected)))
    found = visit(tmp_path, "web_doors.html")["found"]
    for name, pixels in expected.items():
        if Path(name).suffix in (".tif", ".pgm", ".ppm", ".jp2"):
            assert "can't be read as a picture: choose a JPEG, PNG or WebP file" in found[name]["error"]
            continue
        seen = np.array(found[name]["data"], dtype=np.uint8)
        seen = seen.reshape(found[name]["height"], found[name]["width"], 4)
        assert (seen[..., 3] == 255).all(), name
        np.testing.assert_array_equal(seen[..., :3], pixels, name)
