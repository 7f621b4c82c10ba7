"""What the files of a prediction are called: unique, and never the name of what was there before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.files import free_path, unique_names
from pocketvision.deploy.predict.frames import SourceFrame
from pocketvision.deploy.predict.sources import Source


class OutputNames:
    """Names in the folder ``output`` for results about ``sources``.

    A file is called as its source; a second ``1.jpg`` from another folder gets the folder's name in front.
    Where there is a file already the new one gets a number, beside its source the word "predicted".
    ``json_file`` is to be written too, and its name is left to it.
    """

    def __init__(self, output: Path, sources: Sequence[Source], json_file: Path | None = None) -> None:
        self.output = output
        self.source_files = {source.path.resolve() for source in sources if source.path is not None}
        self.json_file = None if json_file is None else json_file.resolve()
        stems = unique_names((source.stem or "image", _folder(source)) for source in sources)
        self.stems = dict(zip(sources, stems, strict=True))
        self.num_renamed = 0
        """Files that are not called as their source, since something was there."""

    def stem(self, frame: SourceFrame) -> str:
        """The name without folder and suffix; a video's frames are numbered from 0."""
        stem = self.stems[frame.source]
        return stem if frame.number is None else f"{stem}_{frame.number:06}"

    def file(self, frame: SourceFrame, suffix: str, folder: str = "", also: Sequence[str] = ()) -> Path:
        """The new file for a frame, free under the suffixes ``also`` too."""
        return self._free(self.output / folder / f"{self.stem(frame)}{suffix}", also)

    def file_of_all(self, name: str) -> Path:
        """A new file that holds the results of all sources."""
        return self._free(self.output / name)

    def _free(self, path: Path, also: Sequence[str] = ()) -> Path:
        plain = path
        while plain.resolve() in self.source_files:
            plain = plain.with_stem(f"{plain.stem}_predicted")
        if plain.resolve() == self.json_file:
            plain = plain.with_stem(f"{plain.stem}_all")
        free = free_path(plain, also=also)
        self.num_renamed += free != path
        return free


def _folder(source: Source) -> str:
    return "" if source.path is None else source.path.resolve().parent.name
