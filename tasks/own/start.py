"""``train --from FILE``: the model of an imported file is what training on data of its task goes on with;
other models take weights as they were trained, with their padding and normalization."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pocketvision.core.command import shipped_configs
from pocketvision.core.config import Experiment, parameters
from pocketvision.core.weights import read_passport
from pocketvision.published.mismatch import differs
from pocketvision.runs.build import sources_of
from pocketvision.runs.folder import load_experiment
from pocketvision.runs.foreign import imported, is_foreign
from pocketvision.runs.importing import inputs_from
from pocketvision.runs.passport import tuples
from pocketvision.tasks.own.found import StartingModel

_FAMILIES = {"detection": "ssdlite", "classification": "classifier"}


def starting_model(source: str) -> StartingModel | None:
    """The model of a file of others, or of weights that ``import-weights`` wrote; None for other sources.

    Raises:
        InputError: a file of others can't be imported.
    """
    path = imported(source) if is_foreign(source) else Path(source)
    if path.suffix != ".safetensors" or not path.is_file():
        return None
    passport = read_passport(path)
    builder = passport.get("builder")
    if "source" not in passport or not builder or builder["config"] not in shipped_configs():
        return None
    config, task = str(builder["config"]), str(passport["task"])
    arguments = {key: tuples(value) for key, value in builder["arguments"].items()}
    experiment, _ = load_experiment(shipped_configs()[config], ())
    known = {**parameters(experiment.model), **arguments}
    backbone = known.get("backbone") or config.partition("_")[2].rpartition("_")[0]
    family = _FAMILIES.get(task) or str(known.get("head") or config.partition("_")[0])
    size = (int(known["image_size"][0]), int(known["image_size"][1]))
    return StartingModel(
        config, arguments, task, f"{family}_{backbone}", size, str(path), passport.get("score_function")
    )


def inputs_of_start(experiment: Experiment, overrides: Sequence[str]) -> list[str]:
    """Overrides that let the model pad and normalize as its weights did where they were trained.

    Only what differs, and the user did not state, is among them. Of several weights the first, which give the
    backbone, count.
    """
    known = parameters(experiment.model)
    for weights in sources_of(known.get("weights"))[:1]:
        inputs = inputs_from(weights, experiment, overrides)
        return [f"model.{key}={value!r}" for key, value in inputs.items() if differs(value, known[key])]
    return []
