"""The path of a search as files: after every round it can go on from there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pocketvision.core.errors import InputError
from pocketvision.core.files import read_json, write_json
from pocketvision.core.weights import load_state_dict, read_state_dict, save_weights
from pocketvision.models import VisionModel
from pocketvision.runs.passport import tuples
from pocketvision.tasks.adapt.proposals import Table

PATH = "path.json"


@dataclass(frozen=True)
class Stop:
    """A network on the path: predicted ``seconds``, ``loss`` on the images to judge by, what was narrowed."""

    widths: Table
    seconds: float
    loss: float
    narrowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchFolder:
    """Where a search keeps its path and the weights of its last network."""

    folder: Path

    def stops(self) -> list[Stop]:
        """The path so far; empty before the first network was kept.

        Raises:
            InputError: the file is broken.
        """
        file = self.folder / PATH
        if not file.is_file():
            return []
        try:
            return [Stop(**{key: tuples(value) for key, value in row.items()}) for row in read_json(file)]
        except (TypeError, AttributeError) as error:
            raise InputError(f"{file} is broken ({error}): begin again with another --run-dir.") from error

    def weights(self, number: int) -> Path:
        """The weights of a network of the path; only the last one's are kept."""
        return self.folder / f"weights_{number:03}.safetensors"

    def keep(self, stops: list[Stop], model: VisionModel, passport: dict[str, Any]) -> None:
        """Add the last of ``stops``: first its weights, then the path that leads to them."""
        number = len(stops) - 1
        save_weights(self.weights(number), model, passport)
        write_json(self.folder / PATH, [asdict(stop) for stop in stops])
        for old in range(number):
            self.weights(old).unlink(missing_ok=True)

    def restore(self, model: VisionModel, number: int) -> None:
        """Load the weights of the last network."""
        file = self.weights(number)
        load_state_dict(model, read_state_dict(file), str(file))
