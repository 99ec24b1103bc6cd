# SPDX-License-Identifier: Apache-2.0
"""Augmentation of batches: each operation against Keras' layer, alone and in a batch, its moments,
and what a training that goes on sees."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_models.training.augmentation import Augment, boxes, colour, geometry, mixing, randaugment
from keras_models.training.recipe import Recipe, RecipeError

SIZES = st.tuples(st.integers(2, 5), st.sampled_from([1, 3]), st.integers(3, 9), st.integers(3, 9))
NONE = {
    "flip": False,
    "translation": 0.0,
    "randaugment_ops": 0,
    "random_erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
}


def planes(shape, seed=0, whole=True):
    values = np.random.default_rng(seed).uniform(0, 255, shape)
    return (np.rint(values) if whole else values).astype(np.float32)


def last(images):
    """Channels last, as Keras has them."""
    return np.moveaxis(images, 1, -1)


def by_keras(layer, images, **transformation):
    return np.moveaxis(np.asarray(layer.transform_images(last(images), transformation)), -1, 1)


@settings(max_examples=8, deadline=None)
@given(SIZES, st.integers(0, 10**6))
def test_values_change_as_in_the_layers_of_keras(shape, seed):
    layers, images = keras.layers, planes(shape, seed, whole=False)
    one, two = np.random.default_rng(seed).uniform(0, 1, (2, shape[0])).astype(np.float32)
    each = one[:, None, None, None]
    pairs = [
        (
            colour.brightness(images, one * 40),
            by_keras(layers.RandomBrightness(0.5), images, rgb_delta=each * 40),
        ),
        (
            colour.contrast(images, 1 + one),
            by_keras(layers.RandomContrast(0.5), images, contrast_factor=1 + each),
        ),
        (
            colour.sharpness(images, one),
            by_keras(layers.RandomSharpness(0.5), images, factor=one / 2),
        ),
        (
            colour.solarization(images, one * 255, two * 255),
            by_keras(
                layers.Solarization(0.5),
                images,
                additions=each * 255,
                thresholds=two[:, None, None, None] * 255,
            ),
        ),
        (
            colour.posterization(images, np.uint8(1) + (7 * one).astype(np.uint8)),
            by_keras(
                layers.RandomPosterization(4),
                images,
                shift_factor=np.uint8(7) - (7 * one).astype(np.uint8),
            ),
        ),
        (colour.auto_contrast(images), by_keras(layers.AutoContrast(), images)),
    ]
    if shape[1] == 3:
        layer = layers.RandomColorDegeneration(0.5)
        pairs += [(colour.color_degeneration(images, one), by_keras(layer, images, factor=each))]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, atol=2e-3)


@settings(max_examples=10, deadline=None)
@given(SIZES, st.integers(0, 10**6), st.sampled_from(["reflect", "zero"]))
def test_affine_is_the_sampling_of_keras(shape, seed, fill):
    images, (count, _, height, width) = planes(shape, seed), shape
    draw = np.random.default_rng(seed).uniform(-1, 1, (4, count)).astype(np.float32)
    for matrices in (
        geometry.shear_matrix(draw[0], draw[1]),
        geometry.translation_matrix(draw[0] * width, draw[1] * height),
        geometry.rotation_matrix(draw[2] * np.float32(np.pi), height, width),
        geometry.zoom_matrix(1 + draw[3], height, width),
    ):
        ours = geometry.affine(images, matrices, fill)
        theirs = keras.ops.image.affine_transform(
            last(images),
            np.concatenate([matrices, np.zeros((count, 2), np.float32)], axis=1),
            fill_mode="reflect" if fill == "reflect" else "constant",
        )
        # A coordinate that is rounded another way moves by one part in a million of the side.
        np.testing.assert_allclose(last(ours), np.asarray(theirs), atol=0.05)


def test_matrices_are_those_of_the_layers_of_keras():
    count, side = 5, 12
    by = randaugment.Strength(planes((count, 3)) / 255, np.float32(0.3), side, side)
    layers = keras.layers
    angle = by.drawn[:, 0] * 0.3 * 360
    zeros, one = np.zeros(count, np.float32), np.ones(count, np.float32)
    turned = layers.RandomRotation(0.3)._compute_affine_matrix(
        center_x=0.5, center_y=0.5, angle=keras.ops.convert_to_tensor(angle), translate_x=zeros,
        translate_y=zeros, scale=one, shear_x=zeros, shear_y=zeros, height=side, width=side,
    )  # fmt: skip
    np.testing.assert_allclose(randaugment._rotation(by), np.asarray(turned)[:, :6], atol=1e-5)
    shifts = np.stack([by.drawn[:, 0], by.drawn[:, 1]], axis=1) * np.float32(0.3 * side)
    moved = layers.RandomTranslation(0.3, 0.3)._get_translation_matrix(shifts)
    np.testing.assert_allclose(randaugment._translation(by), np.asarray(moved)[:, :6], atol=1e-5)
    sign = np.where(by.drawn[:, 2] > 0.5, -1, 1)[:, None]
    sheared = layers.RandomShear(0.3, 0.3)._get_shear_matrix(by.drawn[:, :2] * 0.3 * sign)
    np.testing.assert_allclose(randaugment._shear(by), np.asarray(sheared)[:, :6], atol=1e-6)
    zoom = layers.RandomZoom(0.3)._get_zoom_matrix(np.stack([one + 0.3, one + 0.3], 1), side, side)
    np.testing.assert_allclose(
        geometry.zoom_matrix(one + np.float32(0.3), side, side), np.asarray(zoom)[:, :6], atol=1e-6
    )


def equalized(channel):
    """The paper's operation, one value after the other."""
    values = channel.astype(int)
    counts = [int((values <= level).sum()) for level in range(256)]
    least = counts[values.min()]
    if counts[255] == least:
        return channel
    table = [round((count - least) * 255 / (counts[255] - least)) for count in counts]
    return np.asarray([max(0, table[value]) for value in values.ravel()]).reshape(channel.shape)


@settings(max_examples=8, deadline=None)
@given(SIZES, st.integers(0, 10**6), st.integers(1, 255))
def test_equalization_of_every_channel(shape, seed, levels):
    images = np.floor(planes(shape, seed) / 256 * levels)
    images[0, 0] = 7  # one value only
    for image, found in zip(images, colour.equalization(images), strict=True):
        for channel, made in zip(image, found, strict=True):
            np.testing.assert_array_equal(made, equalized(channel))


@settings(max_examples=15, deadline=None)
@given(SIZES, st.integers(0, 10**6), st.floats(0.01, 1), st.integers(1, 3))
def test_a_batch_is_each_image_alone_to_the_bit(shape, seed, factor, steps):
    images = planes(shape, seed)
    choice = randaugment.draw(np.random.default_rng(seed), shape[0], steps)
    whole = randaugment.apply(images, choice, factor)
    assert whole.min() >= 0
    assert whole.max() <= 255.001
    for i in range(shape[0]):
        own = randaugment.Choice(choice.operations[i : i + 1], choice.drawn[i : i + 1])
        np.testing.assert_array_equal(
            randaugment.apply(images[i : i + 1], own, factor)[0], whole[i]
        )
    np.testing.assert_array_equal(images, planes(shape, seed))  # the input stays


def test_a_step_does_the_operation_that_was_chosen_to_the_image_that_chose_it():
    images, count = planes((randaugment.COUNT, 3, 8, 8)), randaugment.COUNT
    drawn = np.full((count, count, randaugment.DRAWS), 0.7, np.float32)
    order = np.random.default_rng(1).permutation(count)
    found = randaugment.apply(images, randaugment.Choice(order[:, None], drawn), 0.4)
    by = randaugment.Strength(drawn[:1, 0], np.float32(0.4), 8, 8)
    for i, number in enumerate(order):
        one = images[i : i + 1]
        if number < len(randaugment.MOVES):
            expected = geometry.affine(one, randaugment.MOVES[number](by), "reflect")
        else:
            expected = randaugment.OPERATIONS[number - len(randaugment.MOVES)](one, by)
        np.testing.assert_array_equal(found[i : i + 1], expected)
        assert not np.array_equal(found[i], images[i]), number


# What Keras' layers give for uniform numbers, in mean and standard deviation over many draws.
def test_moments_of_what_is_drawn():
    rng, count, factor = np.random.default_rng(0), 20_000, 0.1
    choice = randaugment.draw(rng, count, 2)
    shares = np.bincount(choice.operations.ravel(), minlength=randaugment.COUNT) / (2 * count)
    np.testing.assert_allclose(shares, 1 / randaugment.COUNT, atol=0.01)
    same = (choice.operations[:, 0] == choice.operations[:, 1]).mean()
    assert same == pytest.approx(1 / randaugment.COUNT, abs=0.01)
    by = randaugment.Strength(choice.drawn[:, 0], np.float32(factor), 32, 32)
    spread = 1 / np.sqrt(12)
    for values, mean, deviation in (
        (by.up_to(0, 255), 12.75, 25.5 * spread),
        (randaugment._shear(by)[:, 1], 0, factor / np.sqrt(3)),
        (randaugment._translation(by)[:, 2], -1.6, 3.2 * spread),
        (np.arctan2(randaugment._rotation(by)[:, 3], randaugment._rotation(by)[:, 0]),
         0.1 * np.pi, 0.2 * np.pi * spread),
    ):  # fmt: skip
        assert values.mean() == pytest.approx(mean, abs=0.03 * deviation)
        assert values.std() == pytest.approx(deviation, rel=0.02)
    for factor, most in ((0.1, 1), (0.25, 1), (0.5, 3), (1.0, 7)):
        bits = randaugment._bits(randaugment.Strength(by.drawn, np.float32(factor), 32, 32))
        assert set(bits) == set(range(1, most + 1))


def test_moments_of_boxes_and_mixing():
    rng, count = np.random.default_rng(0), 4000
    images = np.full((count, 1, 20, 20), 1000, np.float32)
    boxes.erase(images, 0.25, rng)
    erased = (images != 1000).reshape(count, -1)
    hit = erased.any(axis=1)
    assert hit.mean() == pytest.approx(0.25, abs=0.02)
    low, high = boxes.ERASED_AREA
    side = (high**1.5 - low**1.5) / 1.5 / (high - low)  # mean of the root of a uniform number
    assert erased[hit].mean() == pytest.approx(side**2, rel=0.05)
    noise = images[images != 1000]
    assert (noise == 0).mean() == pytest.approx(0.5, abs=0.01)
    assert (noise == 255).mean() == pytest.approx(0.1587, abs=0.01)
    share = mixing.draw_share(rng, 0.8, count)
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    assert share.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), rel=0.05)
    found = mixing.draw_boxes(rng, 1.0, count, 20, 30)
    assert found.area.mean() == pytest.approx(0.5, abs=0.02)
    pixels = (found.bottom - found.top) * (found.right - found.left) / 600
    assert pixels.mean() == pytest.approx(found.area.mean(), abs=0.01)
    middle = (found.top + found.bottom - 1) / 2
    assert middle.mean() == pytest.approx(9.5, abs=0.2)


def test_mixing_follows_its_definition():
    images, labels = planes((4, 3, 6, 6)), np.eye(4, dtype=np.float32)
    share, other = np.asarray([1, 0, 0.25, 0.5], np.float32), np.asarray([1, 0, 0, 3])
    mixed, targets = mixing.mixup(images, labels, share, other)
    np.testing.assert_array_equal(mixed[0], images[0])
    np.testing.assert_array_equal(mixed[1], images[0])
    np.testing.assert_allclose(mixed[2], 0.25 * images[2] + 0.75 * images[0], atol=1e-4)
    np.testing.assert_array_equal(targets[2], [0.75, 0, 0.25, 0])
    one = np.ones(4, np.int64)
    box = boxes.Boxes(one, 3 * one, 0 * one, 4 * one, np.full(4, 8 / 36, np.float32))
    cut, targets = mixing.cutmix(images, labels, box, other)
    expected = images.copy()
    expected[:, :, 1:3, 0:4] = images[other][:, :, 1:3, 0:4]
    np.testing.assert_array_equal(cut, expected)
    np.testing.assert_allclose(targets[0], [28 / 36, 8 / 36, 0, 0], atol=1e-6)


def test_shift_and_mirror():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1) + 1
    both = np.repeat(image, 2, axis=0)
    np.testing.assert_array_equal(
        geometry.mirror(both, np.asarray([True, False]))[..., 0],
        [image[0, :, ::-1, 0], image[0, ..., 0]],
    )
    down, right = np.asarray([1, 0]), np.asarray([-1, 2])
    zero = geometry.shift(both, down, right, "zero")[..., 0]
    np.testing.assert_array_equal(zero[0], [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0]])
    np.testing.assert_array_equal(zero[1][0], [0, 0, 1, 2])
    reflected = geometry.shift(both, down, right, "reflect")[..., 0]
    np.testing.assert_array_equal(reflected[0], [[6, 7, 8, 7], [2, 3, 4, 3], [6, 7, 8, 7]])
    np.testing.assert_array_equal(reflected[1][0], [3, 2, 1, 2])


def augmented(recipe, epoch=0, batch=0, size=16):
    images = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)
    labels = np.eye(10, dtype=np.float32)[np.arange(8)]
    return images, labels, Augment(recipe, seed=1)(images, labels, epoch, batch)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mixup": 0.0, "cutout": 5},
        {"cutmix": 0.0, "flip": False, "randaugment_ops": 0, "rotation": 0.1, "zoom": 0.2},
    ],
    ids=["deit", "cutmix", "geometry"],
)
def test_augmentation_keeps_range_and_label_mass(changes):
    before, labels, (images, targets) = augmented(Recipe(**changes))
    assert images.shape == before.shape
    assert images.dtype == targets.dtype == np.float32
    assert images.min() >= -1e-3
    assert images.max() <= 255.001
    np.testing.assert_allclose(targets.sum(-1), 1, atol=1e-5)
    assert not np.allclose(images, before)
    assert not np.allclose(targets, labels)


def test_augmentation_switched_off_changes_nothing():
    before, labels, (images, targets) = augmented(Recipe(**NONE))
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(targets, labels)


def test_the_input_is_left_as_it_was():
    grey = np.full((4, 8, 8, 1), 200, np.float32)  # one channel: planes and pixels lie alike
    Augment(Recipe(**{**NONE, "cutout": 4}), 0)(grey, np.eye(4, dtype=np.float32), 0, 0)
    assert (grey == 200).all()


def test_cut_out_is_a_grey_square_in_every_image():
    before, _, (images, _) = augmented(Recipe(**{**NONE, "cutout": 5}))
    for old, new in zip(before, images, strict=True):
        rows, columns = np.nonzero((new == boxes.GREY).all(axis=-1))
        assert 3 <= np.ptp(rows) + 1 <= 5
        assert 3 <= np.ptp(columns) + 1 <= 5
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        changed = (new != old).any(axis=-1)
        assert changed.sum() == len(rows)


def test_a_batch_depends_on_seed_epoch_and_number_only():
    first = augmented(Recipe(), 3, 7)[2]
    np.testing.assert_array_equal(augmented(Recipe(), 3, 7)[2][0], first[0])
    for other in ((3, 8), (4, 7)):
        assert not np.array_equal(augmented(Recipe(), *other)[2][0], first[0])


def test_a_fill_that_does_not_exist_is_refused():
    with pytest.raises(RecipeError, match="translation_fill: got 'wrap', expected one of zero"):
        Recipe(translation_fill="wrap")
