"""An adapted network as an ordinary config, and its long training."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pocketvision.core.config import Experiment, parameters
from pocketvision.core.errors import InputError
from pocketvision.runs.folder import Run, load_experiment
from pocketvision.tasks.adapt.proposals import Table

_TEXT = '''"""{stem} with the widths that ``adapt`` found: {about}."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from {stem} import config as base

# (expanded, out) of every block of the backbone.
WIDTHS = (
{rows}
)

config = replace(base, model=partial(base.model, widths=WIDTHS))
'''


class AdaptedSource(NamedTuple):
    """What is adapted: its experiment, its config's files (the config first), and the overrides for them."""

    experiment: Experiment
    files: list[Path]
    overrides: list[str]


def source_of(run: Path, overrides: Sequence[str]) -> AdaptedSource:
    """What a run folder holds; its weights, classes and the place of its data are among the overrides.

    Raises:
        InputError: it is no run folder, has no weights, or an override is unknown.
    """
    opened = Run.open(run)
    stated = [f"model.weights={str(opened.weights)!r}", *overrides]
    experiment = opened.load(stated)
    record = opened.record
    folder = run / "config"
    config = folder / record["config"]
    files = [config, *sorted(path for path in folder.rglob("*.py") if path != config)]
    root = parameters(experiment.data).get("root")
    places = [] if root is None else [f"data.root={str(root)!r}"]
    names = f"class_names={tuple(experiment.class_names or ())!r}"
    return AdaptedSource(experiment, files, [*record["overrides"], names, *places, *stated])


def of_config(config: Path, overrides: Sequence[str]) -> AdaptedSource:
    """A config, whose model must have weights to begin with.

    Raises:
        InputError: it has none, or an override is unknown.
    """
    experiment, files = load_experiment(config, overrides)
    if parameters(experiment.model).get("weights") is None:
        raise InputError(f"{config.stem} has no trained weights: give model.weights=FILE, or a RUN.")
    return AdaptedSource(experiment, files, list(overrides))


def write_adapted(folder: Path, source: AdaptedSource, widths: Table, about: str) -> Path:
    """Write the config of the adapted network into ``folder``, with the config that it is a variant of.

    Raises:
        InputError: the name of the config's file can't be imported.
    """
    config = copy_config(folder, source)
    rows = "\n".join(f"    ({expanded}, {out})," for expanded, out in widths)
    adapted = folder / f"adapted_{config.stem}.py"
    adapted.write_text(_TEXT.format(stem=config.stem, about=about, rows=rows), encoding="utf-8")
    return adapted


def copy_config(folder: Path, source: AdaptedSource) -> Path:
    """Copy a source's config and what it imports into ``folder``; a variant there imports it by its name.

    Raises:
        InputError: the name of the config's file can't be imported.
    """
    config, *others = source.files
    if not config.stem.isidentifier():
        raise InputError(
            f"{config.name} can't be imported by another config: give it a name without {{-. }}."
        )
    for file in (config, *others):
        target = folder / file.relative_to(config.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return folder / config.name
