import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graft.training.augmentation import _Draws, augmented, drawn_view
from graft.training.recipe import Augmentation

EVERYTHING = Augmentation(flip="both", rotation=20, shift=0.1, zoom=0.2, brightness=0.2, contrast=0.3)
DRAWS = [(7, number) for number in range(40)]


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (224, 224, 3), np.uint8)


def square() -> np.ndarray:
    """White, 20 x 20, its centre at (x, y) = (139.5, 99.5), on black."""
    picture = np.zeros((224, 224, 3), np.uint8)
    picture[90:110, 130:150] = 255
    return picture


def centre(picture: np.ndarray) -> tuple[float, float]:
    """(x, y) of what is bright."""
    rows, columns = np.nonzero(picture[..., 0] > 127)
    return float(columns.mean()), float(rows.mean())


def varied(picture: np.ndarray, augmentation: Augmentation) -> list[np.ndarray]:
    return [augmented(picture, augmentation, draw) for draw in DRAWS]


def differ(pictures: list[np.ndarray]) -> int:
    return len({picture.tobytes() for picture in pictures})


def test_the_same_seed_makes_the_same_picture_in_any_process() -> None:
    script = (
        "from hashlib import sha256; from tests.graft.training.test_augmentation import *;"
        "print(sha256(augmented(noise(), EVERYTHING, (1, 2, 3)).tobytes()).hexdigest())"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    again = [sha256(augmented(noise(), EVERYTHING, (1, 2, 3)).tobytes()).hexdigest() for _ in range(2)]
    assert again == [other, other]


def test_threads_get_what_one_alone_would() -> None:
    alone = varied(noise(), EVERYTHING)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda draw: augmented(noise(), EVERYTHING, draw), DRAWS))
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("other", [(1, 2, 4), (2, 2, 3), (1, 2), (1, 2, 3, 2**62)])
def test_another_seed_makes_another_picture(other: tuple[int, ...]) -> None:
    assert not np.array_equal(augmented(noise(), EVERYTHING, other), augmented(noise(), EVERYTHING, (1, 2, 3)))


def test_a_picture_is_left_as_it_was_and_comes_back_in_its_own_shape() -> None:
    picture = noise()
    picture.flags.writeable = False  # as a decoder may hand it over
    result = augmented(picture, EVERYTHING, (0,))
    assert result.shape == (224, 224, 3)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(picture, noise())


def test_without_any_field_nothing_changes() -> None:
    np.testing.assert_array_equal(augmented(noise(), Augmentation(), (5,)), noise())


def test_how_many_views_there_are_does_not_change_them() -> None:
    many = EVERYTHING.model_copy(update={"views": 9})
    np.testing.assert_array_equal(augmented(noise(), many, (5,)), augmented(noise(), EVERYTHING, (5,)))


@pytest.mark.parametrize(
    ("flip", "ways"),
    [("horizontal", {(1, -1)}), ("vertical", {(-1, 1)}), ("both", {(1, -1), (-1, 1), (-1, -1)})],
)
def test_a_flip_is_a_flip_in_about_half_of_the_draws(flip: str, ways: set[tuple[int, int]]) -> None:
    expected = {noise()[::rows, ::columns].tobytes() for rows, columns in {(1, 1), *ways}}
    seen = [picture.tobytes() for picture in varied(noise(), Augmentation(flip=flip))]
    assert set(seen) == expected
    assert min(seen.count(picture) for picture in expected) > len(seen) / len(expected) / 3


def test_a_shift_stays_within_its_share_and_uses_it_in_both_directions_alone() -> None:
    moved = np.array([centre(p) for p in varied(square(), Augmentation(shift=0.2))]) - centre(square())
    assert np.abs(moved).max() <= 0.2 * 224 + 1
    assert (moved.max(axis=0) > 20).all()
    assert (moved.min(axis=0) < -20).all()
    assert abs(np.corrcoef(moved[:, 0], moved[:, 1]).min()) < 0.5  # height and width are drawn apart


def test_a_rotation_turns_about_the_centre_each_way_up_to_its_degrees() -> None:
    def angle(picture: np.ndarray) -> float:
        x, y = np.subtract(centre(picture), 111.5)
        return float(np.degrees(np.arctan2(y, x)))

    turned = np.array([angle(p) for p in varied(square(), Augmentation(rotation=30))]) - angle(square())
    assert np.abs(turned).max() <= 31
    assert turned.max() > 20
    assert turned.min() < -20


def test_a_zoom_goes_in_and_out_and_keeps_the_proportions() -> None:
    squares = [picture[..., 0] > 127 for picture in varied(square(), Augmentation(zoom=0.4))]
    heights = np.array([bright.any(axis=1).sum() for bright in squares])
    widths = np.array([bright.any(axis=0).sum() for bright in squares])
    assert np.abs(heights - widths).max() <= 1
    assert 20 / 1.4 - 1 <= heights.min() < 17
    assert 24 < heights.max() <= 20 / 0.6 + 1


def test_brightness_adds_the_same_to_every_pixel_within_its_share_of_the_range() -> None:
    grey = np.full((224, 224, 3), 128, np.uint8)
    levels = [np.unique(picture) for picture in varied(grey, Augmentation(brightness=0.25))]
    assert {len(level) for level in levels} == {1}
    added = np.array(levels).ravel() - 128.0
    assert np.abs(added).max() <= 64
    assert added.min() < -40
    assert added.max() > 40


def test_contrast_is_lowered_as_well_as_raised_about_each_channels_mean() -> None:
    picture = np.full((224, 224, 3), 100, np.uint8)
    picture[112:] = 140
    spans = []
    for result in varied(picture, Augmentation(contrast=0.5)):
        dark, light = result[0, 0, 0], result[-1, 0, 0]
        assert abs((int(dark) + int(light)) / 2 - 120) <= 1
        spans.append(int(light) - int(dark))
    assert 19 <= min(spans) < 28
    assert 52 < max(spans) <= 61


def test_what_leaves_the_range_is_cut_off_and_never_wraps() -> None:
    white = np.full((224, 224, 3), 255, np.uint8)
    assert min(p.min() for p in varied(white, Augmentation(brightness=0.1))) >= 255 - 26
    half = square()
    for picture in varied(half, Augmentation(contrast=0.9, brightness=0.5)):
        assert picture[100, 140, 0] >= picture[0, 0, 0]


def test_edges_are_filled_with_the_picture_mirrored_never_with_black() -> None:
    white = np.full((224, 224, 3), 255, np.uint8)
    for picture in varied(white, Augmentation(rotation=45, shift=0.3, zoom=0.3)):
        assert picture.min() == 255


def test_every_draw_differs() -> None:
    assert differ(varied(noise(), EVERYTHING)) == len(DRAWS)


def smooth() -> np.ndarray:
    x = np.arange(224) / 224
    waves = [np.sin(7 * x)[:, None] * np.cos(5 * x), np.cos(4 * x)[:, None] * x, x[:, None] * np.sin(9 * x)]
    return np.round(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


@pytest.mark.parametrize(
    ("augmentation", "layers", "levels"),
    [
        (Augmentation(rotation=30), [keras.layers.RandomRotation(30 / 360)], 0),
        (Augmentation(shift=0.2), [keras.layers.RandomTranslation(0.2, 0.2)], 0),
        (Augmentation(zoom=0.3), [keras.layers.RandomZoom(0.3)], 0),
        (
            Augmentation(rotation=20, shift=0.05, zoom=0.1),
            [
                keras.layers.RandomRotation(20 / 360),
                keras.layers.RandomTranslation(0.05, 0.05),
                keras.layers.RandomZoom(0.1),
            ],
            2,  # of 255: the layers round nothing between them, but each one interpolates
        ),
    ],
)
def test_a_picture_is_placed_as_keras_layers_would_in_turn(
    augmentation: Augmentation, layers: list[keras.Layer], levels: int
) -> None:
    for number in range(10):
        numbers = np.random.SeedSequence([3, number]).generate_state(2, np.uint32).view(np.int32)
        draws, expected = _Draws(numbers), keras.ops.cast(smooth(), "float32")
        for layer in layers:
            drawn = layer.get_random_transformation(expected, training=True, seed=draws)
            expected = layer.transform_single_image(expected, drawn, training=True)
        result = augmented(smooth(), augmentation, (3, number)).astype(float)
        difference = np.abs(result - np.round(expected))
        inside = difference[60:-60, 60:-60]  # where no mirrored edge comes in
        assert inside.max() <= levels
        if not levels:
            assert difference.max() == 0


indices = st.lists(st.integers(0, 500), min_size=0, max_size=60).map(lambda i: np.array(i, np.int64))


@given(st.integers(0, 2**31 - 1), st.integers(0, 1000), indices, st.integers(1, 100))
def test_a_pictures_view_depends_on_nothing_else_in_its_batch(
    seed: int, epoch: int, batch: np.ndarray, views: int
) -> None:
    together = drawn_view(seed, epoch, batch, views)
    alone = [drawn_view(seed, epoch, np.array([index], np.int64), views)[0] for index in batch]
    assert together.shape == batch.shape
    np.testing.assert_array_equal(together, np.array(alone, np.int64))
    assert ((together >= 0) & (together < views)).all()


def test_all_views_are_drawn_equally_often_and_epochs_and_seeds_draw_their_own() -> None:
    everything = np.arange(4000)
    first = drawn_view(0, 0, everything, 4)
    assert np.bincount(first).min() > 900
    for other in (drawn_view(0, 1, everything, 4), drawn_view(1, 0, everything, 4)):
        assert 0.2 < np.mean(other == first) < 0.3  # as two independent draws agree
