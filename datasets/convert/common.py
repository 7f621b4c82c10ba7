"""A data set written anew: what all writers share, and what gets lost on the way."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty
from pocketvision.datasets.records.annotations import DetectionRecords

Splits = Mapping[str, DetectionRecords]
_MAX_NAME = 100


@dataclass(frozen=True)
class Holds:
    """What a format can say beside boxes and their classes."""

    crowd: bool = False
    difficult: bool = False
    areas: bool = False
    ids: bool = False


@dataclass(frozen=True)
class ConversionTarget:
    """The folder to write to, and whether images are always copied."""

    folder: Path
    copy_images: bool

    def place_images(self, sources: Iterable[str], folder: Path) -> dict[str, Path]:
        """Link or copy images into ``folder``, each once; returns where each has gone."""
        folder.mkdir(parents=True, exist_ok=True)
        places = {source: folder / name for source, name in unique_names(sources).items()}
        for source, path in places.items():
            _link(Path(source).resolve(), path, self.copy_images)
        return places


RecordsWriter = Callable[[Splits, ConversionTarget], None]


@dataclass(frozen=True)
class DetectionWriter:
    """``write(splits, target)`` writes splits of the same classes; ``holds`` says what it keeps."""

    write: RecordsWriter
    holds: Holds


def convert(splits: Splits, writer: DetectionWriter, output: Path, *, copy_images: bool = False) -> list[str]:
    """Write ``splits``; images are hard links, or copies where links are impossible.

    The source isn't touched. Crowd boxes are left out where the format would make objects of them.
    ``output`` appears when all of it is written.

    Returns:
        A sentence for everything that the format can't hold and the data has.

    Raises:
        InputError: ``output`` exists and is not empty, or a split has a name that no folder can have.
    """
    check_empty(output, "--output")
    check_split_names(splits)
    common, losses = prepare_splits(splits, writer)
    with new_folder(output) as folder:
        writer.write(common, ConversionTarget(folder, copy_images))
    return losses


def prepare_splits(splits: Splits, writer: DetectionWriter) -> tuple[dict[str, DetectionRecords], list[str]]:
    """The splits as a format can write them, with the same classes, and a sentence for what it can't hold."""
    common = _with_common_classes(splits)
    losses = _losses(common, writer.holds)
    if not writer.holds.crowd:
        common = {name: records.keep(~records.crowd) for name, records in common.items()}
    return common, losses


def check_split_names(splits: Iterable[str]) -> None:
    """Refuse names that are no plain name of a file: what an annotation file says must not become a path.

    Raises:
        InputError: one is not.
    """
    for name in splits:
        is_plain = 0 < len(name) <= _MAX_NAME and name.isprintable() and not set(name) & set('/\\:*?"<>|')
        if not is_plain or name.strip(" .") != name:
            raise InputError(
                f"The data have a split called {name[:_MAX_NAME]!r}, which is no name for a file: "
                "rename it in the annotations."
            )


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder beside ``output`` that takes its place if nothing failed, so that none is half-written."""
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if output.exists():
            output.rmdir()  # it is empty
        temporary.replace(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _losses(splits: Splits, holds: Holds) -> list[str]:
    crowd = sum(int(r.crowd.sum()) for r in splits.values())
    difficult = sum(int(r.difficult.sum()) for r in splits.values() if r.difficult is not None)
    areas = sum(int(_have_own_areas(r).sum()) for r in splits.values())
    ids = _have_own_ids(splits)
    lost = (
        (crowd and not holds.crowd, f"{crowd} crowd boxes are left out: the format has no mark for them."),
        (
            difficult and not holds.difficult,
            f"{difficult} objects lose the mark 'difficult' and count as any other.",
        ),
        (
            areas and not holds.areas,
            f"{areas} objects lose the area of their segmentation: that of the box stands for it.",
        ),
        (ids and not holds.ids, "Image and category ids are lost: images and classes are counted anew."),
    )
    return [sentence for is_lost, sentence in lost if is_lost]


def _have_own_areas(records: DetectionRecords) -> npt.NDArray[np.bool_]:
    sides = (records.boxes[:, 2:] - records.boxes[:, :2]).astype(np.float64)
    return np.asarray(~np.isclose(records.areas, sides.prod(axis=1), rtol=1e-4), dtype=np.bool_)


def _have_own_ids(splits: Splits) -> bool:
    """Whether ids of images or categories are more than counting, in each split or in all of them."""
    every = [set(records.image_ids.tolist()) for records in splits.values()]
    are_counted = all(_is_counted(ids, 1) for ids in every) or _is_counted(set().union(*every), 1)
    categories = [{i for i in records.category_ids if i >= 0} for records in splits.values()]
    return not are_counted or not all(_is_counted(ids, 0) or _is_counted(ids, 1) for ids in categories)


def _is_counted(ids: set[int], start: int) -> bool:
    return ids == set(range(start, start + len(ids)))


def _with_common_classes(splits: Splits) -> dict[str, DetectionRecords]:
    """The same class names in every split: those of the first, then what others have beside them."""
    names = tuple(dict.fromkeys(name for r in splits.values() for name in r.class_names if name is not None))
    if all(records.class_names == names for records in splits.values()):
        return dict(splits)
    return {
        name: r.select(names)
        if r.class_names
        else replace(r, class_names=names, category_ids=(-1,) * len(names))
        for name, r in splits.items()
    }


def all_images(splits: Splits) -> list[str]:
    """The images of all splits, each once."""
    return list(dict.fromkeys(path for records in splits.values() for path in records.image_paths))


def unique_names(sources: Iterable[str]) -> dict[str, str]:
    """A file name for every image: its own, or with its folders before it if another has that stem."""
    paths = list(dict.fromkeys(sources))
    names: dict[str, str] = {}
    depth = 1
    while paths:
        tails = {path: "_".join(Path(path).parts[-depth:]).replace(os.sep, "") for path in paths}
        counts = Counter(Path(tail).stem.casefold() for tail in (*tails.values(), *names.values()))
        unique = {path: tail for path, tail in tails.items() if counts[Path(tail).stem.casefold()] == 1}
        names |= unique
        paths = [path for path in paths if path not in unique]
        if paths and depth > max(len(Path(path).parts) for path in paths):
            names |= {path: f"{i}_{tails[path]}" for i, path in enumerate(paths)}
            paths = []
        depth += 1
    return names


def _link(source: Path, path: Path, copy: bool) -> None:
    if not copy:
        try:
            path.hardlink_to(source)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, path)
