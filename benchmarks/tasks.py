# SPDX-License-Identifier: Apache-2.0
"""Networks of tasks beyond classification: their figures in every runtime, and what they take.

    python -m benchmarks.tasks --trained=build/depth_96,build/depth_cnn_96 --data_dir=build/scenes

Adds to the record, or replaces in it, the networks that are named, and writes the table of
docs/tasks.md. The constant is the best answer without the picture: the depth of the least AbsRel
on the training pictures, their most frequent class, or no box; of questions about pictures the
best answer to each without its picture stands beside. --other_data_dirs is for what one
data set flatters: words of another synthesizer and of a person. With boxes stands what one box for
each token costs, whatever the network.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.box_limits import box_limits
from benchmarks.near_texts import counted
from benchmarks.task_forms import constant, evaluated, float_outputs, fused_forms, tree_of
from benchmarks.task_tables import rendered, table
from benchmarks.task_trainings import training_of
from benchmarks.versions import versions_of
from boards import get_board
from converter.contract import contract_of
from converter.evaluate.evaluation import ContractImages, compare, ends_of
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.quantize.ptq import quantize
from firmware.emulator.emulator import Emulator
from firmware.model import build_model
from keras_models.datasets import Dataset, Split, load_dataset
from keras_models.datasets.core import Labels
from keras_models.datasets.normalization import BYTES
from keras_models.datasets.texts import LANGUAGE_BYTES, TOPIC_BYTES
from keras_models.load import TRAIN_FILE, resolve_model
from keras_models.questions.asking import QUESTIONS
from keras_models.tasks import TASKS
from nas import command as shared
from tflm_vit import flags
from tflm_vit.files import FileError, expect_writable, read_json, write_atomic, write_json
from tflm_vit.run import run, typed_command
from tflm_vit.stderr import captured_stderr

FLAGS = flags.FlagSet("tasks", __doc__)
flags.trained(FLAGS)
flags.before(FLAGS)
FLAGS.words("untrained", [], "Networks by name, with random weights: what a board says alone.")
flags.data_dir(FLAGS)
FLAGS.words("other_data_dirs", [], "Folders of data sets to score on besides, by their names.")
FLAGS.string(
    "bytes_dir", "", "Of sub-words: the same texts as bytes, for what n-grams say of them."
)
shared.found(FLAGS, "Of networks that nas.retrain made.")
flags.seed(FLAGS, "Of the choice of calibration pictures.")
flags.count(FLAGS, "Test pictures, the first so many; 0: all.")
FLAGS.integer("reference_count", 4, "Of them in the NumPy reference, which is slow.", 1)
flags.emulated_count(FLAGS, 2, "Of them on the emulated board.", 1)
FLAGS.boolean(
    "recount", False, "Only what the board says is measured again, of the networks in --trained."
)
flags.json(FLAGS)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tasks.md"
RECORD = ROOT / "docs" / "results" / "tasks.json"
BOARD = "stm32f746g_disco"
_RANDOM_EXAMPLES = 4
# Data sets of the same texts as bytes.
_BYTES_OF = {
    "definition_pieces": ("definition_topics", TOPIC_BYTES),
    "page_pieces": ("page_languages", LANGUAGE_BYTES),
}


@dataclasses.dataclass(frozen=True)
class BoardFigures:
    """What the linker and one emulated inference say; bytes and instructions."""

    instructions: int
    sram_bytes: int
    flash_bytes: int


def _on_board(fused: bytes) -> BoardFigures:
    board = get_board(BOARD)
    with tempfile.TemporaryDirectory() as work:
        elf = Path(work) / "firmware.elf"
        build_model(fused, board, elf)
        emulator = Emulator(board, elf)
    # Of an image as before there were models of two inputs: the same bytes, the same count.
    inputs = np.random.default_rng(0).integers(-128, 128, emulator.model.input_bytes)
    instructions = emulator.infer(inputs.astype(np.int8).tobytes()).instructions
    use = emulator.memory_use()
    flash = use.flash_bytes + use.external_flash_bytes
    return BoardFigures(instructions, emulator.sram_total_bytes(), flash)


def _measured(folder: str) -> dict[str, Any]:
    record = read_json(os.path.join(folder, TRAIN_FILE), "a record of a training", FileError)
    training = training_of(folder, FLAGS.before)  # before the work: it may be refused
    task = TASKS[record["task"]]
    with captured_stderr():
        arch, model = resolve_model(folder)
    data = load_dataset(
        record["dataset"], FLAGS.data_dir, image_size=arch.image_size, channels=arch.channels
    )
    plain, fused = fused_forms(model, arch, data, task, FLAGS.seed)
    ends = ends_of(fused)
    split = data.test.take(FLAGS.count) if FLAGS.count else data.test
    images = ContractImages(split, contract_of(fused))
    real = float_outputs(model, arch, images)
    rows = {"float": tree_of(task.scores(real, split.labels()))}
    rows["plain int8"] = tree_of(evaluated("litert", plain, split, task).scores)
    limits = {"reference": FLAGS.reference_count, "emulated": FLAGS.emulated_count}
    results = []
    for name in ("host", "tflm", "reference", "emulated"):
        part = split.take(limits.get(name, len(split)))
        results.append(evaluated(name, fused, part, task))
    rows["fused int8"] = tree_of(results[0].scores)
    fixed = np.broadcast_to(constant(task, data.train, ends.output_shape), real.shape)
    others = {}
    for other_dir in FLAGS.other_data_dirs:
        size, channels = arch.image_size, arch.channels
        other = load_dataset(record["dataset"], other_dir, image_size=size, channels=channels)
        name = os.path.basename(os.path.normpath(other_dir))
        others[name] = tree_of(evaluated("host", fused, other.test, task).scores)
    rows["constant"] = tree_of(task.scores(fixed, split.labels()))
    if task.asked is not None:
        alone = without_pictures(data.train, split, ends.classes)
        rows["question alone"] = tree_of(task.scores(alone, split.labels()))
    limits_of_boxes = {}
    if task.boxes is not None:
        found = box_limits(task, split, ends.output_shape)
        limits_of_boxes = {"boxes": dataclasses.asdict(found)}
    near = {}
    if arch.normalization == BYTES:
        train, test = (texts_of(data, name) for name in ("train", "test"))
        test = test[: len(split)]
        said = n_grams(train, data.train.labels(), test)
        rows["n-grams"] = tree_of(task.scores(said, split.labels()))
        right = results[0].logits.reshape(len(split), -1).argmax(axis=1) == split.labels()
        near = {"near": dataclasses.asdict(counted(train, test, right))}
    return {
        "task": task.name,
        "command": typed_command("benchmarks.tasks"),
        "calibration_seed": FLAGS.seed,
        "training": training,
        "params": arch.params,
        "macs": arch.macs,
        "figures": rows,
        "others": others,
        **limits_of_boxes,
        **near,
        **({"search": search_report(FLAGS.found)} if FLAGS.found else {}),
        "equal": [dataclasses.asdict(pair) for pair in compare(results)],
        "board": {"name": BOARD, **dataclasses.asdict(_on_board(fused))},
        "versions": versions_of("tensorflow", "keras", "numpy", "unicorn"),
    }


def search_report(folder: str) -> dict[str, Any]:
    """What a search says of itself, with the last network of its front, and its supernet."""
    found = read_json(os.path.join(folder, "search.json"), "a report of a search", FileError)
    keys = ("command", "seed", "space", "networks", "networks_that_fit", "evaluated")
    return {**{key: found[key] for key in keys}, "most_accurate": found["front"][-1]}


def without_pictures(train: Split, test: Split, answers: int) -> NDArray[np.float32]:
    """Logits of the test's questions by how often each answer was right in training."""
    said = np.zeros((len(QUESTIONS), answers), np.float32)
    np.add.at(said, tuple(train.labels().T), 1.0)
    found: NDArray[np.float32] = said[test.labels()[:, 0]]
    return found


def texts_of(data: Dataset, name: str) -> list[bytes]:
    """The texts of a split; of sub-words those of --bytes_dir.

    Raises:
      FileError: none is given for sub-words, or one of other texts.
    """
    split = data.split(name)
    if data.vocabulary is not None:
        if not FLAGS.bytes_dir:
            raise FileError(f"--data_dir={FLAGS.data_dir} has sub-words: give --bytes_dir, too")
        kind, size = _BYTES_OF[data.name]
        same = load_dataset(kind, FLAGS.bytes_dir, image_size=size.side, channels=1)
        if not np.array_equal(same.split(name).labels(), split.labels()):
            raise FileError(f"--bytes_dir={FLAGS.bytes_dir}: other texts than --data_dir's")
        split = same.split(name)
    pieces = split.load(slice(None))[0].reshape(len(split), -1)
    return [piece.tobytes().rstrip(b"\0") for piece in pieces]


def n_grams(train: list[bytes], labels: Labels, test: list[bytes]) -> NDArray[np.float64]:
    """Logits of the test's texts by logistic regression on what stands in a text: one to four
    bytes in a row, words, and pairs of words."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline, make_union

    counts = make_union(*(
        HashingVectorizer(
            analyzer=kind, ngram_range=(1, most), n_features=2**18, alternate_sign=False,
            lowercase=False,
        )
        for kind, most in (("char", 4), ("word", 2))
    ))  # fmt: skip
    logistic = SGDClassifier("log_loss", alpha=1e-6, max_iter=8, tol=None, random_state=0)
    known, asked = ([text.decode("latin-1") for text in some] for some in (train, test))
    fitted = make_pipeline(counts, logistic).fit(known, labels)
    found: NDArray[np.float64] = fitted.decision_function(asked)
    return found


def _recounted(folder: str, record: dict[str, Any]) -> dict[str, Any]:
    """A network's entry with what the board says today."""
    name = os.path.basename(os.path.normpath(folder))
    if name not in record["networks"]:
        raise FileError(f"{name}: not in the record yet: leave --recount out")
    found = record["networks"][name]
    with captured_stderr():
        arch, model = resolve_model(folder)
    size, channels = arch.image_size, arch.channels
    trained = read_json(os.path.join(folder, TRAIN_FILE), "a record of a training", FileError)
    data = load_dataset(trained["dataset"], FLAGS.data_dir, image_size=size, channels=channels)
    fused = fused_forms(model, arch, data, TASKS[found["task"]], FLAGS.seed)[1]
    return {**found, "board": {"name": BOARD, **dataclasses.asdict(_on_board(fused))}}


def _untrained(name: str) -> dict[str, Any]:
    """What a network takes, whatever its weights: calibrated on random bytes."""
    with captured_stderr():
        arch, model = resolve_model(name, "random", FLAGS.seed)
    rng = np.random.default_rng(FLAGS.seed)
    shape = (_RANDOM_EXAMPLES, arch.image_size, arch.image_size, arch.channels)
    examples = rng.integers(0, 256, shape).astype(np.uint8)
    plain = quantize(model, arch, arch.normalization.apply(examples), progress=True)
    planned = plan_model(fuse_model(plain).model_bytes)
    return {
        "command": typed_command("benchmarks.tasks"),
        "params": arch.params,
        "macs": arch.macs,
        "arena_bytes": planned.plan.arena_bytes,
        "board": {"name": BOARD, **dataclasses.asdict(_on_board(planned.model_bytes))},
    }


def _body() -> None:
    path = FLAGS.json or str(RECORD)
    expect_writable(path)
    record: dict[str, Any] = {"networks": {}}
    if os.path.exists(path):
        record = read_json(path, "a record of tasks", FileError)
    for folder in FLAGS.trained:
        found = _recounted(folder, record) if FLAGS.recount else _measured(folder)
        name = os.path.basename(os.path.normpath(folder))
        record["networks"][name] = found
        write_json(path, record)
    for name in FLAGS.untrained:
        record.setdefault("untrained", {})[name] = _untrained(name)
        write_json(path, record)
    print(table(record))
    if os.path.realpath(path) == str(RECORD):
        page = PAGE.read_text(encoding="utf-8")
        write_atomic(PAGE, rendered(page, record).encode())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
