# SPDX-License-Identifier: Apache-2.0
"""One training: what it is, the compiled network, and what it starts from."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import time
from typing import Any

from keras_models.datasets import Dataset, DatasetError
from keras_models.datasets.normalization import BYTES
from keras_models.load import (
    WEIGHTS_FILE,
    ModelNotFoundError,
    Network,
    build_network,
    load_network,
    trained_network,
)
from keras_models.resnet import ResNetConfig
from keras_models.tasks import CLASSIFICATION, Task, TaskError, expect_inputs, expect_output
from keras_models.training.checkpoint import CHECKPOINT_FILE, Progress, restore_checkpoint
from keras_models.training.forecast import Forecast
from keras_models.training.growth import grown, other_fields
from keras_models.training.optimizer import make_optimizer
from keras_models.training.precision import accelerated, computing_in
from keras_models.training.recipe import Recipe, RecipeError
from keras_models.training.setup import check_setup, setup_text
from keras_models.vit import copy_weights, named_weights
from tflm_vit.files import opened
from tflm_vit.stderr import captured_stderr

# Augmentation that a dense task cannot have: its targets would have to go along.
_MOVING = (
    "translation", "rotation", "zoom", "randaugment_ops", "random_erasing", "cutout", "mixup",
    "cutmix",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TrainJob:
    """What is to be trained, on what, how and where.

    Attributes:
      arch: the network.
      recipe: how.
      dataset, data_dir: as given to `load_dataset`.
      seed: of weights, order, augmentation and drop path.
      out: folder of the result.
      checkpoint_every: epochs between two checkpoints.
      jit: as `Model.compile` takes it.
      precision: one of `PRECISIONS`.
      initial: trained folder to start from, of this network or a smaller one, "" for random
        weights.
      teacher: trained folder of the network to imitate, "" for none.
      distill, temperature: share of that imitation in the loss; of both networks' softmax.
      task: what for.
      workers: processes that make the batches; 0: the training itself. Not of the set-up: the
        batches are the same.
    """

    arch: Network
    recipe: Recipe
    dataset: str
    data_dir: str
    seed: int
    out: str
    checkpoint_every: int
    jit: str | bool
    precision: str = "float32"
    initial: str = ""
    teacher: str = ""
    distill: float = 0.0
    temperature: float = 1.0
    task: Task = CLASSIFICATION
    workers: int = 0

    def setup(self, data: Dataset) -> str:
        """JSON of what must not change between a kill and `--resume`."""
        return setup_text(
            data,
            arch=self.arch.tree(),
            recipe=self.recipe.tree(),
            dataset=self.dataset,
            seed=self.seed,
            **self.origin(),
            **self.named_task(),
        )

    def named_task(self) -> dict[str, str]:
        """The task, for records; those without one are a classifier's."""
        return {} if self.task is CLASSIFICATION else {"task": self.task.name}

    def origin(self) -> dict[str, Any]:
        """Precision, and what comes from other networks, by the digests of their weights."""
        return {
            "precision": self.precision,
            "initial": digest_of(self.initial) if self.initial else "",
            "teacher": digest_of(self.teacher) if self.teacher else "",
            "distill": self.distill,
            "temperature": self.temperature,
        }

    def path(self, name: str) -> str:
        return os.path.join(self.out, name)


def digest_of(directory: str) -> str:
    """16 hexadecimal digits of a trained folder's weights; where they lie does not count."""
    path = os.path.join(directory, WEIGHTS_FILE)
    try:
        with opened(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ModelNotFoundError(f"{path}: cannot read: {error.strerror}") from error


def expect_teacher(job: TrainJob, data: Dataset, network: Network) -> None:
    """Refuses a teacher that sees other images, or knows other classes, than its pupil.

    Raises:
      DatasetError: one line that says what differs.
    """
    wanted = (data.image_size, data.channels, data.num_classes)
    found = (network.image_size, network.channels, network.num_classes)
    if found != wanted:
        raise DatasetError(
            f"{job.teacher}: a teacher of {found[0]} pixels, {found[1]} channels and {found[2]} "
            f"classes, expected {wanted[0]}, {wanted[1]} and {wanted[2]}"
        )


def expect_task(job: TrainJob) -> None:
    """Refuses a network or a recipe that the task is not for.

    Raises:
      TaskError, RecipeError: one line that says what to change.
    """
    expect_output(job.arch.name, job.arch.output_shape, job.task)
    expect_inputs(job.arch.name, job.arch.input_shapes, job.task)
    if job.arch.normalization == BYTES:
        moving = [name for name in _MOVING if name != "random_erasing" or job.arch.channels == 1]
        _expect_still(job, "flip", *moving, because="which would change the text's bytes")
    if job.task.asked:
        _expect_still(job, "flip", *_MOVING, because="which would change the answers")
    if not (job.task.dense or job.task.asked):
        return
    if job.teacher:
        raise TaskError(f"--task={job.task.name} learns from no teacher: leave --teacher out")
    if job.workers:
        raise TaskError(f"--task={job.task.name} makes its own batches: leave --workers out")
    if job.task.dense:
        _expect_still(job, *_MOVING, because="which would move the image away from its targets")


def _expect_still(job: TrainJob, *names: str, because: str) -> None:
    """Refuses a recipe with any of these parts."""
    given = [name for name in names if getattr(job.recipe, name)]
    if given:
        off = (f"--set={name}={'false' if name == 'flip' else '0'}" for name in given)
        raise RecipeError(
            f"--task={job.task.name}: got {', '.join(given)}, {because}: give {' '.join(off)}"
        )


def compiled_model(job: TrainJob, steps_per_epoch: int) -> Any:
    """The network with its weights at the start, optimizer, loss and metric."""
    import keras

    keras.utils.set_random_seed(job.seed)
    with computing_in(job.precision):
        model = build_network(job.arch, drop_path=job.recipe.drop_path)
    if job.initial:
        _start_from(model, job)
    loss, watched = job.task.loss(job.recipe.label_smoothing), job.task.watched()
    if job.teacher:
        from keras_models.training.distillation import Objective, taught_accuracy, taught_loss

        objective = Objective(job.recipe.label_smoothing, job.distill, job.temperature)
        loss = taught_loss(objective, job.arch.num_classes)
        watched = taught_accuracy(job.arch.num_classes)
    model.compile(
        optimizer=make_optimizer(job.recipe, steps_per_epoch),
        loss=loss,
        metrics=[watched],
        jit_compile=_jit(job),
    )
    return model


def _jit(job: TrainJob) -> str | bool:
    """Keras' choice, but for bfloat16 on a CPU, where XLA needs many minutes for one step."""
    slow = job.precision == "bfloat16" and not accelerated()
    return False if slow and job.jit == "auto" else job.jit


def expect_start(job: TrainJob) -> Network:
    """The network that a training starts from: the same, or a smaller one of the same form.

    Raises:
      ModelNotFoundError: one line that says what differs.
    """
    network = trained_network(job.initial)
    if type(network) is not type(job.arch):
        raise ModelNotFoundError(f"{job.initial}: another kind of network than --network")
    other = other_fields(network, job.arch)
    if other:
        raise ModelNotFoundError(
            f"{job.initial}: other {', '.join(other)} than --network; give --network={job.initial}"
        )
    return network


def _start_from(model: Any, job: TrainJob) -> None:
    """Gives a trained network's weights, grown where it is smaller; to a classifier of other
    classes all but its head."""
    before = expect_start(job)
    values, fresh = named_weights(load_network(job.initial)[1]), named_weights(model)
    if before.num_classes != job.arch.num_classes:
        head = list(fresh)[-2:]  # its kernel and bias are the last
        values |= {name: fresh[name] for name in head}
        print(f"the head of {job.arch.num_classes} classes starts at random")
    if not isinstance(before, ResNetConfig) and not isinstance(job.arch, ResNetConfig):
        values = grown(before, values, job.arch, fresh, job.seed)
        if before.params < job.arch.params:
            print(f"grown from {before.params:,} to {job.arch.params:,} parameters")
    model.set_weights(list(values.values()))


def _batches(job: TrainJob, data: Dataset) -> Any:
    from keras_models.training.batches import TaskBatches, TrainBatches

    if job.task.dense or job.task.asked:
        arch = job.arch
        return TaskBatches(
            data.train, job.task, arch.output_shape, arch.input_shapes, job.recipe, job.seed, 0
        )
    if not job.teacher:
        return TrainBatches(data.train, data.num_classes, job.recipe, job.seed, 0, job.workers)
    from keras_models.training.distillation import TaughtBatches

    with computing_in(job.precision):
        network, teacher = load_network(job.teacher)
    expect_teacher(job, data, network)
    batches = TaughtBatches(data.train, data.num_classes, job.recipe, job.seed, 0, job.workers)
    batches.teacher = teacher.predict_on_batch
    return batches


def _start(job: TrainJob, data: Dataset, model: Any, resume: bool) -> Progress:
    """Restores the checkpoint if there is one to go on from."""
    path = job.path(CHECKPOINT_FILE)
    if not (resume and os.path.exists(path)):
        return Progress(0, 0.0, [], job.setup(data))
    check_setup(path, job.setup(data))
    progress = restore_checkpoint(path, model)
    print(f"resuming after epoch {progress.epochs_done} of {job.recipe.epochs}", flush=True)
    return progress


def _foretell(job: TrainJob, batches: Any, start: Progress) -> None:
    """Says what a long training will take; makes a batch of it to know."""
    images, epochs = len(batches) * batches.batch_size, job.recipe.epochs - start.epochs_done
    known = Forecast(job.arch.macs, images, epochs, 0.0, job.workers)
    if not known.long:
        return
    begun = time.monotonic()
    batches.maker.make(start.epochs_done, 0)
    each = (time.monotonic() - begun) / batches.batch_size
    print(dataclasses.replace(known, image_seconds=each).text(), flush=True)


def fit(job: TrainJob, data: Dataset, resume: bool = False) -> tuple[Any, Progress]:
    """Trains, or goes on training; leaves the averaged weights in the model.

    Returns:
      The model for inference (float32, no drop path) and the progress at the end.
    """
    with captured_stderr():  # TensorFlow talks while it is imported, whatever its log level
        from keras_models.training.loop import train_to_the_end

    batches = _batches(job, data)
    model = compiled_model(job, len(batches))
    start = _start(job, data, model, resume)
    with contextlib.closing(batches):
        if not (job.task.dense or job.task.asked):
            _foretell(job, batches, start)
        progress = train_to_the_end(
            model, batches, data, job.recipe, start, job.out, job.seed, job.checkpoint_every,
            job.task,
        )  # fmt: skip
    final = build_network(job.arch)
    copy_weights(model, final)
    return final, progress
