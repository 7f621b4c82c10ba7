"""Covers datasets/pseudo/joined.py, datasets/pseudo/order.py: two kinds of labels in one training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.core.resize import Resize
from pocketvision.datasets import CocoDataModule, DetectionAugmentation
from pocketvision.datasets.augment.strong import StrongAugmentation
from pocketvision.datasets.convert.common import convert
from pocketvision.datasets.convert.write_coco import WRITER
from pocketvision.datasets.formats.coco import read_coco
from pocketvision.datasets.images.read import read_image
from pocketvision.datasets.pseudo.joined import is_pseudo, joined
from pocketvision.datasets.pseudo.order import shared_factors
from pocketvision.datasets.records.annotations import DetectionRecords

PLAIN = DetectionAugmentation(
    expand_probability=0, crop_probability=0, horizontal_flip=0, photometric=False, fill=(1, 2, 3)
)
WEAK = StrongAugmentation(gray=0, blur=0, hole_probability=0)


@pytest.fixture
def labeled(tiny: Callable[[str], Path]) -> DetectionRecords:
    return read_coco(tiny("coco"), "train")


@pytest.fixture
def pseudo(labeled: DetectionRecords, tmp_path: Path) -> Path:
    """The same pictures, every second box being in doubt."""
    crowd = np.arange(len(labeled.boxes)) % 2 == 1
    convert({"train": replace(labeled, crowd=crowd)}, WRITER, tmp_path / "pseudo")
    return tmp_path / "pseudo"


def module(root: Path, pseudo: Path, **options: object) -> CocoDataModule:
    options = {"augmentation": PLAIN, "strong": WEAK, "batch_size": 4, "num_workers": 0, **options}
    data = CocoDataModule(root, pseudo=pseudo, **options)  # type: ignore[arg-type]
    data.connect(data.class_names(), Resize((64, 96)))
    return data


def test_labels_of_both_follow_one_another(labeled: DetectionRecords, pseudo: Path) -> None:
    both, own = joined(labeled, pseudo), read_coco(pseudo, "train")
    num = len(labeled)
    assert is_pseudo(both).tolist() == [False] * num + [True] * num
    assert len(set(both.image_ids.tolist())) == 2 * num
    for index in range(2 * num):
        source, place = (labeled, index) if index < num else (own, index - num)
        owned, expected = both.boxes_of(index), source.boxes_of(place)
        assert both.image_paths[index] == source.image_paths[place]
        for name in ("boxes", "labels", "crowd", "areas"):
            assert np.array_equal(getattr(both, name)[owned], getattr(source, name)[expected]), name


def test_ids_below_0_are_refused(labeled: DetectionRecords, pseudo: Path) -> None:
    with pytest.raises(InputError, match="ids below 0"):
        joined(replace(labeled, image_ids=-labeled.image_ids), pseudo)


def test_what_is_in_doubt_is_painted_over_only_in_pseudo_labels(
    tiny: Callable[[str], Path], labeled: DetectionRecords, pseudo: Path
) -> None:
    data = module(tiny("coco"), pseudo)
    samples, records = data.dataset("train", train=True), data.records("train")
    seen = 0
    for index in range(len(samples)):
        image, target = samples[0, index]
        pixels = read_image(records.image_paths[index])
        shown = image.numpy().transpose(1, 2, 0)
        if index < len(labeled):
            assert np.array_equal(shown, pixels)
            continue
        owned = records.boxes_of(index)
        crowd = records.crowd[owned]
        assert len(target.boxes) == (~crowd).sum()
        painted = np.zeros(pixels.shape[:2], dtype=bool)
        for boxes, value in ((records.boxes[owned][crowd], True), (records.boxes[owned][~crowd], False)):
            for left, top, right, bottom in boxes.astype(int).tolist():
                painted[top:bottom, left:right] = value
        assert (shown[painted] == (1, 2, 3)).all() and np.array_equal(shown[~painted], pixels[~painted])
        seen += painted.sum()
    assert seen > 0


def test_only_pseudo_labels_are_strongly_augmented(tiny: Callable[[str], Path], pseudo: Path) -> None:
    gray = StrongAugmentation(gray=1, blur=0, hole_probability=0)
    samples = module(tiny("coco"), pseudo, strong=gray).dataset("train", train=True)
    for index in range(len(samples)):
        image, _ = samples[0, index]
        assert bool((image == image[:1]).all()) == (index >= len(samples) // 2)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_every_batch_has_its_share(share: float, tiny: Callable[[str], Path], pseudo: Path) -> None:
    data = module(tiny("coco"), pseudo, labeled_share=share)
    loader = data.train_dataloader()
    seen: list[int] = []
    for _ in range(4):
        for batch in loader:
            kinds = [target.image_id >= 0 for target in batch.targets]
            assert sum(kinds) == 4 * share
            seen += [target.image_id for target in batch.targets]
    assert len(set(seen)) == len(data.records("train")), "some are never drawn"


def test_a_run_goes_on_with_the_same_samples(tiny: Callable[[str], Path], pseudo: Path) -> None:
    whole, later = (module(tiny("coco"), pseudo).train_dataloader().sampler for _ in range(2))
    order = list(whole)
    later.start = 3  # type: ignore[attr-defined]
    assert list(later) == order[3:]
    assert list(later) == list(whole)  # the next epoch


def test_factors_leave_the_labeled_their_share() -> None:
    factors = shared_factors(np.array([1.0, 2.0, 1.0]), 10, 0.4)
    assert factors[:3].sum() / factors.sum() == pytest.approx(0.4)


def test_shares_and_tiles_are_refused(tmp_path: Path) -> None:
    for share in (0, 1, 1.5):
        with pytest.raises(ValueError, match="labeled_share"):
            CocoDataModule(tmp_path, labeled_share=share)
    with pytest.raises(ValueError, match="tile_size"):
        CocoDataModule(tmp_path, pseudo=tmp_path, tile_size=320)
