"""Which format a data set has, found by looking at its files: what ``--data PATH`` stands on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pocketvision.core.errors import InputError
from pocketvision.core.registered import TaskName
from pocketvision.datasets.formats import FORMATS, format_named
from pocketvision.datasets.formats.contract import DataFormat, Layout
from pocketvision.datasets.formats.mask_folder import invented_names
from pocketvision.datasets.formats.nearest import what_it_looks_like
from pocketvision.datasets.masks.class_table import class_table
from pocketvision.datasets.readers.tree import FileTree, is_file, is_folder
from pocketvision.datasets.records.annotations import AnyRecords
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.splits import ALL, split_of

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z", ".bz2", ".xz")
_NEEDED = ("train", "val")
_MAX_DEPTH = 12


@dataclass(frozen=True)
class FoundData:
    """A data set and what reads it.

    Attributes:
        format: name of the format.
        task: what it is for.
        root: the folder or file that the reader takes; below the given one if that holds only a folder.
        splits: the splits that the data has, ``("all",)`` where it has none.
        description: one line for a person.
        data_module: name of a class in ``pocketvision.datasets``.
        arguments: its keyword arguments, plain JSON values; the rest has defaults.
        layout: the files of the splits.
    """

    format: str
    task: TaskName
    root: Path
    splits: tuple[str, ...]
    description: str
    data_module: str
    layout: Layout = field(repr=False, compare=False)
    arguments: dict[str, Any] = field(default_factory=dict)

    def read(self, split: str, notes: Notes | None = None) -> AnyRecords:
        """The records of one of ``splits``, undivided; errors are raised unless ``notes`` collect them.

        Raises:
            InputError: as the reader of the format.
        """
        form = format_named(self.format)
        options = {key: self.arguments[key] for key in form.options if key in self.arguments}
        return form.read_layout(self.layout, split, notes, **options)


def detect_format(root: str | Path, task: str | None = None) -> FoundData:
    """Find out what lies in ``root``, a folder or the data.yaml, CSV or JSON of a data set.

    A file stands for itself alone. A folder that holds nothing but one data set in a folder stands for
    that one. COCO is taken for detection unless ``task`` says segmentation. Data without a training or a
    validation split is divided by ``divide``, see :func:`pocketvision.datasets.records.splits.divide`.

    Raises:
        InputError: there is no such place, nothing is found in it, or several formats are; or a stated
            training or validation split can't be found.
    """
    if task is not None and task not in get_args(TaskName):
        raise InputError(f"There is no task '{task}': choose {', '.join(get_args(TaskName))}.")
    place = _existing(Path(root).expanduser())
    formats = [f for f in FORMATS if f.task == task or task is None]
    found, place = _look_down(place, formats)
    if not found:
        raise InputError(what_it_looks_like(Path(root).expanduser(), FileTree.of(place), formats))
    if len(found) > 1:
        ways = " and ".join(f.title for f in found)
        tasks = {f.task for f in found}
        remedy = (
            "choose with --task"
            if len(tasks) == len(found)
            else "keep one of them, or give its own folder or file"
        )
        raise InputError(f"{place} holds {ways}: {remedy}.")
    return _describe(place, *next(iter(found.items())))


def _existing(place: Path) -> Path:
    if not is_folder(place) and not is_file(place):
        raise InputError(f"There is no data set {place}: check the path.")
    if is_file(place) and place.suffix.lower() in _ARCHIVES:
        raise InputError(f"{place} is an archive: unpack it, and give the folder.")
    return place


def _look_down(
    place: Path, formats: list[DataFormat], depth: int = _MAX_DEPTH
) -> tuple[dict[DataFormat, Layout], Path]:
    """The formats of ``place``, or of the one folder below it that has any, and that folder.

    ``depth`` is how much further down is looked: links may lead in a circle.
    """
    tree = FileTree.of(place)
    inner = tree.folders(place) if depth else []
    if len(inner) == 1 and not tree.files(place) and not split_of(inner[0].name):
        found, below = _look_down(inner[0], formats, depth - 1)
        if found:
            return found, below
        found = _look(tree, formats)
        return found, place if found else below
    found = _look(tree, formats)
    if found or tree.given is not None:
        return found, place
    with_data = [folder for folder in inner if _has_any(folder, formats)] if len(inner) > 1 else inner
    if len(with_data) > 1:
        names = " and ".join(folder.name for folder in with_data[:3])
        raise InputError(f"{place} is no data set, but holds several ({names}): give the folder of one.")
    return _look_down(with_data[0], formats, depth - 1) if with_data else ({}, place)


def _has_any(folder: Path, formats: list[DataFormat]) -> bool:
    try:
        return bool(_look(FileTree(folder), formats))
    except InputError:
        return True  # it is one, and broken


def _look(tree: FileTree, formats: Iterable[DataFormat]) -> dict[DataFormat, Layout]:
    """The formats that a place has; raises InputError where all it has, but for weak ones, is broken."""
    found: dict[DataFormat, Layout] = {}
    errors: list[InputError] = []
    for form in formats:
        try:
            layout = form.find(tree)
        except InputError as error:  # a broken file matters only if nothing firm is here
            errors.append(error)
        else:
            found |= {form: layout} if layout is not None else {}
    # One JSON serves both tasks, and folders of images are classes only where nothing else explains them.
    tasks_of = {form.find: form for form in reversed(list(found))}
    strong = {form: layout for form, layout in found.items() if tasks_of[form.find] is form}
    firm = {form: layout for form, layout in strong.items() if not form.weak}
    if errors and not firm:
        raise errors[0]
    return firm or strong


def _describe(place: Path, form: DataFormat, layout: Layout) -> FoundData:
    splits = tuple(layout.splits)
    stated = next((layout.broken[name] for name in _NEEDED if name in layout.broken), None)
    if stated is not None or not splits:
        raise InputError(stated or next(iter(layout.broken.values())))
    arguments: dict[str, Any] = {"root": str(place)}
    if not form.data_module:
        arguments["format"] = form.name
    has = "no splits" if splits == (ALL,) else f"the splits {', '.join(splits)}"
    text = f"{form.title} in {place} with {has}"
    if not set(_NEEDED) <= set(splits):
        whole = _to_divide(splits, place)
        arguments |= {"divide": whole, "divide_by": "clip"}
        what = "a fifth of the images" if whole == ALL else f"a fifth of '{whole}'"
        text += f"; {what} is for validation, chosen by file name"
    if form.name == "mask_folder" and class_table(layout.tree) is None:
        names, binary = invented_names(layout)
        arguments |= {"class_names": names} | ({} if binary is None else {"binary": binary})
        text += f"; there is no classes.txt, so the {len(names)} classes are called {names[0]} to {names[-1]}"
    return FoundData(form.name, form.task, place, splits, f"{text}.", form.module_name, layout, arguments)


def _to_divide(splits: tuple[str, ...], place: Path) -> str:
    """The split from which both training and validation images are taken."""
    known = next((name for name in ("train", "trainval", ALL, "val") if name in splits), None)
    if known is None and len(splits) > 1:
        raise InputError(
            f"{place} has the parts {', '.join(splits)}, none of which is for training: give the path of the "
            "one to train on, or call it train."
        )
    return known or splits[0]
