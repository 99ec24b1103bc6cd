# SPDX-License-Identifier: Apache-2.0
"""Fine-tunes a network with rounding, and hands it to the TFLite converter.

The float network teaches: targets are the mean of the labels and of its own probabilities, so that
training recovers what rounding costs and does not look for another solution (Hinton et al. 2015).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from converter.qat.fold import Folded, fold
from converter.qat.network import (
    InputRounding,
    LayerRange,
    QatError,
    export_twin,
    float_twin,
    initial_ranges,
    layer_ranges,
    quantized_twin,
    set_float_weights,
    set_ranges,
)
from converter.quantize.calibration import RangeChoice
from converter.quantize.ptq import MINMAX, Floats, check_calibration, quantize
from keras_models.datasets import Dataset
from keras_models.datasets.core import Split
from keras_models.datasets.normalization import BYTES
from keras_models.parts import WEIGHT_BITS, later, without_unused
from keras_models.staged import Architecture, StagedConfig
from keras_models.training.checkpoint import (
    CheckpointError,
    Progress,
    restore_checkpoint,
    save_checkpoint,
)
from keras_models.training.recipe import Recipe, recipe_for
from keras_models.training.setup import check_setup, setup_text, weights_digest
from tflm_custom_ops.ops.schema.residual import RESIDUAL_BITS

CHECKPOINT_FILE = "qat_checkpoint.npz"
# XLA halves the time of a step, after half a minute or more of compiling.
_XLA_STEPS = 500


@dataclasses.dataclass(frozen=True)
class QatRecipe:
    """How to fine-tune.

    Attributes:
      epochs: passes over the training split.
      batch_size: images per step.
      learning_rate: Adam's at the start; it falls to 0 along a cosine.
      residual_bits: 8 or 16, of the residual stream; what the file will be fused with.
      seed: of order and augmentation.
      weight_bits: 8 or 4; the file's weights are then to be rounded to the nearest.
      small_blocks, small_convolutions: numbers of the blocks, and beginnings of the names of
        convolutions, that alone have weights of 4 bits; none: all layers.
    """

    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 1e-4
    residual_bits: int = 8
    seed: int = 0
    weight_bits: int = later(8)
    small_blocks: tuple[int, ...] = later(())
    small_convolutions: tuple[str, ...] = later(())

    def __post_init__(self) -> None:
        if self.residual_bits not in RESIDUAL_BITS:
            raise QatError(f"residual_bits: got {self.residual_bits}, expected 8 or 16")
        if self.weight_bits not in WEIGHT_BITS:
            raise QatError(f"weight_bits: got {self.weight_bits}, expected 4 or 8")
        if self.epochs < 1 or self.batch_size < 1 or not self.learning_rate > 0:
            raise QatError(f"recipe: got {self}, expected positive numbers")


@dataclasses.dataclass(frozen=True, eq=False)
class QatResult:
    """A network after quantization-aware training.

    Attributes:
      plain: int8 `.tflite`, to be fused as any other; with weights of 4 bits in the recipe, to be
        rounded to the nearest before, which gives the numbers that were trained.
      ranges: of the rounded outputs, at the end of training.
      history: per epoch, loss and validation accuracy with rounding; the first entry is the
        accuracy before training.
      seconds: of training, over all runs.
    """

    plain: bytes
    ranges: tuple[LayerRange, ...]
    history: tuple[dict[str, float], ...]
    seconds: float


def quantize_aware(
    model: Any,
    arch: Architecture,
    data: Dataset,
    calibration: Floats,
    recipe: QatRecipe,
    *,
    directory: str | None = None,
    resume: bool = False,
    ranges: RangeChoice = MINMAX,
    geometry: Recipe | None = None,
    progress: bool = False,
) -> QatResult:
    """Fine-tunes a float model with rounding and converts it.

    Args:
      model: Keras 3 (TensorFlow backend) or tf_keras model of `arch`, trained.
      arch: its architecture.
      data: labelled images of the network's size.
      calibration: (n, size, size, channels) float32 in [-1, 1]; first ranges, and those of the
        plain graph's tensors that no fused operator has.
      recipe: how long and how fast.
      directory: where a checkpoint is kept after each epoch, and after the last one until
        `discard_checkpoint`; None for none.
      resume: go on from that checkpoint if there is one.
      ranges: choice of the first ranges; with "minmax" they then follow the values, otherwise they
        stay.
      geometry: recipe of the network's training, whose images are moved as these are to be: a
        mirrored digit is none. None for the preset's of that name.
      progress: show bars on stderr.

    Raises:
      QatError, QuantizeError: unusable images, or a data set of another number of classes.
      CheckpointError: the checkpoint belongs to another training, or exists without `resume`.
    """
    expect_trainable(arch)
    calibration = check_calibration(calibration, arch)
    if data.num_classes != arch.num_classes:
        raise QatError(
            f"{data.name} has {data.num_classes} classes, the network {arch.num_classes}; give "
            "the data set that it was trained on"
        )
    moved = recipe_for(arch.name) if geometry is None else geometry
    setup = _setup(model, arch, data, recipe, ranges, moved)
    path = _checkpoint_path(directory, resume, setup)
    folded = fold(model, arch)
    teacher = float_twin(folded)
    student = _student(teacher, folded, recipe, ranges, calibration)
    job = _Job(data, moved, recipe, InputRounding.of(calibration), path, setup)
    done = _train(student, teacher, job, progress)
    twin = export_twin(student, folded.arch)
    plain = quantize(twin, folded.arch, calibration, progress=progress)
    return QatResult(plain, layer_ranges(student), tuple(done.history), done.seconds)


def expect_trainable(arch: Architecture) -> None:
    """Refuses a network with parts whose rounding is not trained.

    Raises:
      QatError: names the part, and what to do.
    """
    what = ""
    if arch.dense:
        what = "a dense head"
    elif arch.question:
        what = "a question"
    elif arch.normalization == BYTES:
        what = "a vocabulary"
    elif arch.norm_after:
        what = "norm_after"
    elif any(block.places.matter for block in arch.transformer_blocks.values()):
        what = "windows or relative position"
    elif isinstance(arch, StagedConfig):
        what = next((stage.beside_blocks for stage in arch.stages if stage.beside_blocks), "")
    if what:
        raise QatError(
            f"{arch.name!r} has {what}, whose rounding is not trained; quantize it without "
            "fine-tuning"
        )


def discard_checkpoint(directory: str | None) -> None:
    """Removes the checkpoint of a training whose result has been written; None does nothing."""
    if directory is not None:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(directory, CHECKPOINT_FILE))


def _setup(
    model: Any,
    arch: Architecture,
    data: Dataset,
    recipe: QatRecipe,
    ranges: RangeChoice,
    geometry: Recipe,
) -> str:
    """What must not change between a kill and `resume`, as JSON."""
    return setup_text(
        data,
        arch=arch.tree(),
        recipe=without_unused(dataclasses.asdict(recipe), QatRecipe),
        dataset=data.name,
        ranges=str(ranges),
        geometry=dataclasses.asdict(geometry),
        weights=weights_digest(model.get_weights()),
    )


def _checkpoint_path(directory: str | None, resume: bool, setup: str) -> str | None:
    """The checkpoint's path; refuses one that must not be overwritten or cannot be used."""
    if directory is None:
        if resume:
            raise CheckpointError("resume: got no directory with a checkpoint (--qat_dir)")
        return None
    os.makedirs(directory, exist_ok=True)
    path = os.path.join(directory, CHECKPOINT_FILE)
    if not os.path.exists(path):
        return path
    if not resume:
        raise CheckpointError(f"{path} exists: give --resume to go on with it, or remove it")
    check_setup(path, setup)
    return path


def _student(
    teacher: Any, folded: Folded, recipe: QatRecipe, ranges: RangeChoice, calibration: Floats
) -> Any:
    from converter.qat.configs import Scheme

    scheme = Scheme(
        residual_bits=recipe.residual_bits,
        follow=ranges.method == "minmax",
        weight_bits=recipe.weight_bits,
        small_blocks=recipe.small_blocks,
        small_convolutions=recipe.small_convolutions,
    )
    student = quantized_twin(folded.arch, scheme)
    set_float_weights(student, folded.weights)
    set_ranges(student, initial_ranges(teacher, student, calibration, ranges))
    return student


# ---- training ------------------------------------------------------------------------------------


def _batches(data: Dataset, geometry: Recipe, recipe: QatRecipe) -> Any:
    """Training batches that are moved as the recipe says, without mixing or erasing."""
    from keras_models.training.batches import TrainBatches

    augment = dataclasses.replace(
        geometry,
        batch_size=recipe.batch_size,
        randaugment_ops=0,
        random_erasing=0.0,
        mixup=0.0,
        cutmix=0.0,
        mix_probability=0.0,
    )
    return TrainBatches(data.train, data.num_classes, augment, recipe.seed, 0)


def _compile(student: Any, recipe: QatRecipe, steps: int) -> None:
    import tf_keras

    schedule = tf_keras.optimizers.schedules.CosineDecay(recipe.learning_rate, max(1, steps))
    student.compile(
        optimizer=tf_keras.optimizers.Adam(schedule, global_clipnorm=1.0),
        loss=tf_keras.losses.CategoricalCrossentropy(from_logits=True),
        jit_compile=steps >= _XLA_STEPS,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """What the training loop needs besides the two networks."""

    data: Dataset
    geometry: Recipe
    recipe: QatRecipe
    rounding: InputRounding
    path: str | None
    setup: str


def _train(student: Any, teacher: Any, job: _Job, progress: bool) -> Progress:
    import tensorflow as tf

    batches = _batches(job.data, job.geometry, job.recipe)
    steps, epochs, validation = len(batches), job.recipe.epochs, job.data.validation
    _compile(student, job.recipe, epochs * steps)
    teach = tf.function(
        lambda images: tf.nn.softmax(teacher(images, training=False)),
        jit_compile=epochs * steps >= _XLA_STEPS,
    )
    if job.path is not None and os.path.exists(job.path):
        done = restore_checkpoint(job.path, student)
    else:
        before = {"validation_accuracy": accuracy(student, validation, job.rounding)}
        done = Progress(0, 0.0, [before], job.setup)
    with tqdm(
        total=epochs * steps, initial=done.epochs_done * steps, unit="step", disable=not progress
    ) as bar:
        for epoch in range(done.epochs_done, epochs):
            bar.set_description(f"QAT epoch {epoch + 1}/{epochs}")
            started = time.monotonic()
            batches.start_epoch(epoch)
            losses = [_step(student, teach, batches[i], job.rounding, bar) for i in range(steps)]
            entry = {
                "loss": float(np.mean(losses)),
                "validation_accuracy": accuracy(student, validation, job.rounding),
            }
            seconds = done.seconds + time.monotonic() - started
            done = Progress(epoch + 1, seconds, [*done.history, entry], job.setup)
            bar.set_postfix({key: f"{value:.4f}" for key, value in entry.items()})
            if job.path is not None:
                save_checkpoint(job.path, student, done)
    return done


def _step(student: Any, teach: Any, batch: Any, rounding: InputRounding, bar: Any) -> float:
    images, labels = (np.asarray(part, np.float32) for part in batch)
    targets = (labels + np.asarray(teach(images))) / 2
    loss = float(student.train_on_batch(rounding(images), targets))
    bar.update(1)
    return loss


def accuracy(model: Any, split: Split, rounding: InputRounding) -> float:
    """Top-1 accuracy 0..1 on a whole split, images rounded as the application does."""
    right = 0
    for images, labels in split.batches(256):
        logits: NDArray[np.float32] = np.asarray(model(rounding(images), training=False))
        right += int((np.argmax(logits, axis=-1) == labels).sum())
    return right / len(split)
