"""The automatic recipe: bounds, directions, and what it makes of the data sets that were tuned by hand."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import pytest

from pocketvision.tasks.own.recipe import BATCH_LIMITS, TrainingRecipe, choose_batch_size, derive_recipe

IMAGES = (1, 2, 7, 20, 31, 32, 100, 128, 292, 367, 1000, 5000, 118_000, 1_200_000)


def recipe(
    num_images: int, minutes: float | None = None, seconds: float = 0.5, **options: bool
) -> TrainingRecipe:
    batch = choose_batch_size(num_images, "detection")
    return derive_recipe(num_images, 3, batch, "detection", minutes, seconds, **options)


@pytest.mark.parametrize("task", BATCH_LIMITS)
def test_every_value_is_in_its_bounds(task: str) -> None:
    for num_images, num_classes, minutes, pretrained in product(
        IMAGES, (1, 80, 1000), (None, 0.01, 1000.0), (True, False)
    ):
        batch = choose_batch_size(num_images, task)  # type: ignore[arg-type]
        found = derive_recipe(
            num_images, num_classes, batch, task, minutes, 0.4, pretrained=pretrained  # type: ignore[arg-type]
        )  # fmt: skip
        assert found.num_steps >= 1 and 2 <= batch <= BATCH_LIMITS[task]  # type: ignore[index]
        assert 3.5e-4 <= found.lr <= (4e-3 if pretrained else 1e-2) and 0 < found.backbone_lr_factor <= 1
        assert 1 <= found.warmup_steps <= max(1, found.num_steps // 10)
        assert 0.9 <= found.ema_decay < 1 and 0.01 <= found.norm_momentum <= 0.1
        assert found.epochs_between_scores >= 1 and len(found.derivation) >= 6
        assert pretrained or (found.freeze_until is None and not found.freeze_norms)
        per_epoch = max(1, num_images // batch)
        assert found.num_steps < per_epoch or found.num_steps % per_epoch == 0, "whole epochs"


RECIPES = [
    ((1000, 20, 8, True), (7500, 60, 1e-3, 0.4, 750, 0.99733, 0.013, None, False, 12)),
    ((250, 40, 16, False), (3960, 264, 1e-2, 1.0, 396, 0.99495, 0.025, None, False, 52)),  # 120 x 1.1 x 2
    ((3, 1, 2, True), (300, 300, 5e-4, 0.4, 30, 0.93333, 0.1, "c3", True, 60)),  # no more than 300 epochs
    (
        (640, 1, 640, True),
        (300, 300, 4e-3, 0.4, 30, 0.93333, 0.1, None, False, 60),
    ),  # nor less than 300 steps
    ((640, 40, 640, False), (660, 660, 1e-2, 1.0, 66, 0.9697, 0.1, None, False, 132)),  # 300 x 1.1 x 2
    ((100, 3, 4, True), (4750, 190, 7.1e-4, 0.4, 475, 0.99578, 0.021, "c2", False, 38)),  # 60 x root of 10
    (
        (20_000, 20, 10, True),
        (60_000, 30, 1.1e-3, 0.4, 1000, 0.99967, 0.01, None, False, 6),
    ),  # half the epochs
    ((200_000, 20, 10, False), (2_400_000, 120, 8.9e-3, 1.0, 1000, 0.9998, 0.01, None, False, 24)),
]
"""Images, classes, batch, published weights; steps, epochs, rate, the backbone's factor, warm-up, decay,
momentum, what is frozen, its statistics, epochs to a score."""


@pytest.mark.parametrize(("given", "expected"), RECIPES)
def test_recipes_by_hand(given: tuple[int, int, int, bool], expected: tuple[Any, ...]) -> None:
    *numbers, pretrained = given
    found = derive_recipe(*numbers, "detection", pretrained=pretrained)
    epochs = found.num_steps // max(1, numbers[0] // numbers[2])
    assert expected == (
        found.num_steps, epochs, found.lr, found.backbone_lr_factor, found.warmup_steps, found.ema_decay,
        found.norm_momentum, found.freeze_until, found.freeze_norms, found.epochs_between_scores,
    )  # fmt: skip
    assert found.minutes is None and found.derivation[0].startswith(
        f"{found.num_steps} steps = {epochs} epochs of {found.num_steps // epochs}: 60 epochs, more for less"
    )
    assert ("less for more than 5000 images" in found.derivation[0]) == pretrained


def test_what_is_said_of_a_recipe() -> None:
    of_few, of_random = (
        derive_recipe(3, 1, 2, "detection"),
        derive_recipe(9, 1, 2, "detection", pretrained=False),
    )
    assert of_few.derivation[1:] == (
        "learning rate 0.0005 for AdamW: 0.001 for 8 images, by its root, on published weights, 0.004 at "
        "most",
        "warm-up 30 steps: a tenth of the run",
        "weights are averaged over about 15 steps: a twentieth of the run",
        "BatchNorm momentum 0.1: statistics must keep up with a run of 300 steps",
        "frozen: the backbone up to c3, as there are only 3 images; its BatchNorm statistics, as 2 images "
        "say little",
    )
    assert "on random weights, 8 times that on published ones, 0.01 at most" in of_random.derivation[1]
    assert of_random.derivation[-1] == "frozen: nothing, as the weights are random"
    assert derive_recipe(20_000, 20, 10, "detection").derivation[2:4] == (
        "warm-up 1000 steps: the most, a tenth of the run is 6e+03",
        "weights are averaged over about 3000 steps: a twentieth of the run",
    )
    assert "about 5000 steps: the most, a twentieth" in derive_recipe(10**6, 1, 8, "detection").derivation[3]


@pytest.mark.parametrize(
    ("num_images", "batch_size"), [(1, 2), (32, 2), (63, 2), (64, 4), (255, 8), (10**6, 32)]
)
def test_batches_give_an_epoch_sixteen_steps(num_images: int, batch_size: int) -> None:
    assert choose_batch_size(num_images, "detection") == batch_size
    assert choose_batch_size(10**6, "segmentation") == 8 and choose_batch_size(10**6, "classification") == 64


@pytest.mark.parametrize(("num_images", "frozen"), [(31, "c3"), (32, "c2"), (127, "c2"), (128, None)])
def test_less_is_frozen_the_more_images_there_are(num_images: int, frozen: str | None) -> None:
    assert derive_recipe(num_images, 3, 4, "detection").freeze_until == frozen
    assert [derive_recipe(1000, 3, batch, "detection").freeze_norms for batch in (3, 4)] == [True, False]


@pytest.mark.parametrize(
    ("minutes", "seconds", "num_steps", "said"),
    [
        (10.0, 0.5, 1080, "a step takes 0.5 s: 10 min leave time for 1080, so 1080 are made (10 epochs)"),
        (10.5, 0.5, 1080, "a step takes 0.5 s: 10.5 min leave time for 1134, so 1080 are made (10 epochs)"),
        (0.5, 0.5, 54, "a step takes 0.5 s: 0.5 min leave time for 54, so 54 are made (0.5 epochs)"),
        (1.0, 0.5, 108, "a step takes 0.5 s: 1 min leave time for 108, so 108 are made (1 epochs)"),
        (0.001, 0.5, 1, "a step takes 0.5 s: 0.001 min leave time for 0, so 1 are made (0.00926 epochs)"),
        (64.0, 0.5, 6912, "a step takes 0.5 s: 64 min leave time for 6912, so 6912 are made (64 epochs)"),
        (65.0, 0.5, 7020, "a step takes 0.5 s: 65 min leave time for 7020, more than are needed"),
    ],
)
def test_minutes_by_hand(minutes: float, seconds: float, num_steps: int, said: str) -> None:
    found = derive_recipe(864, 3, 8, "detection", minutes, seconds)  # 108 steps an epoch
    assert (found.num_steps, found.derivation[1]) == (num_steps, said)


def test_more_images_mean_more_steps_fewer_epochs_and_less_frozen() -> None:
    depth = {"c3": 2, "c2": 1, None: 0}
    for few, many in pairwise(IMAGES):
        a, b = recipe(few), recipe(many)
        assert choose_batch_size(few, "detection") <= choose_batch_size(many, "detection")
        same = derive_recipe(few, 3, 8, "detection"), derive_recipe(many, 3, 8, "detection")
        assert same[0].num_steps <= same[1].num_steps, (few, many)
        assert a.lr <= b.lr and a.freeze_norms >= b.freeze_norms
        assert depth[a.freeze_until] >= depth[b.freeze_until]
        assert same[0].ema_decay <= same[1].ema_decay and same[0].norm_momentum >= same[1].norm_momentum


def test_a_dense_head_learns_fast_and_the_backbone_under_it_as_ever() -> None:
    own, dense = (derive_recipe(292, 3, 8, "detection", dense=dense) for dense in (False, True))
    assert dense.lr == 2e-2 and dense.lr * dense.backbone_lr_factor == pytest.approx(4e-4)
    assert own.lr * own.backbone_lr_factor == pytest.approx(4e-4)
    assert "20 times that for a dense head" in dense.derivation[1]
    random = derive_recipe(292, 3, 8, "detection", pretrained=False, dense=True)
    assert random == derive_recipe(292, 3, 8, "detection", pretrained=False), "nothing was measured"
    assert derive_recipe(292, 3, 64, "detection", dense=True).lr == 2e-2


def test_more_classes_or_random_weights_mean_longer() -> None:
    steps = [derive_recipe(5000, k, 8, "detection").num_steps for k in (1, 20, 80, 1000)]
    assert steps == sorted(steps) and steps[0] == steps[1] < steps[2] < steps[3]
    assert recipe(5000, pretrained=False).num_steps > recipe(5000).num_steps
    assert derive_recipe(5000, 3, 8, "detection", pretrained=False).lr == 8e-3
    assert derive_recipe(5000, 3, 32, "detection", pretrained=False).lr == 1e-2


@pytest.mark.parametrize("num_images", [5, 20, 60])
def test_more_classes_mean_longer_for_the_fewest_images_too(num_images: int) -> None:
    batch = choose_batch_size(num_images, "detection")
    steps = [derive_recipe(num_images, k, batch, "detection").num_steps for k in (1, 200, 1000)]
    assert steps[0] < steps[1] < steps[2] < 2 * steps[0]
    assert derive_recipe(num_images, 1, batch, "detection", pretrained=False).num_steps > steps[0]


def test_many_images_are_seen_less_often_on_published_weights() -> None:
    def steps(num_images: int, *, pretrained: bool = True) -> int:
        return derive_recipe(num_images, 11, 8, "segmentation", pretrained=pretrained).num_steps

    assert steps(5000) == 37_500 and steps(20_000) == 75_000
    assert steps(20_000, pretrained=False) == 300_000


@pytest.mark.parametrize(
    ("minutes", "averaged"),
    [(0.1, "10 steps: the least, a twentieth of the run is 0.5"), (10.0, "50 steps: a twentieth of the run")],
)
def test_what_is_said_of_the_average_is_so(minutes: float, averaged: str) -> None:
    found = derive_recipe(1000, 3, 8, "detection", minutes, 0.5)
    assert any(line.endswith(averaged) for line in found.derivation), found.derivation


@pytest.mark.parametrize("num_images", [20, 292, 5000])
def test_minutes_are_kept_and_never_lengthen_a_run(num_images: int) -> None:
    full, seconds = recipe(num_images).num_steps, 0.7
    made = [recipe(num_images, minutes, seconds).num_steps for minutes in (0.001, 0.5, 1, 5, 20, 60, 1e5)]
    assert made == sorted(made) and made[0] == 1 and made[-1] == full
    for minutes, steps in zip((0.5, 1, 5, 20, 60), made[1:-1], strict=True):
        assert steps * seconds <= minutes * 60
    slow = recipe(num_images, 5, 1.4).num_steps
    assert slow <= recipe(num_images, 5, 0.7).num_steps


def test_sets_tuned_by_hand_are_not_far() -> None:
    """``ssdlite_v2_bccd`` and ``lraspp_v2_camvid``: batch 8, lr 1e-3, warm-up 100, 876 and 1350 steps."""
    for num_images, task in ((292, "detection"), (367, "segmentation")):
        assert choose_batch_size(num_images, task) in (8, 16)  # type: ignore[arg-type]
        found = derive_recipe(num_images, 3, 8, task, 20, 1.0)  # type: ignore[arg-type]
        assert found.lr == 1e-3 and found.backbone_lr_factor == 0.4 and found.freeze_until is None
        assert 800 < found.num_steps < 1100 and 50 <= found.warmup_steps <= 150


def test_a_backbone_that_can_t_be_frozen_is_not() -> None:
    assert derive_recipe(20, 3, 4, "detection").freeze_until == "c3"
    free = derive_recipe(20, 3, 4, "detection", freezable=False)
    assert free.freeze_until is None and "frozen: nothing" in free.derivation


@pytest.mark.parametrize("num_images", [20, 292, 5000])
def test_a_batch_in_parts_has_the_recipe_of_the_whole(num_images: int) -> None:
    """Four parts of 4 had four times the epochs of a batch of 16, at a rate for 4 that was then scaled."""
    whole, parts = (
        derive_recipe(num_images, 3, size, "detection", parts=number) for size, number in ((16, 1), (4, 4))
    )
    assert parts == whole and parts.batch_size == 16
    small = derive_recipe(num_images, 3, 2, "detection", parts=8)
    assert small.freeze_norms and not whole.freeze_norms, "BatchNorm sees a part"
    assert "as 2 images say little" in "".join(small.derivation) and small.num_steps == whole.num_steps


def test_bad_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        derive_recipe(0, 3, 8, "detection")
    with pytest.raises(ValueError, match="seconds_per_step"):
        derive_recipe(10, 3, 8, "detection", minutes=5)
    with pytest.raises(ValueError, match="choose from detection"):
        derive_recipe(10, 3, 8, "pose")  # type: ignore[arg-type]
