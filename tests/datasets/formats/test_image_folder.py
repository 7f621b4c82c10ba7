"""ImageFolder: layouts, order, what is skipped, and what is said of bad folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pocketvision.core.errors import InputError
from pocketvision.datasets import detect_format, read_image_folder
from pocketvision.datasets.format_modules import data_module_of

Write = Callable[..., None]


@pytest.fixture
def folders(tmp_path: Path, write_image: Write) -> Path:
    """train and val with the classes cat, dog (empty) and owl."""
    root = tmp_path / "folders"
    for split, owls in (("train", 3), ("val", 1)):
        (root / split / "dog").mkdir(parents=True)
        for i in range(owls):
            write_image(root / split / "owl" / f"{i}.JPEG", seed=i)
        write_image(root / split / "cat" / "a.png")
        write_image(root / split / "cat" / "more" / "b.jpg")
    return root


def test_classes_are_torchvision_s(folders: Path) -> None:
    from torchvision.datasets import ImageFolder

    expected = ImageFolder(folders / "train", allow_empty=True)
    records = read_image_folder(folders, "train")
    assert records.class_names == tuple(expected.classes) == ("cat", "dog", "owl")
    assert list(zip(records.image_paths, records.labels.tolist(), strict=True)) == expected.samples
    assert records.image_ids.tolist() == [1, 2, 3, 4, 5] and records.notes == ()


def test_the_root_may_be_the_class_folders(folders: Path) -> None:
    records = read_image_folder(folders / "train", "val")
    assert records.class_names == ("cat", "dog", "owl") and len(records) == 5
    assert "no folder 'val'" in str(records.notes[0])
    own = read_image_folder(folders, "train")
    assert records.image_paths == own.image_paths and (records.labels == own.labels).all()


def test_hidden_names_are_skipped_and_other_files_counted(folders: Path) -> None:
    cats = folders / "train" / "cat"
    shutil.copy(cats / "a.png", cats / "._a.png")
    (cats / ".DS_Store").write_text("")
    shutil.copytree(cats, folders / "train" / ".cache")
    shutil.copytree(folders / "train" / "owl", cats / ".thumbnails")
    (cats / "urls.txt").write_text("")
    records = read_image_folder(folders, "train")
    assert len(records) == 5 and records.class_names == ("cat", "dog", "owl")
    assert len(records.notes) == 1 and "1 file is no image that is read" in str(records.notes[0])
    assert str(cats / "urls.txt") in str(records.notes[0])


def test_bad_folders(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no split 'test': it has train, val"):
        read_image_folder(folders, "test")
    with pytest.raises(InputError, match="no data folder"):
        read_image_folder(tmp_path / "nowhere", "train")
    (folders / "none" / "cat").mkdir(parents=True)
    with pytest.raises(InputError, match="'none' has no images"):
        read_image_folder(folders, "none")
    (folders / "flat").mkdir()
    shutil.copy(folders / "train" / "cat" / "a.png", folders / "flat" / "a.png")
    with pytest.raises(InputError, match="flat has no folders: put the images of each class"):
        read_image_folder(folders, "flat")


def test_classes_are_matched_by_name(folders: Path) -> None:
    records = read_image_folder(folders, "train")
    chosen = records.select((None, "owl", "yak"))
    assert chosen.class_names == (None, "owl", "yak") and chosen.labels.tolist() == [1, 1, 1]
    assert chosen.image_ids.tolist() == [3, 4, 5]
    assert [Path(path).parent.name for path in chosen.image_paths] == ["owl"] * 3
    assert "2 images have a class" in str(chosen.notes[0]) and "cat" in str(chosen.notes[0])
    assert records.select(("owl", "cat")).labels.tolist() == [1, 1, 0, 0, 0]
    assert records.select(records.class_names).notes == ()


def test_nothing_in_common_is_an_error_that_lists_both(folders: Path) -> None:
    records = read_image_folder(folders, "train")
    with pytest.raises(InputError, match=r"train has none .*cat, dog, owl; the model has: yak, gnu"):
        records.select(("yak", "gnu"))
    with pytest.raises(InputError, match=r"no image of the model's classes \(dog\)"):
        records.select(("dog",))


def test_a_thousand_names_are_not_all_listed(folders: Path) -> None:
    with pytest.raises(InputError) as error:
        read_image_folder(folders, "train").select([f"n{i:08}" for i in range(1000)])
    assert "1000 in all" in str(error.value) and len(str(error.value)) < 1500


def test_real_data(shared_data: Path) -> None:
    records = read_image_folder(shared_data / "imagenet_samples", "val")
    assert len(records) == len(records.class_names) == 1000
    assert records.class_names[0] == "n01440764" and records.class_names[-1] == "n15075141"
    assert np.array_equal(records.labels, np.arange(1000))


def test_what_is_found_is_what_is_read(folders: Path) -> None:
    (folders / "train").rename(folders / "training_set")
    (folders / "val").rename(folders / "test_set")
    found = detect_format(folders)
    assert found.splits == ("test", "train") and found.arguments["divide"] == "train"
    data = data_module_of(found)(num_workers=0)
    parts = [data.own_records(split).image_paths for split in ("train", "val")]
    assert sorted(path for part in parts for path in part) == sorted(found.read("train").image_paths)
    assert read_image_folder(folders, "test").image_paths == found.read("test").image_paths
    assert read_image_folder(folders, "training_set").image_paths == found.read("train").image_paths
    with pytest.raises(InputError, match="no split 'val': it has test, test_set, train, training_set"):
        read_image_folder(folders, "val")
    shutil.copytree(folders / "training_set", folders / "train_2")
    assert read_image_folder(folders, "train_2").class_names == ("cat", "dog", "owl")
    with pytest.raises(InputError, match="'train_2' and 'training_set' are both of the split 'train'"):
        read_image_folder(folders, "train")
