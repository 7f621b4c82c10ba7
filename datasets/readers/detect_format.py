"""Which format a data set has, found by looking at its files: what ``--data PATH`` stands on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pocketvision.core.errors import InputError
from pocketvision.datasets.coco.boxes import read_coco
from pocketvision.datasets.coco.layouts import coco_splits
from pocketvision.datasets.coco.segmentation import read_coco_segmentation
from pocketvision.datasets.masks.cityscapes import cityscapes_splits, read_cityscapes
from pocketvision.datasets.masks.colors import as_class_ids, class_table
from pocketvision.datasets.masks.folders import mask_folder_splits, read_mask_folder
from pocketvision.datasets.masks.values import mask_values
from pocketvision.datasets.masks.voc import read_voc_segmentation, voc_segmentation_splits
from pocketvision.datasets.readers.csv_boxes import read_csv_boxes
from pocketvision.datasets.readers.csv_tables import csv_tables
from pocketvision.datasets.readers.folders import by_stem, is_file, is_folder, list_names
from pocketvision.datasets.readers.image_folder import image_folder_splits, read_image_folder
from pocketvision.datasets.readers.voc import read_voc
from pocketvision.datasets.readers.voc_layouts import voc_splits
from pocketvision.datasets.readers.yolo import read_yolo
from pocketvision.datasets.readers.yolo_layouts import find_yolo
from pocketvision.datasets.records.annotations import AnyRecords
from pocketvision.datasets.records.splits import ALL

Task = Literal["detection", "segmentation", "classification"]

_MAX_LISTED = 12


@dataclass(frozen=True)
class FoundData:
    """A data set and what reads it.

    Attributes:
        format: "coco", "voc", "yolo", "csv", "coco_masks", "voc_masks", "cityscapes", "mask_folder" or
            "image_folder".
        task: what it is for.
        root: the folder or file that the reader takes; below the given one if that holds only a folder.
        splits: the splits that the data has, ``("all",)`` where it has none.
        description: one line for a person.
        data_module: name of a class in ``pocketvision.datasets``.
        arguments: its keyword arguments, plain JSON values; the rest has defaults.
    """

    format: str
    task: Task
    root: Path
    splits: tuple[str, ...]
    description: str
    data_module: str
    arguments: dict[str, Any] = field(default_factory=dict)

    def read(self, split: str) -> AnyRecords:
        """The records of one of ``splits``, undivided.

        Raises:
            InputError: as the reader of the format.
        """
        options = {key: self.arguments[key] for key in ("class_names", "binary") if key in self.arguments}
        return next(f for f in FORMATS if f.name == self.format).read(self.root, split, **options)


@dataclass(frozen=True)
class DataFormat:
    """A format: ``find_splits`` returns none of them where a folder is something else."""

    name: str
    task: Task
    title: str
    signs: str
    data_module: str
    find_splits: Callable[[Path], Iterable[str]]
    read: Callable[..., AnyRecords]


def detect_format(root: str | Path, task: str | None = None) -> FoundData:
    """Find out what lies in ``root``, a folder or the data.yaml, CSV or COCO JSON of a data set.

    A folder that holds nothing but one folder stands for that one. COCO is taken for detection
    unless ``task`` says segmentation. Data without a training or a validation split is divided by
    ``divide``, see :func:`pocketvision.datasets.records.splits.divide`.

    Raises:
        InputError: there is no such place, nothing is found in it, or several formats are.
    """
    if task is not None and task not in get_args(Task):
        raise InputError(f"There is no task '{task}': choose {', '.join(get_args(Task))}.")
    place = _existing(Path(root).expanduser())
    formats = [f for f in FORMATS if f.task == task or task is None]
    found = _look(place, formats)
    while not found and (inner := _only_folder(place)) is not None:
        place = inner
        found = _look(place, formats)
    if not found:
        looked_for = "; ".join(f"{f.title} ({f.signs})" for f in formats)
        raise InputError(
            f"{root} holds no data set of a known format, but {_there(place)}; looked for {looked_for}."
        )
    if len(found) > 1:
        ways = " and ".join(f.title for f in found)
        tasks = {f.task for f in found}
        remedy = (
            "choose with --task" if len(tasks) == len(found) else "keep one of them, or give its own folder"
        )
        raise InputError(f"{place} holds {ways}: {remedy}.")
    return _describe(place, *next(iter(found.items())))


def _existing(place: Path) -> Path:
    if not is_folder(place) and not is_file(place):
        raise InputError(f"There is no data set {place}: check the path.")
    return place


def _look(place: Path, formats: list[DataFormat]) -> dict[DataFormat, tuple[str, ...]]:
    """The formats that ``place`` has, and their splits; raises InputError where all it has is broken."""
    found: dict[DataFormat, tuple[str, ...]] = {}
    errors: list[InputError] = []
    for form in formats:
        try:
            splits = tuple(form.find_splits(place))
        except InputError as error:  # a broken file matters only if nothing else is here
            errors.append(error)
        else:
            found |= {form: splits} if splits else {}
    if errors and not found:
        raise errors[0]
    names = {f.name for f in found}
    # One JSON serves both tasks, and folders of images are classes only where nothing else explains them.
    weaker = {"coco_masks"} if "coco" in names else set()
    weaker |= {"image_folder"} if len(names) > 1 else set()
    return {f: splits for f, splits in found.items() if f.name not in weaker}


def _only_folder(place: Path) -> Path | None:
    names = [name for name in list_names(place) if not name.startswith((".", "__"))]
    return place / names[0] if len(names) == 1 and is_folder(place / names[0]) else None


def _there(place: Path) -> str:
    names = sorted(list_names(place)) if is_folder(place) else [place.name]
    shown = ", ".join(names[:_MAX_LISTED]) or "nothing"
    return f"{shown} ... ({len(names)} in all)" if len(names) > _MAX_LISTED else shown


def _describe(place: Path, form: DataFormat, splits: tuple[str, ...]) -> FoundData:
    arguments: dict[str, Any] = {"root": str(place)}
    has = "no splits" if splits == (ALL,) else f"the splits {', '.join(splits)}"
    text = f"{form.title} in {place} with {has}"
    if not {"train", "val"} <= set(splits):
        whole = next((name for name in ("train", "trainval", ALL, "val") if name in splits), splits[0])
        arguments["divide"] = whole
        what = "a fifth of the images" if whole == ALL else f"a fifth of '{whole}'"
        text += f"; {what} is for validation, chosen by file name"
    if form.name == "mask_folder" and class_table(place) is None:
        names, is_binary = _invented_names(place)
        arguments |= {"class_names": names, "binary": is_binary}
        text += f"; there is no classes.txt, so the {len(names)} classes are called {names[0]} to {names[-1]}"
    return FoundData(form.name, form.task, place, splits, f"{text}.", form.data_module, arguments)


def _invented_names(root: Path) -> tuple[list[str], bool]:
    """Names for the values that masks have, and whether these are 0 and 255."""
    folders = sorted({split.masks for split in mask_folder_splits(root).values()})
    masks = [str(folder / name) for folder in folders for name in by_stem(folder, (".png",)).values()]
    values = mask_values(as_class_ids(masks, None))
    if values <= {0, 255}:
        return ["background", "foreground"], True
    if _are_spread(values):
        shown = ", ".join(map(str, sorted(values)))
        raise InputError(
            f"{root}: its masks have the values {shown}, which look like class numbers spread over 0 to 255: "
            "write masks with the values 0, 1, 2 ..., or list these as gray colors in a classes.csv."
        )
    return [f"class_{i}" for i in range(max(values - {255}) + 1)], False


def _are_spread(values: Collection[int]) -> bool:
    """Whether three or more values stand at even distances from 0 to 255."""
    count = len(values)
    if not 3 <= count <= 32:
        return False
    even = [255 * i / (count - 1) for i in range(count)]
    return all(abs(value - wanted) <= 1 for value, wanted in zip(sorted(values), even, strict=True))


def _yolo_splits(root: Path) -> tuple[str, ...]:
    layout = find_yolo(root)
    for split in ("train", "val", *(layout.broken if layout and not layout.sources else ())):
        if layout is not None and split in layout.broken:
            raise InputError(layout.broken[split])
    return tuple(layout.sources) if layout else ()


def _mask_splits(root: Path) -> tuple[str, ...]:
    splits = mask_folder_splits(root)
    with_masks = (s.masks for s in splits.values())
    return tuple(splits) if any(n.endswith(".png") for path in with_masks for n in list_names(path)) else ()


def _only_folders(find: Callable[[Path], Iterable[str]]) -> Callable[[Path], Iterable[str]]:
    return lambda place: find(place) if is_folder(place) else ()


# fmt: off
FORMATS = (
    DataFormat("coco", "detection",
               "COCO boxes", "instances_{split}.json or another COCO JSON, and images",
               "CocoDataModule", coco_splits, read_coco),
    DataFormat("voc", "detection",
               "Pascal VOC boxes", "Annotations/*.xml and JPEGImages, or XML beside images",
               "VocDataModule", _only_folders(voc_splits), read_voc),
    DataFormat("yolo", "detection",
               "YOLO boxes", "data.yaml, or folders images and labels",
               "YoloDataModule", _yolo_splits, read_yolo),
    DataFormat("csv", "detection",
               "boxes in CSV", "a .csv with columns image, xmin, ymin, xmax, ymax, label",
               "CsvDataModule", csv_tables, read_csv_boxes),
    DataFormat("coco_masks", "segmentation",
               "COCO masks", "instances_{split}.json or another COCO JSON",
               "CocoSegmentationDataModule", coco_splits, read_coco_segmentation),
    DataFormat("voc_masks", "segmentation",
               "Pascal VOC masks", "SegmentationClass/*.png and JPEGImages",
               "VocSegmentationDataModule", _only_folders(voc_segmentation_splits), read_voc_segmentation),
    DataFormat("cityscapes", "segmentation",
               "Cityscapes masks", "leftImg8bit and gtFine",
               "CityscapesDataModule", _only_folders(cityscapes_splits), read_cityscapes),
    DataFormat("mask_folder", "segmentation",
               "folders of masks", "images and masks/*.png, or these in splits",
               "MaskFolderDataModule", _only_folders(_mask_splits), read_mask_folder),
    DataFormat("image_folder", "classification",
               "folders of classes", "a folder of images for each class",
               "ImageFolderDataModule", _only_folders(image_folder_splits), read_image_folder),
)
# fmt: on
