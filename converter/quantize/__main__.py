# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.quantize`: Keras model -> plain int8 `.tflite`.

A network of this toolkit, or any Keras model of one input that was saved whole:

    python -m converter.quantize --network=build/run --out=plain.tflite
    python -m converter.quantize --network=vit_t_240 --weights=random --seed=1 \
        --calibration_dir=images --calibration_count=16 --out=plain.tflite
    python -m converter.quantize --network=build/run --qat --out=qat.tflite
    python -m converter.quantize --network=model.keras --calibration_dir=images \
        --mean=0 --std=255 --out=plain.tflite

Without --dataset the images are of the data set that a network of this toolkit was trained on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from converter.contract import Contract, ContractError, quantized, with_contract
from converter.contract.contract import check_names
from converter.contract_flags import ContractFlags
from converter.quantize.calibration import DEFAULT_PERCENTILE, METHODS, RangeChoice
from converter.quantize.keras_files import (
    SOURCES,
    contract_for,
    expect_contract,
    image_size,
    quantize_file,
)
from converter.quantize.ptq import Floats, QuantizeError, check_calibration, check_samples, quantize
from converter.quantize.report import QatReport, QuantizeReport
from converter.samples import load_samples
from converter.tflite import parse, serialize
from converter.weight_bits.fused import MAX_ROUNDING_SAMPLES, round_file
from converter.weight_bits.pipeline import RoundingMethod
from converter.weight_bits.wanted import WeightBits
from keras_models.datasets import DATASETS, Dataset, DatasetError, load_dataset, load_pixels
from keras_models.datasets.identity import Identity, identity_of
from keras_models.datasets.made import VOCABULARY_FILE, read_vocabulary
from keras_models.load import resolve_arch, resolve_model
from keras_models.model_file import ModelFile, kind_of, load
from keras_models.questions.examples import apart
from keras_models.staged import Architecture
from keras_models.tasks import (
    CLASSIFICATION,
    TASKS,
    Task,
    TaskError,
    expect_inputs,
    expect_output,
    task_named,
    task_of_data,
)
from keras_models.text.subwords import Vocabulary
from keras_models.trained_data import (
    chosen_dataset,
    expect_trained_classes,
    recorded_identity,
    recorded_recipe,
    recorded_task,
)
from tflm_vit import flags
from tflm_vit.files import expect_writable, naming, write_atomic, write_json
from tflm_vit.run import run
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("quantize", __doc__)
_NETWORK = flags.network(
    FLAGS,
    "Or a Keras model of any script: a .keras or HDF5 file (model.save) or a SavedModel folder "
    "(model.export).",
    required=True,
)
_WEIGHTS = flags.weights(FLAGS)
_SEED = flags.seed(FLAGS, "Of random weights and of the choice of images.")
_DATASET = flags.dataset(
    FLAGS,
    DATASETS,
    "Where calibration images, and those of --qat, come from; without it what --network was "
    "trained on.",
)
_DATA_DIR = flags.data_dir(FLAGS)
_TASK = flags.task(
    FLAGS,
    tuple(TASKS),
    "What the outputs answer; without it what --network was trained for, or --dataset is for.",
)
_ALLOW = flags.allow_other_data(FLAGS)
_CALIBRATION_DIR = flags.calibration_dir(FLAGS)
_CALIBRATION_FILE = flags.calibration_file(FLAGS)
_CALIBRATION_COUNT = flags.calibration_count(FLAGS, more=" Not given: all where there are fewer.")
_CALIBRATION = flags.calibration(FLAGS, METHODS)
_PERCENTILE = FLAGS.number(
    "percentile", DEFAULT_PERCENTILE, "Of --calibration=percentile: values left inside, per end."
)
_PER_CHANNEL = FLAGS.boolean("per_channel", True, "A weight scale for each output channel.")
_QAT = FLAGS.boolean("qat", False, "Fine-tune with rounding before converting.")
_QAT_EPOCHS = flags.qat_epochs(FLAGS, "Passes over the training split.", 10)
_QAT_BATCH = FLAGS.integer("qat_batch_size", 64, "Images per step of --qat.", 1)
_QAT_RATE = flags.qat_learning_rate(FLAGS)
_RESIDUAL_BITS = flags.residual_bits(FLAGS)
_QAT_DIR = flags.qat_dir(FLAGS, "Where checkpoints are kept; without it --out with .qat appended.")
_RESUME = flags.resume(FLAGS, "Go on from the checkpoint in --qat_dir.")
_WEIGHT_BITS = flags.weight_bits(FLAGS)
_FLASH = flags.flash(FLAGS)
_CODE = flags.code_bytes(FLAGS)
_CONTRACT = ContractFlags(FLAGS, labels=True)
_OUT = flags.out(FLAGS, "Where the plain .tflite goes.")
_JSON = flags.json(FLAGS)


def _dataset(arch: Architecture) -> Dataset | None:
    """Of calibration and fine-tuning; None where --calibration_dir is all that is needed."""
    if (_CALIBRATION_DIR.value or _CALIBRATION_FILE.value) and not _QAT.value:
        return None
    name = chosen_dataset(
        _DATASET.value,
        _DATA_DIR.value,
        _NETWORK.value,
        _WEIGHTS.value,
        instead="" if _QAT.value else "--calibration_dir=FOLDER",
    )
    return load_dataset(name, _DATA_DIR.value, image_size=arch.image_size, channels=arch.channels)


def _naming_samples() -> contextlib.AbstractContextManager[None]:
    """Around what samples can be refused for: the file or folder that they are from, if any."""
    where = _CALIBRATION_FILE.value or _CALIBRATION_DIR.value
    return naming(where) if where else contextlib.nullcontext()


def _calibration_images(arch: Architecture, data: Dataset | None, contract: Contract) -> Floats:
    """Images of the folder or of the training split, as the network takes them."""
    count, fewer = _CALIBRATION_COUNT.value, not _CALIBRATION_COUNT.given
    if _CALIBRATION_FILE.value:
        return load_samples(_CALIBRATION_FILE.value, count, _SEED.value)
    if _CALIBRATION_DIR.value or data is None:
        if arch.question:
            raise QuantizeError(
                f"{arch.name!r} takes pictures and questions, --calibration_dir has pictures "
                "alone: give --data_dir"
            )
        pixels = load_pixels(
            _CALIBRATION_DIR.value,
            count,
            arch.image_size,
            arch.channels,
            _SEED.value,
            fewer,
        )
        return contract.real(pixels)
    pixels, _ = data.train.draw(count, _SEED.value, fewer).load(slice(None))
    return contract.real(pixels)


def _trained_on(data: Dataset | None) -> Identity | None:
    """The data set of the weights, if they have been trained."""
    if _QAT.value and data is not None:
        return identity_of(data)
    return recorded_identity(_NETWORK.value) if _WEIGHTS.value == "trained" else None


def _contract(arch: Architecture, data: Dataset | None) -> Contract:
    """What goes into the file: the flags', where they do not contradict the network's training."""
    given = _CONTRACT.given()
    normalization = given.normalization or arch.normalization
    order = given.color_order or Contract.color_order
    own = normalization == arch.normalization and order == Contract.color_order
    if not own and (_WEIGHTS.value == "trained" or _QAT.value):
        what = "--qat trains" if _QAT.value else f"--network={_NETWORK.value} was trained"
        raise ContractError(
            f"{what} on images as {arch.normalization} in the order {Contract.color_order}, got "
            f"{normalization} in the order {order}: leave --mean, --std and --color_order out"
        )
    trained = expect_trained_classes(_NETWORK.value, _WEIGHTS.value, data, _ALLOW.value)
    names = given.class_names or trained
    if not names and data is not None and data.num_classes == arch.num_classes:
        names = data.class_names
    contract = Contract(
        normalization, order, names, _trained_on(data), _task(arch, data), _vocabulary(data)
    )
    output = (1, *arch.output_shape)
    check_names("--labels", given.class_names, contract.task, output)
    contract.check(arch.channels, output)
    return contract


def _vocabulary(data: Dataset | None) -> Vocabulary | None:
    """That texts were cut with.

    Raises:
      DatasetError: the network was trained on texts that another one had cut.
    """
    found = data.vocabulary if data is not None else None
    if found is not None and _WEIGHTS.value == "trained":
        trained = read_vocabulary(_NETWORK.value)
        if trained != found:
            raise DatasetError(
                f"--data_dir={_DATA_DIR.value}: {VOCABULARY_FILE} is another than that of "
                f"{_NETWORK.value}: give the data set of the training"
            )
    return found


def _task(arch: Architecture, data: Dataset | None) -> Task:
    """What the outputs answer: what the network was trained for, or the images are for.

    Raises:
      TaskError: training, data set and --task contradict each other, or the network's output is
        not of its kind.
    """
    trained = recorded_task(_NETWORK.value) if _WEIGHTS.value == "trained" else None
    named = task_named(_TASK.value) if _TASK.value else None
    if None not in (trained, named) and trained is not named:
        raise TaskError(
            f"--network={_NETWORK.value} was trained for {trained and trained.name}: leave "
            f"--task={_TASK.value} out"
        )
    recorded = trained or named
    of_data = task_of_data(data.name) if data is not None else None
    task = recorded or of_data or CLASSIFICATION
    if of_data not in (None, task) and not _ALLOW.value:
        raise TaskError(
            f"--network={_NETWORK.value} is for {task.name}, {data and data.name} for "
            f"{of_data and of_data.name}: give one of {', '.join(task.datasets)}, or "
            "--allow_other_data, since calibration takes the images alone"
        )
    expect_output(arch.name, arch.output_shape, task)
    expect_inputs(arch.name, arch.input_shapes, task)
    return task


def _qat_directory() -> str:
    return str(_QAT_DIR.value or f"{_OUT.value}.qat")


def _numbers_of_blocks(arch: Architecture, bits: WeightBits | None) -> tuple[int, ...]:
    """Of the blocks of 4 bits, counted among all blocks of the network, convolutions included."""
    if bits is None or bits.blocks is None:
        return ()
    numbers = list(arch.transformer_blocks)
    return tuple(numbers[block] for block in sorted(bits.blocks))


def _quantize_aware(
    model: Any, arch: Architecture, data: Dataset, images: Floats, bits: WeightBits | None
) -> tuple[bytes, QatReport]:
    with captured_stderr():
        from converter.qat.train import QatRecipe, quantize_aware

    recipe = QatRecipe(
        epochs=_QAT_EPOCHS.value,
        batch_size=_QAT_BATCH.value,
        learning_rate=_QAT_RATE.value,
        residual_bits=int(_RESIDUAL_BITS.value),
        seed=_SEED.value,
        weight_bits=8 if bits is None else bits.bits,
        small_blocks=_numbers_of_blocks(arch, bits),
        small_convolutions=() if bits is None else bits.convolutions,
    )
    directory = _qat_directory()
    line = f"checkpoints in {directory} until {_OUT.value} is written; --resume goes on from them"
    print(line, flush=True)
    result = quantize_aware(
        model,
        arch,
        data,
        images,
        recipe,
        directory=directory,
        resume=_RESUME.value,
        ranges=_ranges(),
        geometry=recorded_recipe(_NETWORK.value) if _WEIGHTS.value == "trained" else None,
        progress=True,
    )
    report = QatReport(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        residual_bits=recipe.residual_bits,
        weight_bits=recipe.weight_bits,
        seed=recipe.seed,
        validation_accuracy_before=result.history[0]["validation_accuracy"],
        validation_accuracy_after=result.history[-1]["validation_accuracy"],
        seconds=round(result.seconds, 1),
    )
    return result.plain, report


def _write(content: bytes) -> None:
    """The result, after which a fine-tuning needs no checkpoint any more."""
    write_atomic(_OUT.value, content)
    if _QAT.value:
        from converter.qat.train import discard_checkpoint

        discard_checkpoint(_qat_directory())


# ---- a model of another script -------------------------------------------------------------------


def _file_dataset(model: ModelFile) -> Dataset | None:
    """--dataset, in the model's size."""
    if not _DATASET.value:
        if _DATA_DIR.value:
            raise QuantizeError("--data_dir goes with --dataset; give both, or --calibration_dir")
        return None
    height, width = image_size(model)
    if height != width:
        raise QuantizeError(
            f"{model.path}: takes images of {height} x {width}, --dataset gives square ones: give "
            "--calibration_dir=FOLDER"
        )
    channels = model.input_shape[-1]
    return load_dataset(_DATASET.value, _DATA_DIR.value, image_size=height, channels=channels)


def _file_samples(model: ModelFile, data: Dataset | None, contract: Contract | None) -> Floats:
    """What the ranges come from: one of the three flags."""
    given = [_CALIBRATION_FILE.value, _CALIBRATION_DIR.value, _DATASET.value]
    if sum(map(bool, given)) != 1:
        raise QuantizeError(f"{model.path}: give one of {SOURCES}, got {sum(map(bool, given))}")
    count, seed = _CALIBRATION_COUNT.value, _SEED.value
    if _CALIBRATION_FILE.value:
        return load_samples(_CALIBRATION_FILE.value, count, seed)
    size, contract = image_size(model), expect_contract(model, contract)
    fewer = not _CALIBRATION_COUNT.given
    if data is None:
        where, channels = _CALIBRATION_DIR.value, model.input_shape[-1]
        return contract.real(load_pixels(where, count, size, channels, seed, fewer))
    return contract.real(data.train.draw(count, seed, fewer).load(slice(None))[0])


def _for_task(model: ModelFile, contract: Contract | None) -> Contract | None:
    """With what --task says."""
    if not _TASK.value:
        return contract
    if contract is None:
        raise QuantizeError(
            f"{model.path}: --task goes with an image whose scaling is known: give --mean and --std"
        )
    return dataclasses.replace(contract, task=task_named(_TASK.value))


def _run_file(kind: str, wanted: WeightBits | None) -> _Made:
    if _QAT.value:
        raise QuantizeError(
            f"{_NETWORK.value}: --qat fine-tunes networks of this toolkit; leave it out"
        )
    if _WEIGHTS.value != "trained":
        raise QuantizeError(f"{_NETWORK.value}: has its own weights; leave --weights out")
    with captured_stderr():  # TensorFlow talks while it is imported
        model = load(_NETWORK.value, kind)
    data = _file_dataset(model)
    contract = _for_task(model, contract_for(model, _CONTRACT.given(), data))
    samples = _file_samples(model, data, contract)
    with _naming_samples():
        check_samples(samples, model.input_shape)
    content = quantize_file(
        model, samples, per_channel=_PER_CHANNEL.value, ranges=_ranges(), progress=True
    )
    return _Made(content, model.name, model.params, contract, samples, data, weight_bits=wanted)


# ---- the command ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class _Made:
    """A plain file without its contract, and where it comes from."""

    content: bytes
    name: str
    params: int
    contract: Contract | None
    samples: Floats
    data: Dataset | None
    qat: QatReport | None = None
    weight_bits: WeightBits | None = None


def _ranges() -> RangeChoice:
    return RangeChoice(_CALIBRATION.value, _PERCENTILE.value)


def _run_network(wanted: WeightBits | None) -> _Made:
    # Images first: whatever is wrong with them is known before TensorFlow is imported.
    arch = resolve_arch(_NETWORK.value)
    data = _dataset(arch)
    contract = _contract(arch, data)
    with _naming_samples():
        images = check_calibration(_calibration_images(arch, data, contract), arch)
    with captured_stderr():  # TensorFlow talks while it is imported
        _, model = resolve_model(_NETWORK.value, _WEIGHTS.value, _SEED.value)
    qat, bits = None, wanted or WeightBits.of_arch(arch)
    if _QAT.value and data is not None:
        content, qat = _quantize_aware(model, arch, data, images, bits)
    else:
        content = quantize(
            model, arch, images, per_channel=_PER_CHANNEL.value, ranges=_ranges(), progress=True
        )
    return _Made(content, arch.name, arch.params, contract, images, data, qat, bits)


def _probes(content: bytes, samples: Floats) -> list[list[NDArray[Any]]]:
    """Some of the calibration samples as the plain network's inputs."""
    graph = parse(content).graph
    inputs = [graph.tensors[i] for i in graph.inputs]
    chosen = apart(samples[:MAX_ROUNDING_SAMPLES], tuple(x.shape[1:] for x in inputs))
    return [
        [
            quantized(part[None], x.scale, x.zero_point, x.dtype)
            for part, x in zip(parts, inputs, strict=True)
        ]
        for parts in zip(*chosen, strict=True)
    ]


def _run() -> QuantizeReport:
    started = time.monotonic()
    expect_writable(_OUT.value, _JSON.value)
    wanted = WeightBits.of(_WEIGHT_BITS.value, _FLASH.value, _CODE.value)
    if _QAT.value and not _PER_CHANNEL.value:
        raise QuantizeError("--qat rounds weights per channel; leave --per_channel out")
    kind = kind_of(_NETWORK.value)
    if _QAT.value and wanted is not None and not wanted.bits:
        raise QuantizeError("--qat trains with --weight_bits=4 or 8, got auto: give one of them")
    made = _run_network(wanted) if kind is None else _run_file(kind, wanted)
    content, weights = made.content, None
    if made.weight_bits is not None:
        rounded = round_file(
            content,
            made.weight_bits,
            int(_RESIDUAL_BITS.value),
            probes=_probes(content, made.samples),
            # Fine-tuned weights are on their grid already.
            method=RoundingMethod.NEAREST if made.qat else None,
        )
        content, weights = rounded.model_bytes, rounded.report
    if made.contract is not None:
        content = serialize(with_contract(parse(content), made.contract))
    named = _CALIBRATION_FILE.value or _CALIBRATION_DIR.value
    report = QuantizeReport(
        name=made.name,
        parameters=made.params,
        input="" if made.contract is None else str(made.contract.normalization),
        calibration_images=len(made.samples),
        dataset=named or ("" if made.data is None else made.data.name),
        calibration=str(_ranges()),
        per_channel=_PER_CHANNEL.value,
        operators=len(parse(content).graph.operators),
        model_bytes=len(content),
        qat=made.qat,
        weight_bits=weights,
        seconds=round(time.monotonic() - started, 1),
    )
    _write(content)
    return report


def _body() -> None:
    try:
        report = _run()
    finally:
        if _QAT.value and not _QAT_DIR.value:  # nobody asked for that folder
            with contextlib.suppress(OSError):  # not made, or not empty: something to resume
                os.rmdir(_qat_directory())
    if _JSON.value:
        write_json(_JSON.value, dataclasses.asdict(report))
    print(report.table())
    print(f"wrote {_OUT.value}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
