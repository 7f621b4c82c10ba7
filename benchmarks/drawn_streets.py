"""Streets that are drawn, with boxes and maps: what the picture of docs/guides/several_tasks.md is made with.

    python benchmarks/drawn_streets.py FOLDER [--train 240] [--val 24] [--shown 4]

FOLDER/boxes has COCO JSON (car, person, traffic light), FOLDER/map masks of eight classes for the same
pictures, all of which are drawn from their numbers alone: the same each time. FOLDER/shown has others, twice
as large and without grain, for ``predict``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

HEIGHT, WIDTH, FINER = 240, 320, 2
BOXES = ("car", "person", "traffic light")
MAP = ("sky", "building", "tree", "road", "pavement", "car", "person", "traffic light")
Color = tuple[int, int, int]


@dataclass
class Street:
    """A picture while it is drawn, at ``FINER`` times its size, from the far end to the near one."""

    rng: np.random.Generator
    pixels: npt.NDArray[np.uint8] = field(init=False)
    mask: npt.NDArray[np.uint8] = field(init=False)
    boxes: list[tuple[str, list[float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((HEIGHT * FINER, WIDTH * FINER, 3), np.uint8)
        self.mask = np.zeros((HEIGHT * FINER, WIDTH * FINER), np.uint8)
        self.horizon = HEIGHT * self.rng.uniform(0.42, 0.5)
        self.vanishing = WIDTH * self.rng.uniform(0.42, 0.58)

    def color(self, low: int, high: int, tint: float = 0.25) -> Color:
        """One of a brightness between ``low`` and ``high``."""
        mixed = self.rng.uniform(low, high) * (1 + tint * self.rng.uniform(-1, 1, 3))
        red, green, blue = np.clip(mixed, 0, 255).astype(int).tolist()
        return red, green, blue

    def fill(self, points: Any, name: str, color: Color) -> None:
        """A polygon of x, y in pixels of the picture."""
        corners = np.round(np.asarray(points, np.float64) * FINER).astype(np.int32)
        cv2.fillPoly(self.pixels, [corners], color, cv2.LINE_AA)
        cv2.fillPoly(self.mask, [corners], MAP.index(name))

    def block(self, left: float, top: float, right: float, bottom: float, name: str, color: Color) -> None:
        """A rectangle."""
        self.fill([(left, top), (right, top), (right, bottom), (left, bottom)], name, color)

    def oval(self, x: float, y: float, wide: float, high: float, name: str, color: Color) -> None:
        """An ellipse around x, y, so wide and high."""
        turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        self.fill(np.stack([x + wide / 2 * np.cos(turns), y + high / 2 * np.sin(turns)], 1), name, color)

    def ground(self, near: float) -> float:
        """Where things stand that are as ``near`` as 0 (never) to 1 (at the lower edge)."""
        return self.horizon + (HEIGHT - self.horizon) * near

    def across(self, place: float, near: float) -> float:
        """x of a ``place`` from -1 to 1, the edges of the road, at that distance."""
        return self.vanishing + place * near * WIDTH * 0.42


def scenery(street: Street) -> None:
    """Sky, houses, road and pavements."""
    rng, horizon = street.rng, street.horizon
    top, low = np.array([110, 160, 215]) * rng.uniform(0.8, 1.1), np.array(street.color(205, 240, 0.05))
    rows = np.linspace(0, 1, HEIGHT * FINER)[:, None, None]
    street.pixels[:] = top * (1 - rows) + low * rows
    for side in (-1, 1):
        for near in np.linspace(0.12, 1.1, 6):
            house(street, side, near, rng.uniform(0.5, 1.1))
    stone, asphalt = street.color(150, 190, 0.04), street.color(75, 110, 0.04)
    for name, color, reach in (("pavement", stone, 1.6), ("road", asphalt, 1.0)):
        left, right = street.across(-reach, 1.0), street.across(reach, 1.0)
        street.fill([(street.vanishing, horizon), (left, HEIGHT), (right, HEIGHT)], name, color)
    for near in (0.06, 0.12, 0.2, 0.32, 0.5, 0.76):
        far_end, near_end, half = street.ground(near), street.ground(near * 1.25), 0.025
        street.fill(
            [(street.across(-half, near), far_end), (street.across(half, near), far_end),
             (street.across(half, near * 1.25), near_end), (street.across(-half, near * 1.25), near_end)],
            "road", (225, 225, 215),
        )  # fmt: skip


def house(street: Street, side: int, near: float, height: float) -> None:
    """Its front along the street, with windows; what is nearer is drawn over it."""
    far = max(0.03, near - 0.22)
    edges = [street.across(side * 1.6, part) for part in (far, near)]
    feet = [street.ground(part) for part in (far, near)]
    tops = [foot - WIDTH * 0.9 * height * part for foot, part in zip(feet, (far, near), strict=True)]
    wall, glass = street.color(90, 200, 0.18), street.color(40, 90, 0.15)
    street.fill([*zip(edges, feet, strict=True), (edges[1], tops[1]), (edges[0], tops[0])], "building", wall)
    for floor in np.arange(0.12, 0.8, 0.2):
        for part in (0.15, 0.42, 0.69):
            window = []
            for right, above in ((0.0, 0.0), (0.17, 0.0), (0.17, 0.11), (0.0, 0.11)):
                x, foot, top = (
                    pair[0] + (part + right) * (pair[1] - pair[0]) for pair in (edges, feet, tops)
                )
                window.append((x, foot + (floor + above) * (top - foot)))
            street.fill(window, "building", glass)


def tree(street: Street, x: float, near: float) -> None:
    """A trunk and a crown of several ovals."""
    rng, foot, size = street.rng, street.ground(near), WIDTH * 0.3 * near
    street.block(x - size * 0.05, foot - size, x + size * 0.05, foot, "tree", street.color(60, 90, 0.2))
    green = np.array([60, 110, 50]) * rng.uniform(0.7, 1.3)
    for _ in range(6):
        red, grass, blue = (green * rng.uniform(0.8, 1.2)).astype(int).tolist()
        dx, dy = rng.normal(0, 0.16, 2) * size
        crown = x + dx, foot - size * 1.15 + dy
        street.oval(*crown, size * 0.55, size * 0.5, "tree", (red, grass, blue))


def car(street: Street, x: float, near: float) -> list[float]:
    """From behind or from before."""
    foot, wide = street.ground(near), WIDTH * 0.3 * near
    high, paint = wide * street.rng.uniform(0.72, 0.85), street.color(50, 230, 0.5)
    lamp = (215, 40, 40) if street.rng.random() < 0.5 else (250, 245, 215)
    left, right, top = x - wide / 2, x + wide / 2, foot - high
    for at in (left + wide * 0.06, right - wide * 0.24):
        street.block(at, foot - high * 0.25, at + wide * 0.18, foot, "car", (25, 25, 25))
    street.block(left, foot - high * 0.58, right, foot - high * 0.13, "car", paint)
    roof = [(left + wide * 0.07, foot - high * 0.55), (left + wide * 0.2, top), (right - wide * 0.2, top)]
    street.fill([*roof, (right - wide * 0.07, foot - high * 0.55)], "car", paint)
    glass = [(left + wide * 0.14, foot - high * 0.58), (left + wide * 0.24, top + high * 0.07)]
    mirrored = [(2 * x - px, py) for px, py in reversed(glass)]
    street.fill([*glass, *mirrored], "car", (55, 65, 75))
    for at in (left + wide * 0.03, right - wide * 0.19):
        street.block(at, foot - high * 0.5, at + wide * 0.16, foot - high * 0.36, "car", lamp)
    plate = x - wide * 0.13, foot - high * 0.33, x + wide * 0.13, foot - high * 0.22
    street.block(*plate, "car", (235, 235, 235))
    return [left, top, wide, high]


def person(street: Street, x: float, near: float) -> list[float]:
    """Head, coat and two legs."""
    foot, high = street.ground(near), WIDTH * 0.27 * near
    wide, coat, legs = high * 0.36, street.color(40, 220, 0.6), street.color(30, 110, 0.3)
    spread = street.rng.uniform(0.1, 0.9)
    for side in (-1, 1):
        hip, shoe = x + side * wide * 0.13, x + side * wide * (0.15 + 0.35 * spread * (side > 0))
        half, top = wide * 0.13, foot - high * 0.48
        leg = [(hip - half, top), (hip + half, top), (shoe + half, foot), (shoe - half, foot)]
        street.fill(leg, "person", legs)
    street.oval(x, foot - high * 0.62, wide * 0.85, high * 0.46, "person", coat)
    street.oval(x, foot - high * 0.91, wide * 0.46, high * 0.18, "person", (205, 160, 130))
    return [x - wide / 2, foot - high, wide * 1.05, high]


def traffic_light(street: Street, x: float, near: float) -> list[float]:
    """On a pole, which the box leaves out."""
    foot, high = street.ground(near), WIDTH * 0.5 * near
    wide, tall = high * 0.13, high * 0.33
    street.block(x - wide * 0.15, foot - high, x + wide * 0.15, foot, "traffic light", (70, 70, 70))
    street.block(x - wide / 2, foot - high, x + wide / 2, foot - high + tall, "traffic light", (30, 30, 30))
    lit = street.rng.integers(3)
    for number, color in enumerate(((235, 60, 50), (245, 190, 60), (80, 220, 110))):
        shown = color if number == lit else (70, 65, 60)
        y = foot - high + tall * (0.2 + 0.3 * number)
        street.oval(x, y, wide * 0.6, wide * 0.6, "traffic light", shown)
    return [x - wide / 2, foot - high, wide, tall]


def drawn(number: int) -> Street:
    """The street of a number: what stands farther is drawn first."""
    street = Street(np.random.default_rng(number))
    rng = street.rng
    scenery(street)
    things: list[tuple[float, str, float]] = []
    for name, count, places in (
        ("car", rng.integers(1, 4), ((-0.62, -0.38), (0.38, 0.62))),
        ("person", rng.integers(0, 4), ((-1.45, -1.1), (1.1, 1.45))),
        ("tree", rng.integers(0, 4), ((-1.55, -1.4), (1.4, 1.55))),
        ("traffic light", rng.integers(0, 2), ((1.04, 1.1),)),
    ):
        for _ in range(count):
            things.append((rng.uniform(0.2, 0.8), name, rng.uniform(*places[rng.integers(len(places))])))
    draw = {"car": car, "person": person, "traffic light": traffic_light}
    for near, name, place in sorted(things):
        x = street.across(place, near)
        if name == "tree":
            tree(street, x, near)
        else:
            street.boxes.append((name, draw[name](street, x, near)))
    return street


def finished(street: Street) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Picture and mask at their size, with light and grain."""
    pixels = cv2.resize(street.pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    noise = np.asarray(street.rng.normal(0, 9, pixels.shape))
    grain = cv2.GaussianBlur(noise, (3, 3), 0)
    light = street.rng.uniform(0.75, 1.1)
    return np.clip(pixels * light + grain, 0, 255).astype(np.uint8), street.mask[::FINER, ::FINER]


def write(folder: Path, split: str, numbers: range) -> None:
    """A split of both data sets."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place in ("boxes", "map"):
        (folder / place / split / ("images" if place == "map" else "")).mkdir(parents=True, exist_ok=True)
    (folder / "map" / split / "masks").mkdir(exist_ok=True)
    for number in numbers:
        street = drawn(number)
        pixels, mask = finished(street)
        for target in (folder / "boxes" / split, folder / "map" / split / "images"):
            cv2.imwrite(str(target / f"{number:05}.jpg"), pixels[..., ::-1])
        cv2.imwrite(str(folder / "map" / split / "masks" / f"{number:05}.png"), mask)
        images.append({"id": number, "file_name": f"{number:05}.jpg", "width": WIDTH, "height": HEIGHT})
        for name, (left, top, wide, high) in street.boxes:
            x, y = max(0.0, left), max(0.0, top)
            box = [
                round(side, 1) for side in (x, y, min(WIDTH, left + wide) - x, min(HEIGHT, top + high) - y)
            ]
            if min(box[2:]) > 2:
                whose = {"id": len(annotations) + 1, "image_id": number, "category_id": 1 + BOXES.index(name)}
                annotations.append({**whose, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    categories = [{"id": number, "name": name} for number, name in enumerate(BOXES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "boxes" / f"instances_{split}.json").write_text(json.dumps(content))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=240)
    parser.add_argument("--val", type=int, default=24)
    parser.add_argument("--shown", type=int, default=4)
    arguments = parser.parse_args()
    write(arguments.folder, "train", range(arguments.train))
    write(arguments.folder, "val", range(100_000, 100_000 + arguments.val))
    (arguments.folder / "map" / "classes.txt").write_text("\n".join(MAP))
    (arguments.folder / "shown").mkdir()
    for number in range(200_000, 200_000 + arguments.shown):
        cv2.imwrite(str(arguments.folder / "shown" / f"{number}.png"), drawn(number).pixels[..., ::-1])


if __name__ == "__main__":
    main()
