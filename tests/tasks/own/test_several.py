"""Covers tasks/own/several.py, tasks/own/several_text.py.

One config for data sets of several tasks: what is found, chosen and written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from pocketvision.core.config import parameters
from pocketvision.core.errors import InputError
from pocketvision.core.protocols import body_of
from pocketvision.core.structures import task_of
from pocketvision.core.weights import save_weights
from pocketvision.models import JointModel
from pocketvision.runs.build import build
from pocketvision.runs.folder import Run, load_experiment
from pocketvision.tasks.own.look import look_at, write_config
from pocketvision.tasks.own.recipe import derive_recipe, join_recipes
from pocketvision.tasks.own.several import look_at_several, write_several
from pocketvision.tools.train import main as train

Tiny = Callable[[str], Path]
SMALL = ["model.image_size=(96,96)", "data.num_workers=0", "model.weights=None", "data.batch_size=2"]


@pytest.mark.parametrize(
    ("models", "backbone", "heads"),
    [
        ((), "v3_small", {"detection": "gfl", "segmentation": "lraspp", "classification": "classifier"}),
        (
            ("deeplabv3_v2", "gfl_v2"), "v2",
            {"detection": "gfl", "segmentation": "deeplabv3", "classification": "classifier"},
        ),
    ],
)  # fmt: skip
def test_each_task_is_found_and_one_config_has_them_all(
    models: tuple[str, ...], backbone: str, heads: dict[str, str], tiny: Tiny, tmp_path: Path
) -> None:
    paths = [str(tiny(layout)) for layout in ("image_folder", "masks", "voc")]
    several = look_at_several(paths, (), models, SMALL)
    assert list(several.parts) == list(heads) and several.backbone == backbone
    file, recipe = write_several(several, tmp_path, SMALL, "train --data x")
    text = file.read_text()
    assert [line for line in text.splitlines() if len(line) > 110] == [], "it is to be read and edited"
    assert all(
        " ".join(line.split()) in " ".join(text.split()) for line in (*several.lines(), *recipe.derivation)
    )
    experiment, _ = load_experiment(file, SMALL)
    model, data = build(experiment, pretrained=False, read=several.data)
    assert isinstance(model, JointModel) and model.tasks == tuple(heads)
    assert parameters(experiment.model)["heads"] == heads and model.resize.image_size == (96, 96)
    assert model.class_names == tuple(data.class_names())
    for own in several.parts.values():
        alone = derive_recipe(own.num_learned, len(own.class_names), 2, own.found.task, pretrained=False)
        assert any(alone.derivation[0] in line for line in recipe.derivation)


def test_masks_say_the_size_and_what_is_stated_stays(tiny: Tiny) -> None:
    several = look_at_several([str(tiny("voc")), str(tiny("masks"))], (), (), ["data.num_workers=0"])
    sizes = {own.image_size for own in several.parts.values()}
    assert sizes == {several.parts["segmentation"].image_size}
    words = ["data.num_workers=0", "model.image_size=(64,96)", "data.parts.detection.repeat_threshold=0.5"]
    stated = look_at_several([str(tiny("voc")), str(tiny("masks"))], (), (), words)
    assert {own.image_size for own in stated.parts.values()} == {(64, 96)}
    assert stated.parts["detection"].fitted.repeats is not None


def test_each_task_has_the_steps_and_the_rate_that_it_has_alone() -> None:
    boxes = derive_recipe(320, 3, 8, "detection", dense=True)
    masks = derive_recipe(80, 12, 8, "segmentation")
    recipes = {"detection": boxes, "segmentation": masks}
    joint, shares, factors = join_recipes(
        recipes, {"detection": 320, "segmentation": 80}, {"detection": 40, "segmentation": 10}
    )  # type: ignore[arg-type]
    for task, recipe in recipes.items():
        assert joint.num_steps * shares[task] == pytest.approx(recipe.num_steps, abs=1)  # type: ignore[index]
        assert joint.lr * factors[task] == pytest.approx(recipe.lr, rel=1e-3)  # type: ignore[index]
    assert joint.lr * joint.backbone_lr_factor == pytest.approx(masks.lr * masks.backbone_lr_factor, rel=1e-3)
    assert masks.freeze_until == "c2" and joint.freeze_until is None, "400 images teach the backbone"


def test_pictures_that_carry_both_teach_both(tiny: Tiny, tmp_path: Path) -> None:
    """One data set for both tasks: its pictures have a turn of both, and as many steps as one task needs."""
    paths = [str(tiny("coco_outlines"))] * 2
    several = look_at_several(paths, ("detection", "segmentation"), (), SMALL)
    assert several.together and several.lines()[-1].startswith("all pictures carry boxes and masks")
    file, recipe = write_several(several, tmp_path, SMALL, "train --data x")
    alone = [
        derive_recipe(own.num_learned, len(own.class_names), 2, own.found.task, pretrained=False).num_steps
        for own in several.parts.values()
    ]
    assert recipe.num_steps == max(alone)
    _, data = build(load_experiment(file, SMALL)[0], pretrained=False, read=several.data)
    assert data.shares == {"both": 1.0}  # type: ignore[attr-defined]
    assert {task_of(batch) for batch in data.train_dataloader()} == {"both"}  # type: ignore[arg-type]
    apart = look_at_several([str(tiny("voc")), str(tiny("masks"))], (), (), SMALL)
    assert not apart.together and apart.num_both == 0


@pytest.mark.parametrize("first", ["voc", "masks"])
def test_runs_of_one_task_begin_it(
    first: str, tiny: Tiny, tmp_path: Path, as_trained: Callable[[nn.Module], nn.Module]
) -> None:  # fmt: skip
    """SSDLite reads V2's last convolution, the map ends before it; backbone of the first, heads of each."""
    sources, alone = [], {}
    for layout, model in {"voc": "ssdlite_v2", "masks": "lraspp_v2"}.items():
        file, _ = write_config(look_at(tiny(layout), None, model, SMALL), tmp_path, SMALL, "train")
        built, _ = build(load_experiment(file, SMALL)[0], pretrained=False)
        made = alone[layout] = as_trained(built)
        sources.append(str(tmp_path / f"{layout}.safetensors"))
        save_weights(Path(sources[-1]), made, made.passport())  # type: ignore[operator]
    words = [*SMALL[:2], SMALL[3], f"model.weights={sources if first == 'voc' else sources[::-1]}"]
    several = look_at_several([str(tiny("masks")), str(tiny("voc"))], (), ("ssdlite_v2",), words)
    file, _ = write_several(several, tmp_path, words, "train --data x")
    joint, _ = build(load_experiment(file, words)[0], pretrained=True)
    assert isinstance(joint, JointModel)
    for task, layout in {"detection": "voc", "segmentation": "masks"}.items():
        head, own = joint.part(task).head.state_dict(), alone[layout].head.state_dict()  # type: ignore[union-attr, operator]
        assert head.keys() == own.keys() and all(torch.equal(head[name], own[name]) for name in own)
    stem = next(iter(joint.backbone.state_dict().values()))  # type: ignore[union-attr, operator]
    assert torch.equal(stem, next(iter(body_of(alone[first].backbone).state_dict().values())))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("layouts", "tasks", "models", "sentence"),
    [
        (("voc", "coco"), (), (), "are both for detection"),
        (("voc", "masks"), (), ("ssdlite_v2", "lraspp_v1"), "all on one backbone"),
        (("voc", "masks"), (), ("ssdlite_v2", "gfl_v2"), "all on one backbone"),
        (("voc", "masks"), (), ("classifier_v2",), "is for classification, and no --data is"),
        (("voc", "masks"), ("detection",) * 3, (), "--task is given 3 times"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    layouts: tuple[str, ...], tasks: tuple[str, ...], models: tuple[str, ...], sentence: str, tiny: Tiny
) -> None:
    with pytest.raises(InputError, match=sentence):
        look_at_several([str(tiny(layout)) for layout in layouts], tasks, models, SMALL)


def test_the_command_trains_an_ordinary_run(
    tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = tmp_path / "run", ["--data", str(tiny("voc")), "--data", str(tiny("masks"))]
    command = [*data, *SMALL, "trainer.max_steps=2", "--minutes", "5", "--run-dir", str(run)]
    assert train(command) == 0
    said = capsys.readouterr().out
    assert "task: detection" in said and "task: segmentation" in said and "steps in all" in said
    assert "5 min leave" in said or "fit into 5 min" in said
    assert list(parameters(Run.open(run).load().data)["parts"]) == ["detection", "segmentation"]
    boxes = ["--data", str(tiny("voc")), "--model", "ssdlite_v2"]
    assert train([*boxes, "--model", "gfl_v2"]) == 1
    assert "--model is given 2 times, --data once" in capsys.readouterr().err
