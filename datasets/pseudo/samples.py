"""Samples of labeled pictures and of pictures with pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pocketvision.core.resize import Resize
from pocketvision.core.structures import Size
from pocketvision.datasets.augment.mixing import Partners
from pocketvision.datasets.augment.recipes import DetectionAugmentation
from pocketvision.datasets.augment.strong import StrongAugmentation
from pocketvision.datasets.detection import DetectionDataset
from pocketvision.datasets.images.picture import Picture, as_picture
from pocketvision.datasets.images.read import Array, Reading
from pocketvision.datasets.pseudo.joined import is_pseudo
from pocketvision.datasets.records.annotations import Boxes, DetectionRecords, Labels
from pocketvision.datasets.tiles.picture import painted_over


@dataclass(frozen=True)
class PaintedPicture:
    """A picture in which ``painted`` boxes (M, 4) get a color but where ``spared`` ones (G, 4) lie."""

    picture: Picture
    painted: Boxes
    spared: Boxes
    fill: tuple[int, ...]

    @property
    def size(self) -> Size:
        """(height, width) of the whole picture."""
        return self.picture.size

    def read(self, scale: float = 1.0) -> Reading:
        """As the picture is read; raises what that raises."""
        reading = self.picture.read(scale)
        shares = np.array(reading.pixels.shape[1::-1] * 2) / (reading.covers[::-1] * 2)
        pixels = painted_over(reading.pixels, self.painted * shares, self.spared * shares, self.fill)
        return reading._replace(pixels=pixels)


class PseudoDataset(DetectionDataset):
    """Training samples, those with pseudo-labels ``strong``-ly augmented, and without what is unsure."""

    def __init__(
        self,
        records: DetectionRecords,
        resize: Resize,
        augmentation: DetectionAugmentation | None,
        *,
        seed: int,
        strong: StrongAugmentation,
    ) -> None:
        super().__init__(records, resize, augmentation, seed=seed)
        self.strong = strong
        self.is_pseudo = is_pseudo(records)

    def _read(self, index: int) -> Array | Picture:
        """A crowd box of a pseudo-label is neither object nor background for sure: it isn't shown."""
        picture = super()._read(index)
        if not self.is_pseudo[index]:
            return picture
        owned = self.records.boxes_of(index)
        boxes, is_unsure = self.records.boxes[owned], self.records.crowd[owned]
        return PaintedPicture(as_picture(picture), boxes[is_unsure], boxes[~is_unsure], self._fill)

    def augmented(
        self, index: int, picture: Picture, boxes: Boxes, labels: Labels, rng: np.random.Generator,
        partners: Partners | None,
    ) -> tuple[Array, Boxes, Labels]:  # fmt: skip
        if not self.is_pseudo[index] or self.augmentation is None:
            return super().augmented(index, picture, boxes, labels, rng, partners)
        recipe = self.strong.on(self.augmentation)
        image, boxes, labels = recipe(picture, boxes, labels, self.resize, rng, partners)
        return self.strong(image, self._fill, rng), boxes, labels

    @property
    def _fill(self) -> tuple[int, ...]:
        return (self.augmentation or DetectionAugmentation()).fill
