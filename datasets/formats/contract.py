"""What a format is: it finds the splits of a data set, reads one, and writes where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.registered import TaskName
from pocketvision.datasets.convert.common import DetectionWriter
from pocketvision.datasets.readers.collection import collection_paused
from pocketvision.datasets.readers.tree import FileTree, is_file, is_folder
from pocketvision.datasets.records.annotations import AnyRecords, MissingSplitError
from pocketvision.datasets.records.notes import Notes
from pocketvision.datasets.records.splits import find_split


@dataclass(frozen=True)
class Layout:
    """Where a data set of one format lies.

    Attributes:
        tree: its files.
        splits: name -> whatever the format's ``read`` needs; ``{"all": ...}`` where there are no splits.
        place: what says which splits there are, for sentences; None is the folder itself.
        broken: splits that are stated and can't be found -> the sentence for each.
        aliases: other names of splits.
    """

    tree: FileTree
    splits: Mapping[str, Any]
    place: Path | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, split: str) -> str:
        """The name under which a split is read; ``valid`` is val.

        Raises:
            InputError: there is no such split, or it can't be found.
        """
        name = find_split(self.splits, split) or self.aliases.get(split)
        if name is not None:
            return name
        broken = find_split(self.broken, split)
        if broken is not None:
            raise InputError(self.broken[broken])
        where, known = (
            self.place or self.tree.given or self.tree.root,
            ", ".join(sorted(self.splits)) or "none",
        )
        raise MissingSplitError(f"{where} has no split '{split}': it has {known}; name one of these.")


FindSplits = Callable[[FileTree], Layout | None]
ReadSplit = Callable[..., AnyRecords]


@dataclass(frozen=True)
class DataFormat:
    """A format; one line in ``pocketvision.datasets.formats`` makes it known to every command.

    Attributes:
        name: for programs.
        task: what its records are for.
        title: for people, in the plural: ``COCO boxes``.
        signs: the files by which it is known.
        find: ``find(tree)`` gives the layout, or None where the files are of something else. It looks at
            names, and at the beginning of files whose names say too little. ``tree.given`` is the one file
            that a user named, which then is all there is.
        read: ``read(layout, split, notes, **options)`` gives the records of one of ``layout.splits``. What
            it repairs, leaves out or can't use it tells ``notes`` (whose errors end a strict reading), and
            what makes reading impossible it raises as an :class:`InputError`.
        write: writes splits of detection records; None where the format can't be written.
        data_module: a class in ``pocketvision.datasets``; empty for the task's general one.
        options: keyword arguments of ``read`` that a data module may have.
        weak: it counts only where no other format is found: folders of classes, and polygons beside masks.
    """

    name: str
    task: TaskName
    title: str
    signs: str
    find: FindSplits
    read: ReadSplit
    write: DetectionWriter | None = None
    data_module: str = ""
    options: tuple[str, ...] = ()
    weak: bool = False

    @property
    def module_name(self) -> str:
        """The class that loads it."""
        return self.data_module or f"{self.task.capitalize()}FormatDataModule"

    def open(self, root: str | Path) -> Layout:
        """The layout of ``root``.

        Raises:
            InputError: there is no such place, or it is something else.
        """
        place = Path(root).expanduser()
        if not is_folder(place) and not is_file(place):
            raise InputError(f"There is no data folder {place}: set data.root to where the data set lies.")
        layout = self.find(FileTree.of(place))
        if layout is None:
            raise InputError(f"{place} has no {self.title}: they are known by {self.signs}.")
        return layout

    def read_layout(
        self, layout: Layout, split: str, notes: Notes | None = None, **options: Any
    ) -> AnyRecords:
        """The records of a split with what was told of it; errors are raised unless ``notes`` collect them.

        Raises:
            InputError: there is no such split, or it can't be read.
        """
        told = Notes() if notes is None else notes
        name = layout.resolve(split)
        with collection_paused():
            records = self.read(layout, name, told, **options)
        return replace(records, notes=told.as_notes())


class SplitReader:
    """Reads splits of ``root``, a folder or file of the format, as training does.

    Its files are looked for once for all splits, and again after an error, which may have been mended.
    """

    def __init__(self, form: DataFormat, root: str | Path) -> None:
        self._form, self._root = form, root
        self._layout: Layout | None = None

    def read(self, split: str, **options: Any) -> AnyRecords:
        """The records of one split.

        Raises:
            InputError: it can't be read; the sentence names file and remedy.
        """
        layout, self._layout = self._layout or self._form.open(self._root), None
        records = self._form.read_layout(layout, split, **options)
        self._layout = layout
        return records


def read_split(form: DataFormat, root: str | Path, split: str, **options: Any) -> Any:
    """Read one split, see :class:`SplitReader`."""
    return SplitReader(form, root).read(split, **options)
