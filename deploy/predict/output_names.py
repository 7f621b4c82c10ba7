"""What the files of a prediction are called: unique, and never the name of a source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.sources import Source


class OutputNames:
    """Names in the folder ``output`` for results about ``sources``.

    A file is called as its source; a second ``1.jpg`` from another folder gets the folder's name in front.
    """

    def __init__(self, output: Path, sources: Sequence[Source]) -> None:
        self.output = output
        self.taken_files = {source.path.resolve() for source in sources if source.path is not None}
        self.stems: dict[Source, str] = {}
        taken: set[str] = set()
        for source in sources:
            stem = next(stem for stem in _candidates(source) if stem.casefold() not in taken)
            taken.add(stem.casefold())
            self.stems[source] = stem

    def stem(self, frame: SourceFrame) -> str:
        """The name without folder and suffix; a video's frames are numbered from 0."""
        stem = self.stems[frame.source]
        return stem if frame.number is None else f"{stem}_{frame.number:06}"

    def file(self, frame: SourceFrame, suffix: str, folder: str = "") -> Path:
        """The file for a frame."""
        return self._free(self.output / folder / f"{self.stem(frame)}{suffix}")

    def file_of_all(self, name: str) -> Path:
        """A file that holds the results of all sources."""
        return self._free(self.output / name)

    def _free(self, path: Path) -> Path:
        while path.resolve() in self.taken_files:
            path = path.with_stem(f"{path.stem}_predicted")
        return path


def _candidates(source: Source) -> Iterator[str]:
    """Names from the plainest on, without end."""
    stem = source.stem or "image"
    yield stem
    path = source.path
    folder = path.resolve().parent.name if path is not None else ""
    if folder:
        yield f"{folder}_{stem}"
    yield from (f"{stem}_{number}" for number in count(2))
