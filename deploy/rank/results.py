"""A ranking for people: a table, a list of paths, and a sheet of the first pictures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.drawing import contact_sheet, save_image
from pocketvision.core.files import free_path, replacing
from pocketvision.core.resize import Image
from pocketvision.deploy.predict.predictor import Predictor
from pocketvision.deploy.predict.sources import Source
from pocketvision.deploy.rank.order import RankedPlace
from pocketvision.evaluation.report.sheets import fit_tile

NUM_PICTURES = 24
"""Pictures on the sheet."""

_COLUMNS = 4
_COLUMN_NAMES = ("place", "image", "doubt", "newness")


def write_results(
    output: Path, sources: Sequence[Source], places: Sequence[RankedPlace], predictor: Predictor
) -> list[Path]:
    """Write ``ranked.csv``, ``ranked.txt`` (a path a line, which ``predict`` reads) and ``ranked.jpg``."""
    output.mkdir(parents=True, exist_ok=True)
    files = [free_path(output / name) for name in ("ranked.csv", "ranked.txt", "ranked.jpg")]
    names = [sources[place.picture].name for place in places]
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMN_NAMES)
    for number, (place, name) in enumerate(zip(places, names, strict=True), start=1):
        writer.writerow((number, name, f"{place.doubt:.4f}", f"{place.newness:.4f}"))
    for file, text in zip(files, (table.getvalue(), "".join(f"{name}\n" for name in names)), strict=False):
        with replacing(file) as temporary:  # names that are no UTF-8 are written as they are
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
    save_image(files[2], _sheet([sources[place.picture] for place in places], places, predictor))
    return files


def _sheet(sources: Sequence[Source], places: Sequence[RankedPlace], predictor: Predictor) -> Image:
    tiles, captions = [], []
    for number, (source, place) in enumerate(zip(sources[:NUM_PICTURES], places, strict=False), start=1):
        tiles.append(fit_tile(predictor(Path(source.name)).draw())[0])
        captions.append(f"{number}. {Path(source.public_name).name}  doubt {place.doubt:.2f}")
    return contact_sheet(tiles, _COLUMNS, captions)
