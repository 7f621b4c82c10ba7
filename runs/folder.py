"""A run folder: everything needed to evaluate or repeat a training, and nothing else."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from pocketvision.core.command import load_config
from pocketvision.core.config import Experiment, apply_overrides, parameters, parse_overrides
from pocketvision.core.errors import InputError
from pocketvision.core.files import check_empty, read_json, write_json

_RECORD = "run.json"
_CONFIG_FOLDER = "config"
_ROOT = "data_root"
_PACKAGES = ("pocketvision", "torch", "torchvision", "lightning", "albumentations", "pycocotools", "numpy")


def load_experiment(
    config: Path, overrides: Sequence[str], recorded: Sequence[str] = ()
) -> tuple[Experiment, list[Path]]:
    """Run a config file and apply overrides, after those that a run has ``recorded``.

    Returns:
        The experiment and the config's own files (itself and what it imports from beside it).

    Raises:
        InputError: the file defines no experiment, or an override is unknown.
    """
    module, imported = load_config(config)
    experiment = getattr(module, "config", None)
    if not isinstance(experiment, Experiment):
        raise InputError(f"{config} defines no experiment: assign an Experiment to the name 'config'.")
    before = parse_overrides(recorded)
    experiment = apply_overrides(experiment, before, _trainer_names(before))
    return override(experiment, overrides), [config.resolve(), *imported]


def override(experiment: Experiment, overrides: Sequence[str]) -> Experiment:
    """Apply overrides of the command line, checked before anything is built.

    Raises:
        InputError: one is unknown.
    """
    given = parse_overrides(overrides)
    known = trainer_options() if _trainer_names(given) else ()
    return apply_overrides(experiment, given, known)


def _trainer_names(overrides: Mapping[str, Any]) -> list[str]:
    return [key.split(".")[1] for key in overrides if key.startswith("trainer.")]


def trainer_options() -> dict[str, Any]:
    """Names and defaults of Lightning's trainer, which takes seconds to import."""
    from lightning import Trainer

    return parameters(Trainer)


def check_trainer(experiment: Experiment) -> None:
    """Raise :class:`InputError` for names in ``trainer`` that Lightning does not know."""
    known = trainer_options()
    for name in experiment.trainer:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise InputError(f"The config's trainer has no option '{name}'.{hint} See lightning.Trainer.")


@dataclass(frozen=True)
class Run:
    """A run folder on disk."""

    folder: Path

    @classmethod
    def create(
        cls,
        folder: Path,
        config_files: Sequence[Path],
        overrides: Sequence[str],
        class_names: Sequence[str | None],
        root: str | Path | None = None,
    ) -> Run:
        """Make a new run folder and record what defines the run; ``root`` is where its data are.

        Raises:
            InputError: the folder exists and is not empty.
        """
        check_empty(folder, "--run-dir")
        config = keep_config(config_files, folder)
        record = {
            "config": config.name,
            "overrides": list(overrides),
            "class_names": list(class_names),
            _ROOT: _places(root, folder),
            "command": sys.argv,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
            "commit": _commit(),
            "python": platform.python_version(),
            "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        }
        write_json(folder / _RECORD, record)
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """A run folder that exists.

        Raises:
            InputError: it is no run folder.
        """
        if not (folder / _RECORD).is_file():
            raise InputError(f"{folder} is not a run folder: it has no {_RECORD}.")
        return cls(folder)

    @property
    def record(self) -> Mapping[str, Any]:
        """What :meth:`create` wrote."""
        file = self.folder / _RECORD
        content = read_json(file)
        fault = _fault(content)
        if fault is not None:
            raise InputError(f"{file} is broken ({fault}): this run can't be opened without it.")
        return dict(content)

    @property
    def weights(self) -> Path:
        """The weights file, written when training ends, or the best checkpoint before that.

        Raises:
            InputError: there is neither.
        """
        names = ("weights.safetensors", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
        for name in names:
            if (self.folder / name).is_file():
                return self.folder / name
        raise InputError(
            f"{self.folder} has no weights yet: its training was stopped before the first checkpoint."
        )

    def add_overrides(self, overrides: Sequence[str]) -> None:
        """Record what the rest of the training runs with."""
        record = dict(self.record)
        write_json(self.folder / _RECORD, {**record, "overrides": [*record["overrides"], *overrides]})

    def keep_root(self, root: str | Path) -> None:
        """Record where the data are now."""
        write_json(self.folder / _RECORD, {**self.record, _ROOT: _places(root, self.folder)})

    def load(self, overrides: Sequence[str] = ()) -> Experiment:
        """The run's experiment from its own config, with its class names, and its data where they are now.

        Raises:
            InputError: an override is unknown, or asks for other classes than the run's.
        """
        record, given = self.record, parse_overrides(overrides)
        config = self.folder / _CONFIG_FOLDER / record["config"]
        experiment, _ = load_experiment(config, overrides, record["overrides"])
        names = tuple(record["class_names"])
        if "class_names" in given and tuple(experiment.class_names or ()) != names:
            raise InputError(
                f"{self.folder} has learned {', '.join(map(str, names))}, and class_names can't be changed: "
                "leave them out."
            )
        if "data.root" not in given:
            experiment = _with_root(experiment, self.folder, record.get(_ROOT))
        return replace(experiment, class_names=names)


def keep_config(config_files: Sequence[Path], folder: Path) -> Path:
    """Copy a config, which comes first, and the files of its own that it imports into ``folder``.

    Returns:
        The copy of the config.
    """
    config = config_files[0]
    for file in config_files:
        target = folder / _CONFIG_FOLDER / file.relative_to(config.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder / _CONFIG_FOLDER / config.name


def _places(root: str | Path | None, folder: Path) -> dict[str, str] | None:
    """Where data are, as a run folder keeps it: from the root of the disk, and from the run folder."""
    if root is None or not Path(root).expanduser().exists():
        return None  # a name that is no path, as of pictures that are drawn
    absolute = Path(root).expanduser().resolve()
    try:
        from_run = os.path.relpath(absolute, folder.resolve())
    except ValueError:  # on another drive
        from_run = str(absolute)
    return {"absolute": str(absolute), "from_run": from_run}


def _with_root(experiment: Experiment, folder: Path, places: object) -> Experiment:
    """The experiment with its data where they were, else as far from the run folder as they were then."""
    if not isinstance(places, Mapping) or "root" not in parameters(experiment.data):
        return experiment
    absolute, from_run = (str(places.get(name, "")) for name in ("absolute", "from_run"))
    found = next((path for path in (Path(absolute), folder.resolve() / from_run) if path.exists()), None)
    root = absolute if found is None else str(found)
    return replace(experiment, data=partial(experiment.data, root=root))


def _fault(record: Any) -> str | None:
    """What is wrong with the content of a run.json, in a few words."""
    if not isinstance(record, dict):
        return "it holds no names with values"
    config, overrides, names = (record.get(name) for name in ("config", "overrides", "class_names"))
    if not isinstance(config, str) or Path(config).name != config:
        return "'config' is no name of a file"
    if not isinstance(overrides, list) or not all(isinstance(word, str) for word in overrides):
        return "'overrides' is no list of words"
    if not isinstance(names, list) or not all(name is None or isinstance(name, str) for name in names):
        return "'class_names' is no list of names"
    return None


def run_of_checkpoint(path: Path) -> Path | None:
    """The run folder that a checkpoint lies in, or in whose ``checkpoints`` it does; None without one."""
    if path.suffix not in (".ckpt", ".pt", ".pth") or not path.is_file():
        return None
    return run_around(path)


def run_around(path: Path) -> Path | None:
    """The run folder that a file lies in, or in a folder of which it does."""
    folders = path.absolute().parents[:2]
    return next((folder for folder in folders if (folder / _RECORD).is_file()), None)


def _commit() -> str | None:
    """Commit of the source tree that this package runs from, if it is one; '+' marks local changes."""
    source = Path(__file__).resolve().parent.parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(source), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != source:
            return None  # installed into an environment inside another repository
        return git("describe", "--always", "--dirty=+", "--abbrev=12")
    except (OSError, subprocess.SubprocessError):
        return None
