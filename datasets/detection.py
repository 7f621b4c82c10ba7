"""Records -> images and boxes at the size of the model's input."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from pocketvision.core.resize import Resize
from pocketvision.core.structures import BoxTarget, DetectionSamples, Size, TilePlace
from pocketvision.datasets.augment.mixing import Annotated, Partners
from pocketvision.datasets.augment.recipes import DetectionAugmentation
from pocketvision.datasets.augment.ssd_crop import clean_boxes
from pocketvision.datasets.images.picture import Picture, as_picture
from pocketvision.datasets.images.read import Array
from pocketvision.datasets.records.annotations import Boxes, DetectionRecords, Labels
from pocketvision.datasets.samples import NamedPicture, SampleDataset
from pocketvision.datasets.sampling import sample_rng
from pocketvision.datasets.tiles.picture import TilePicture
from pocketvision.datasets.tiles.table import Tiled, TileTable


class DetectionDataset(SampleDataset[DetectionRecords, DetectionAugmentation, BoxTarget]):
    """Images (3, H, W) uint8 RGB of the input's size with boxes in its pixels; crowd boxes are left out.

    ``augmentation`` None gives the resized image as evaluation needs it. Index it with i, or with
    what an :class:`EpochSampler` yields; augmentation depends on that and the seed only.

    Attributes:
        close_from: the first epoch without mosaic, mixup and copy-paste; None if there is none.
    """

    close_from: int | None = None

    def __init__(
        self,
        records: DetectionRecords,
        resize: Resize,
        augmentation: DetectionAugmentation | None = None,
        *,
        seed: int = 0,
        tiled: Tiled[DetectionRecords] | None = None,
    ) -> None:
        super().__init__(records, resize, augmentation, seed=seed, tiled=tiled)

    def sample(self, epoch: int, index: int, time: int = 0) -> tuple[Tensor, BoxTarget]:
        picture = as_picture(self._read(index))
        boxes, labels = self._trained(index)
        if self.augmentation is None:
            image, size = self.resize.apply(picture.read().pixels), picture.size
            boxes = self.resize.apply_to_boxes(boxes, size)
        else:
            rng = sample_rng(self.seed, epoch, index, time)
            partners = self._partners(epoch, index)
            image, boxes, labels = self.augmented(index, picture, boxes, labels, rng, partners)
        tile = None if self.tiles is None else self.tiles.place(index)
        return to_tensor(image), box_target(boxes, labels, self.image_id(index), picture.size, tile)

    def augmented(
        self, index: int, picture: Picture, boxes: Boxes, labels: Labels, rng: np.random.Generator,
        partners: Partners | None,
    ) -> tuple[Array, Boxes, Labels]:  # fmt: skip
        """The picture of a sample at the input's size, with its boxes (G, 4) and labels (G,) there."""
        assert self.augmentation is not None
        return self.augmentation(picture, boxes, labels, self.resize, rng, partners)

    def _read(self, index: int) -> Array | Picture:
        if self.tiles is not None:
            return self._read_tile(index, self.tiles)
        height, width = self.records.sizes[index].tolist()
        size: Size = (height, width)
        return self.picture_file(self.records.image_paths[index], size)

    def _read_tile(self, index: int, tiles: TileTable) -> TilePicture:
        """A tile; in training without what is neither learned nor background."""
        path, place = self.records.image_paths[index], tiles.place(index)
        whole = self.read_tiled(path, self.picture_file(path, place.picture_size).read)
        if self.augmentation is None:
            return TilePicture(whole, place.window)
        owned = self.records.boxes_of(index)
        boxes, is_ignored = self.records.boxes[owned], self.records.crowd[owned]
        return TilePicture(whole, place.window, boxes[is_ignored], boxes[~is_ignored], self.augmentation.fill)

    def _trained(self, index: int) -> tuple[Boxes, Labels]:
        """Boxes (G, 4) and labels (G,) without those of crowds."""
        owned = self.records.boxes_of(index)
        trained = ~np.asarray(self.records.crowd[owned])
        return np.asarray(self.records.boxes[owned])[trained], np.asarray(self.records.labels[owned])[trained]

    def _partners(self, epoch: int, index: int) -> Partners | None:
        """Draws from all samples, or from the tiles whose pictures are decoded with that of ``index``."""
        is_closed = self.close_from is not None and epoch >= self.close_from
        if self.augmentation is None or not self.augmentation.mixes or is_closed:
            return None
        groups = self.groups(epoch)
        others = None if groups is None else np.flatnonzero(groups == groups[index])

        def draw(rng: np.random.Generator) -> Annotated:
            number = int(rng.integers(len(self) if others is None else len(others)))
            other = number if others is None else int(others[number])
            picture = NamedPicture(as_picture(self._read(other)), other)
            return Annotated(picture, *clean_boxes(*self._trained(other), picture.size))

        return draw


def box_target(
    boxes: Boxes, labels: Labels, image_id: int, original_size: Size, tile: TilePlace | None = None
) -> BoxTarget:
    """A target of arrays (G, 4) and (G,)."""
    return BoxTarget(
        torch.from_numpy(np.ascontiguousarray(boxes, dtype=np.float32)),
        torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64)),
        image_id, original_size, tile,
    )  # fmt: skip


def to_tensor(image: Array) -> Tensor:
    """(H, W, C) uint8 array -> (C, H, W) uint8 tensor."""
    planes = np.empty((image.shape[2], *image.shape[:2]), dtype=np.uint8)
    cv2.split(image, [*planes])
    return torch.from_numpy(planes)


def collate_detection(samples: list[tuple[Tensor, BoxTarget]]) -> DetectionSamples:
    """Stack the images of a batch; targets stay a list, as images have different numbers of boxes."""
    images, targets = zip(*samples, strict=True)
    return DetectionSamples(torch.stack(images), list(targets))
