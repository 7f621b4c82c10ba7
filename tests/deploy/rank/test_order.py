"""Doubtful pictures come first, unlike ones before like ones, and of nearly the same ones one."""

from __future__ import annotations

import numpy as np

from pocketvision.deploy.rank.order import order


def thumbnails_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 18), dtype=np.uint8)


def test_each_choice_is_the_best_by_brute_force() -> None:
    generator = np.random.default_rng(1)
    doubt, features = generator.random(30), generator.normal(size=(30, 8)).astype(np.float32)
    ranking = order(doubt, features, thumbnails_of(30), 12)
    values = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-6)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    chosen: list[int] = []
    for place in ranking.places:
        rest = [i for i in range(30) if i not in chosen]
        news = {i: min([1.0, *((1 - values[i] @ values[j]) / 2 for j in chosen)]) for i in rest}
        assert place.picture == max(rest, key=lambda i: doubt[i] * news[i])
        np.testing.assert_allclose(
            (place.doubt, place.newness), (doubt[place.picture], news[place.picture]), atol=1e-5
        )
        chosen.append(place.picture)
    assert len(set(chosen)) == 12 and ranking.num_like == 0


def test_a_second_scene_comes_before_a_second_picture_of_the_first() -> None:
    generator = np.random.default_rng(2)
    scenes = np.repeat(generator.normal(size=(2, 16)), 4, axis=0)
    features = (scenes + 0.01 * generator.normal(size=scenes.shape)).astype(np.float32)
    doubt = np.array([2.0, 1.9, 1.8, 1.7, 1.0, 0.9, 0.8, 0.7])
    assert [place.picture for place in order(doubt, features, thumbnails_of(8), 2).places] == [0, 4]


def test_near_duplicates_of_a_chosen_picture_are_left_out() -> None:
    thumbnails = thumbnails_of(5)
    thumbnails[3] = np.clip(thumbnails[0].astype(int) + 2, 0, 255)
    features = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    ranking = order(np.array([1.0, 1.0, 1.0, 9.0, 1.0]), features, thumbnails, 50)
    assert sorted(place.picture for place in ranking.places) == [1, 2, 3, 4] and ranking.num_like == 1


def test_labeled_pictures_count_as_chosen() -> None:
    features = np.eye(4, dtype=np.float32)[[0, 1, 2, 2, 3, 3]]
    thumbnails = thumbnails_of(6)
    thumbnails[5] = thumbnails[1]
    doubt = np.array([1.0, 9.0, 2.0, 1.1])
    ranking = order(doubt, features, thumbnails, 9)
    assert [place.picture for place in ranking.places] == [2, 0, 3] and ranking.num_like == 1
    near = order(doubt[:3], features[[0, 1, 2, 2]], thumbnails[[0, 1, 2, 4]], 9)
    assert [place.picture for place in near.places] == [1, 0, 2], "what looks as a labeled one comes last"


def test_pictures_that_are_all_alike_to_the_model_are_ordered_by_doubt() -> None:
    doubt = np.array([0.1, 0.0, 3.0])
    ranking = order(doubt, np.ones((3, 4), np.float32), thumbnails_of(3), 3)
    assert [place.picture for place in ranking.places] == [2, 0, 1]
    assert order(doubt[:1], np.ones((1, 4), np.float32), thumbnails_of(1), 3).places[0].picture == 0
