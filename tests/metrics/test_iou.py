"""IoU against loops over pixels, over any division of a data set into images and shards."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pocketvision.core.errors import InputError
from pocketvision.core.structures import OTHER_INDEX
from pocketvision.metrics import IoUMetric, confusion_matrix, iou
from pocketvision.metrics.iou import ResampledIoU, as_labels

K = 3
NAMES = ("road", "sky", "car")
Maps = tuple[NDArray[Any], NDArray[Any]]


@st.composite
def label_maps(draw: st.DrawFn) -> Maps:
    """A prediction with values beyond the classes and a truth with ignored pixels, both (H, W)."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
    predicted = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 200, 255])))
    true = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 253, 255])))
    return predicted, true


def brute_force(images: list[Maps]) -> dict[str, Any]:
    """IoU from sets of pixels, as the definition has it."""
    pixels = [
        (int(p), int(t))
        for predicted, true in images
        for p, t in zip(predicted.ravel(), true.ravel(), strict=True)
        if t != 255
    ]
    per_class: dict[str, dict[str, Any]] = {}
    for label, name in enumerate(NAMES):
        hits = sum(p == t == label for p, t in pixels)
        union = sum(label in pair for pair in pixels)
        num_pixels = sum(t == label for _, t in pixels)
        per_class[name] = {"IoU": hits / union if union else None, "num_pixels": num_pixels}
    defined = [row["IoU"] for row in per_class.values() if row["IoU"] is not None]
    return {
        "mIoU": sum(defined) / len(defined) if defined else None,
        "pixel_accuracy": sum(p == t for p, t in pixels) / len(pixels) if pixels else None,
        "num_images": len(images),
        "per_class": per_class,
    }


def score(images: list[Maps], first_id: int = 0) -> IoUMetric:
    metric = IoUMetric(NAMES)
    for image_id, (predicted, true) in enumerate(images, start=first_id):
        metric.update(predicted, true, image_id)
    return metric


@given(st.lists(label_maps(), max_size=4))
@settings(max_examples=80, deadline=None)
def test_equals_the_definition(images: list[Maps]) -> None:
    assert score(images).compute() == brute_force(images)


@given(st.lists(label_maps(), max_size=5), st.integers(0, 5), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_order_and_shards_change_nothing(images: list[Maps], cut: int, random: Any) -> None:
    expected = score(images).compute()
    random.shuffle(images)
    metric = pickle.loads(pickle.dumps(score(images[:cut])))
    metric.merge(score(images[cut:], first_id=cut))
    assert metric.compute() == expected


@given(label_maps(), st.sampled_from([np.uint8, np.uint16, np.int16, np.int32, np.int64, torch.int64]))
@settings(max_examples=50, deadline=None)
def test_every_integer_type_gives_the_same_counts(maps: Maps, dtype: Any) -> None:
    if isinstance(dtype, torch.dtype):
        converted: list[Any] = [torch.from_numpy(array).to(dtype) for array in maps]
    else:
        converted = [array.astype(dtype) for array in maps]
    counts = confusion_matrix(converted[0], converted[1], K)
    assert counts.dtype == np.int64
    assert (counts == confusion_matrix(*maps, K)).all()


@given(label_maps())
@settings(max_examples=50, deadline=None)
def test_values_beyond_a_byte_are_counted_the_same(maps: Maps) -> None:
    predicted, true = (array.astype(np.int64) for array in maps)
    predicted[predicted == 255] = -7
    true[true == 255] = -100
    metric = IoUMetric(NAMES, ignore_index=-100)
    metric.update(predicted, true, 0)
    assert metric.compute() == score([maps]).compute()


def test_rows_are_the_truth() -> None:
    counts = confusion_matrix(np.uint8([[1, 1, 9]]), np.uint8([[0, 0, 2]]), K)
    assert counts.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 0]]


def test_many_classes() -> None:
    truth = np.array([[0, 299, 299, 65535]])
    counts = confusion_matrix(np.array([[0, 299, 256, 1]]), truth, 300, ignore_index=65535)
    assert counts.shape == (300, 300)
    assert (counts[0, 0], counts[299, 299], counts[299, 256], counts.sum()) == (1, 1, 1, 3)


@pytest.mark.parametrize("shape", [(4099, 4096), (1, 2**24 + 3)])
def test_counts_beyond_float32_are_exact(shape: tuple[int, int]) -> None:
    """One bin holds 2^24 + 1 pixels or more, which float32 can't tell from 2^24."""
    truth = np.zeros(shape, np.uint8)
    truth[0, :2] = 1
    assert confusion_matrix(truth, truth, 2).tolist() == [[truth.size - 2, 0], [0, 2]]


def test_split_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, K, (2, 33, 17)).astype(np.uint8)
    whole = confusion_matrix(images[0], images[1], K)
    monkeypatch.setattr(iou, "_EXACT_PIXELS", 100)
    assert (confusion_matrix(images[0], images[1], K) == whole).all()
    assert (confusion_matrix(images[0, ::2, ::-3], images[1, ::2, ::-3], K).sum()) == 17 * 6


def test_a_wrong_prediction_that_is_no_class_is_a_miss_only() -> None:
    metric = score([(np.uint8([[0, 0, 255, 1]]), np.uint8([[0, 0, 0, 1]]))])
    values = metric.compute()
    assert values["per_class"]["road"] == {"IoU": 2 / 3, "num_pixels": 3}
    assert values["per_class"]["sky"]["IoU"] == 1
    assert values["pixel_accuracy"] == 3 / 4


def test_an_absent_class_is_left_out_of_the_mean() -> None:
    values = score([(np.uint8([[0, 1]]), np.uint8([[0, 0]]))]).compute()
    assert values["per_class"]["car"] == {"IoU": None, "num_pixels": 0}
    assert values["mIoU"] == (1 / 2 + 0) / 2


def test_a_reserved_slot_counts_only_against_others() -> None:
    metric = IoUMetric(["road", None])
    metric.update(np.uint8([[0, 0, 1]]), np.uint8([[0, 1, 1]]), 0)
    values = metric.compute()
    assert values["per_class"] == {"road": {"IoU": 1 / 2, "num_pixels": 1}}
    assert (values["mIoU"], values["pixel_accuracy"]) == (1 / 2, 2 / 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_of_the_most_classes_beside_what_is_none_of_them(dtype: Any) -> None:
    """253 classes leave one byte for pixels of other classes and one for ignored ones."""
    metric = IoUMetric([str(i) for i in range(OTHER_INDEX)])
    prediction, truth = np.array([[0, 252, 252, 3]], dtype), np.array([[0, OTHER_INDEX, 252, 255]], dtype)
    if dtype != np.uint8:
        prediction[0, 3] = 300  # the path of larger numbers
    metric.update(prediction, truth, 0)
    assert metric.compute()["pixel_accuracy"] == 2 / 3
    assert metric.compute()["per_class"]["252"] == {"IoU": 1 / 2, "num_pixels": 1}


def test_the_confusion_is_a_copy_with_a_column_for_no_class() -> None:
    metric = score([(np.uint8([[0, 1, 200, 2]]), np.uint8([[0, 0, 2, 2]]))])
    assert metric.confusion.tolist() == [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]
    metric.confusion[:] = 9
    assert metric.confusion.sum() == 4


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_class_0_can_be_ignored(dtype: Any) -> None:
    prediction, truth = np.array([[0, 1, 1, 44]], dtype), np.array([[0, 0, 1, 2]], dtype)
    assert confusion_matrix(prediction, truth, K, ignore_index=0).tolist() == [
        [0, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
    ]


def test_bytes_where_the_values_allow_it() -> None:
    for values, dtype in (([0, 255], np.uint8), ([0, 256], np.int64), ([-1, 5], np.int64), ([], np.uint8)):
        labels = as_labels(np.array([values], np.int32), "truth")
        assert labels.dtype == dtype and labels.tolist() == [values]


def test_resampled_iou_of_absent_classes_and_single_pixels() -> None:
    metric = score([(np.uint8([[0, 1]]), np.uint8([[0, 0]])), (np.uint8([[2, 2]]), np.uint8([[2, 2]]))])
    resampled = ResampledIoU(metric.per_image()[1], NAMES)
    assert resampled(np.array([1, 0]))["mIoU"] == (1 / 2 + 0) / 2
    assert resampled(np.array([2, 1]))["mIoU"] == pytest.approx((1 / 2 + 0 + 1) / 3)


def test_nothing_counted_is_undefined() -> None:
    ignored = np.full((2, 2), 255, np.uint8)
    for values in (score([]).compute(), score([(ignored, ignored)]).compute()):
        assert values["mIoU"] is None
        assert values["pixel_accuracy"] is None


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_true_value_that_is_no_class_is_refused(dtype: Any) -> None:
    with pytest.raises(InputError, match="value 7, but there are 3 classes"):
        confusion_matrix(np.zeros((1, 2), dtype), np.array([[0, 7]], dtype), K)
    with pytest.raises(InputError, match="value 3, but there are 3 classes"):
        confusion_matrix(np.zeros((1, 2), dtype), np.array([[0, 3]], dtype), K)
    with pytest.raises(InputError, match="value -1"):
        confusion_matrix(np.zeros((1, 2), dtype), np.array([[0, -1]]), K)


def test_wrong_maps_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(1, 2\) and truth \(2, 1\)"):
        confusion_matrix(np.zeros((1, 2), np.uint8), np.zeros((2, 1), np.uint8), K)
    with pytest.raises(InputError, match="prediction holds float32"):
        confusion_matrix(torch.zeros(1, 2, requires_grad=True), np.zeros((1, 2), np.uint8), K)
    with pytest.raises(InputError, match="same classes"):
        score([]).merge(IoUMetric(["road"]))


def test_importing_the_package_does_not_import_pycocotools() -> None:
    code = "import sys; from pocketvision.metrics import IoUMetric; assert 'pycocotools' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
