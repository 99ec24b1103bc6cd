# SPDX-License-Identifier: Apache-2.0
"""Questions about pictures: their answers, networks of two inputs, and one from end to end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.task_forms import constant
from benchmarks.tasks import without_pictures
from boards import get_board
from converter.contract import ContractError, contract_of
from converter.evaluate.evaluation import ends_of
from converter.runtimes import open_runtime
from converter.tflite import parse
from firmware.client import Options, run_client
from firmware.errors import FirmwareError
from firmware.model import build_model
from keras_models.arch import ArchConfig, ArchError
from keras_models.datasets import DatasetError, load_dataset
from keras_models.datasets.questions import KEYS
from keras_models.load import resolve_arch
from keras_models.positions import waves
from keras_models.questions.asking import (
    ANSWERS,
    CODE_BYTES,
    COLORS,
    KINDS,
    NONE,
    QUESTIONS,
    answers,
    codes,
    number_of,
    numbers_of_kinds,
)
from keras_models.questions.examples import apart, fed, joined, rows_of
from keras_models.questions.shapes import SIDE, posed, scene
from keras_models.staged import StagedConfig
from keras_models.tasks import TASKS, TaskError, expect_inputs
from keras_models.vit import build_vit, named_weights
from tests.commands import run_here

QUESTION = TASKS["question"]
SMALL = ArchConfig.uniform(
    name="small", image_size=SIDE, num_classes=len(ANSWERS), patch_size=12, embed_dim=16, depth=1,
    heads=2, head_dim=8, mlp_ratio=2.0, pool="cls", question=CODE_BYTES,
)  # fmt: skip


# ---- questions and answers -----------------------------------------------------------------------


def test_answers_by_hand() -> None:
    places = np.array([(10, 10), (20, 10), (40, 10), (10, 40), (22, 30), (40, 41)])
    shapes = np.array([0, 1, 1, 1, 0, 1])
    said = dict(zip(QUESTIONS, answers(places, shapes, 48), strict=True))
    expected = {
        "what shape is red?": "square", "what shape is green?": "circle",
        "is green in the left half?": "yes", "is blue in the left half?": "no",
        "is purple in the upper half?": "no", "is red in the upper half?": "yes",
        "what color is nearest to red?": "green", "what color is nearest to yellow?": "purple",
        "what color is farthest from red?": "yellow", "what color is farthest from blue?": "orange",
        "how many have the shape of red?": "2", "how many have the shape of green?": "4",
    }  # fmt: skip
    assert {question: ANSWERS[said[question]] for question in expected} == expected


def test_pictures_of_fewer_things() -> None:
    """Asked is about what is there only, and what is not there is no answer."""
    said = answers(np.array([(10, 10), (20, 30), (40, 12)]), np.array([0, 1, 0]), 48,
                   np.array([1, 2, 5]))  # fmt: skip
    by = dict(zip(QUESTIONS, said, strict=True))
    expected = {
        "what shape is blue?": "circle", "is green in the left half?": "yes",
        "what color is nearest to yellow?": "blue", "what color is farthest from yellow?": "green",
        "how many have the shape of green?": "2",
    }  # fmt: skip
    assert {question: ANSWERS[by[question]] for question in expected} == expected
    assert {by[question] for question in QUESTIONS if "red" in question} == {NONE}
    assert (said != NONE).sum() == 3 * len(KINDS)
    seen = set()
    for picture, asked, answered in posed(12, 12, (3,), fewest=2):
        there = {int(n) % len(COLORS) for n in asked}
        seen.add(len(there))
        assert (answered != NONE).all()
        for name, ink in (("red", (220, 40, 40)), ("green", (40, 180, 60))):
            shown = (np.abs(picture.astype(int) - ink) < 40).all(axis=-1).sum() > 40
            assert shown or COLORS.index(name) not in there
    assert 2 in seen
    assert max(seen) > 3


def test_codes_and_words() -> None:
    for number, text in enumerate(QUESTIONS):
        code = codes(np.array(number))
        assert code.sum() == 2 * 255
        assert COLORS[int(code[: len(COLORS)].argmax())] in text
        assert number_of(text) == number_of(f"  {text.upper().rstrip('?')} ") == number
    assert len({codes(np.array(n)).tobytes() for n in range(len(QUESTIONS))}) == len(QUESTIONS)
    assert codes(np.zeros((3, 2), int)).shape == (3, 2, CODE_BYTES)
    with pytest.raises(ValueError, match=r"got 'what is love\?', expected one of: what shape is"):
        number_of("what is love?")


def test_pictures_follow_from_the_seed_and_show_what_is_answered() -> None:
    rng = np.random.default_rng(4)
    picture, said = scene(rng)
    again, _ = scene(np.random.default_rng(4))
    np.testing.assert_array_equal(picture, again)
    red = np.argwhere((np.abs(picture.astype(int) - (220, 40, 40)) < 40).all(axis=-1))
    left = ANSWERS[said[QUESTIONS.index("is red in the left half?")]]
    assert left == ("yes" if np.median(red[:, 1]) < SIDE / 2 else "no")
    shape = ANSWERS[said[QUESTIONS.index("what shape is red?")]]
    assert shape == ("square" if len(red) > 70 else "circle")  # 81 pixels, or 57
    for _, asked, answered in posed(3, 12, (1, 2)):
        assert len(set(asked.tolist())) == 12 == len(answered)
    places = numbers_of_kinds(["upper", "left"])
    assert sorted(next(posed(1, 12, (1, 2), places))[1]) == places == list(range(6, 18))


def test_questions_of_some_kinds(tmp_path: Path) -> None:
    assert numbers_of_kinds([]) == list(range(len(QUESTIONS)))
    pose = ("keras_models.pose_questions", f"--out={tmp_path}")
    for words, text in (
        ("--kinds=left,right", "--kinds: got 'right', expected some of shape, left, upper"),
        ("--kinds=left", "--per_picture=8: there are 6 questions: give fewer"),
        ("--fewest=2", "--per_picture=13: there are 12 questions: give fewer"),
    ):
        most = "--per_picture=13" if "fewest" in words else "--per_picture=8"
        assert text in run_here(*pose, most, words).stderr
    assert not list(tmp_path.iterdir())


def test_positions_begin_as_waves() -> None:
    """Which half a token lies in, and what is near it, can be read off them by a linear layer."""
    weights = named_weights(build_vit(SMALL))
    (start,) = (value for name, value in weights.items() if name.endswith("position"))
    np.testing.assert_array_equal(start, waves(4, 16))
    found = waves(6, 48)[0].astype(np.float64)
    grid = np.stack(np.divmod(np.arange(36), 6), axis=1)
    for half in (grid[:, 1] < 3, grid[:, 0] < 3):  # left, upper
        best = np.linalg.lstsq(found, np.where(half, 1.0, -1.0), rcond=None)[0]
        assert (np.sign(found @ best) == np.where(half, 1, -1)).all()
    products = found @ found.T
    apart = np.abs(grid[:, None] - grid[None]).sum(axis=-1)
    means = [products[apart == steps].mean() for steps in range(4)]
    assert means == sorted(means, reverse=True)
    assert waves(1, 7).shape == (1, 1, 7)
    assert not waves(1, 7)[..., 4:].any()


def test_scores_by_hand() -> None:
    colors = len(COLORS)
    targets = np.array([[0, 2], [1, 3], [3 * colors, 4], [5 * colors + 2, 10]])
    outputs = np.zeros((4, len(ANSWERS)))
    outputs[[0, 1, 2, 3], [2, 2, 4, 11]] = 1.0
    scores = QUESTION.scores(outputs, targets)
    assert (scores.right, scores.alone, scores.relational) == (0.5, 0.5, 0.5)
    assert [(k.kind, k.questions, k.right) for k in scores.kinds] == [
        ("shape", 2, 0.5), ("nearest", 1, 1.0), ("count", 1, 0.0),
    ]  # fmt: skip
    assert [cell.text for cell in scores.cells][:2] == ["50.00", "50.00"]


# ---- two inputs as one example -------------------------------------------------------------------


@given(st.integers(1, 5), st.integers(1, 7), st.sampled_from([1, 3]), st.integers(1, 40))
def test_examples_come_apart_again(count: int, side: int, channels: int, code: int) -> None:
    rng = np.random.default_rng(count)
    pictures = rng.integers(0, 256, (count, side, side, channels)).astype(np.uint8)
    asked = rng.integers(0, 256, (count, code)).astype(np.uint8)
    examples = joined(pictures, asked)
    assert examples.shape == (count, side + rows_of(code, side, channels), side, channels)
    parts = apart(examples, ((side, side, channels), (code,)))
    np.testing.assert_array_equal(parts[0], pictures)
    np.testing.assert_array_equal(parts[1], asked)
    assert fed(pictures, ((side, side, channels),)) is pictures


# ---- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["question_48", "question_cnn_48"])
def test_sizes(name: str) -> None:
    arch = resolve_arch(name)
    model = build_vit(arch)
    weights = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert weights == arch.params
    assert [tuple(x.shape[1:]) for x in model.inputs] == list(arch.input_shapes)
    assert type(arch).from_json(arch.to_json()) == arch
    assert "question" not in json.loads(resolve_arch("hybrid_32").to_json())


def test_what_such_a_network_cannot_have() -> None:
    with pytest.raises(ArchError, match="pool: got 'mean', expected \"cls\" with a question"):
        SMALL.replace(pool="mean")
    with pytest.raises(ArchError, match="question: got 12, expected 0 with a vocabulary"):
        SMALL.replace(vocabulary=256, channels=1, patch_size=1)
    staged = resolve_arch("question_cnn_48")
    assert isinstance(staged, StagedConfig)
    with pytest.raises(ArchError, match="hidden: got 0, expected an integer from 1"):
        staged.replace(hidden=0)
    with pytest.raises(ArchError, match="hidden: got 40, expected an integer from 0 to 0"):
        staged.replace(question=0)
    with pytest.raises(ArchError, match="dense: got 2, expected 0 with a question"):
        staged.replace(dense=2)
    with pytest.raises(TaskError, match="'small' takes a picture and a question, task depth"):
        expect_inputs("small", SMALL.input_shapes, TASKS["depth"])
    with pytest.raises(TaskError, match="takes pictures alone, task question needs"):
        expect_inputs("x", ((8, 8, 3),), QUESTION)


# ---- from end to end -----------------------------------------------------------------------------


def test_a_question_from_pictures_to_a_board(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "small.json")
    run, plain, fused, report = (str(tmp_path / n) for n in ("run", "p.tflite", "f.tflite", "e"))
    folder = tmp_path / "questions"
    data, network = f"--data_dir={folder}", f"--network={tmp_path}/small.json"
    train = ("keras_models.train", "--task=question", network, data, f"--out={run}", "--jit=off")
    sizes = ("--train=40", "--validation=10", "--test=10")
    done = run_here("keras_models.pose_questions", f"--out={folder}", *sizes)
    assert done.returncode == 0, done.stderr
    refused = run_here(*train, "--set=flip=true")
    assert "which would change the answers: give --set=flip=false" in refused.stderr
    moving = ("translation", "randaugment_ops", "random_erasing", "mixup", "cutmix")
    others = ("ema_momentum", "warmup_epochs", "drop_path")
    still = [f"--set={name}=0" for name in (*moving, *others)]
    for words in (
        (*train, *still, "--set=flip=false", "--epochs=2", "--batch_size=16"),
        ("converter.quantize", f"--network={run}", data, "--calibration_count=8",
         "--calibration=percentile", f"--out={plain}"),
        ("converter.fuse", f"--model={plain}", f"--out={fused}"),
        ("converter.evaluate", f"--model={fused}", f"--network={run}", data, "--count=24",
         "--runtime=reference,host,tflm", f"--json={report}"),
    ):  # fmt: skip
        done = run_here(*words)
        assert done.returncode == 0, done.stderr
    found = json.loads(Path(report).read_text(encoding="utf-8"))
    assert all(pair["logits_different"] == 0 for pair in found["comparisons"])
    assert found["runtimes"]["host"]["float_sqnr_db"] > 15
    assert {kind["kind"] for kind in found["float"]["kinds"]} <= {kind.name for kind in KINDS}
    refused = run_here("converter.quantize", f"--network={run}", f"--calibration_dir={tmp_path}",
                       f"--out={plain}")  # fmt: skip
    assert "takes pictures and questions, --calibration_dir has pictures alone" in refused.stderr
    streamed = run_here("converter.plan", f"--model={fused}", "--streamed", f"--out={tmp_path}/s")
    assert "streamed input: got 2 inputs, expected one image; plan it as" in streamed.stderr
    model = parse(Path(fused).read_bytes())
    assert [model.graph.tensors[i].shape for i in model.graph.inputs] == [(1, 48, 48, 3), (1, 12)]
    assert contract_of(model).class_names == ANSWERS
    assert ends_of(Path(fused).read_bytes()).question is not None
    _on_a_board(fused, folder, tmp_path)
    unnamed = dataclasses.replace(
        model, metadata=tuple(m for m in model.metadata if m.name != "VitContract")
    )
    with pytest.raises(ContractError, match="got 2 inputs and 1 outputs, expected one image"):
        contract_of(unnamed)


def _on_a_board(fused: str, folder: Path, tmp_path: Path) -> None:
    """The client asks, the board's answer is the host's."""
    elf, images = tmp_path / "firmware.elf", tmp_path / "images.npy"
    build_model(Path(fused).read_bytes(), get_board("stm32f746g_disco"), elf)
    with np.load(folder / "test.npz") as file:
        np.save(images, file[KEYS[0]][:2])
    options = Options(
        port="", baud=115200, elf=str(elf), board="stm32f746g_disco", noise=0.001, seed=0,
        images=[str(images)], count=0, model=fused, timeout=60.0, operators=False, json="",
        question="What color is nearest to blue",
    )  # fmt: skip
    report = run_client(options)
    assert report["mismatches"] == 0
    for row in report["images"]:
        assert row["answer"] == ANSWERS[row["class"]]
    _emulated_alike(fused, images, [row["class"] for row in report["images"]], tmp_path)
    for change, text in (
        ({"question": ""}, "answers questions: give --question"),
        ({"question": "why?"}, "--question: got 'why\\?', expected one of"),
        ({"model": ""}, "--question needs --model"),
    ):
        with pytest.raises(FirmwareError, match=text):
            run_client(dataclasses.replace(options, **change))


def _emulated_alike(fused: str, images: Path, classes: list[int], tmp_path: Path) -> None:
    """The command that builds by itself gives what the client got, and the host's logits."""
    wanted = ("firmware.emulate", f"--model={fused}", f"--images={images}")
    found = tmp_path / "emulated.json"
    done = run_here(*wanted, "--question=what color is nearest to blue?", f"--json={found}")
    assert done.returncode == 0, done.stderr
    said = json.loads(found.read_text(encoding="utf-8"))["images"]
    assert [row["class"] for row in said] == classes
    assert [row["answer"] for row in said] == [ANSWERS[n] for n in classes]
    content = Path(fused).read_bytes()
    ends = ends_of(content)
    contract, end = contract_of(content), ends.question
    assert end is not None
    asked = codes(np.array(number_of("what color is nearest to blue?")))[None]
    code = np.clip(np.round(contract.real(asked) / end.scale) + end.zero_point, -128, 127)
    steps = np.stack([ends.quantize(contract.real(pixels)) for pixels in np.load(images)])
    codes_of_both = np.repeat(code.astype(np.int8), len(steps), axis=0)
    host = open_runtime("host", content)
    (logits,) = host.run_batch(steps[:, None], codes_of_both[:, None])
    assert [row["logits"] for row in said] == logits.reshape(len(steps), -1).tolist()
    # The same as arrays.
    np.save(tmp_path / "steps.npy", steps)
    np.save(tmp_path / "codes.npy", codes_of_both)
    arrays = f"--arrays={tmp_path}/steps.npy,{tmp_path}/codes.npy"
    done = run_here(*wanted[:2], arrays, f"--json={found}")
    assert done.returncode == 0, done.stderr
    told = json.loads(found.read_text(encoding="utf-8"))["images"]
    assert [row["outputs"] for row in told] == [[row["logits"]] for row in said]
    for words, text in (
        (wanted, f"{fused} answers questions: give --question"),
        ((*wanted[:2], "--question=what shape is red?"), "--question is about --images: give them"),
        ((*wanted, arrays), "--arrays goes with --model, and without --images and --question"),
    ):
        assert text in run_here(*words).stderr


# ---- data ----------------------------------------------------------------------------------------


def test_data_that_is_none(tmp_path: Path) -> None:
    good = [next(posed(1, 3, (0,))) for _ in range(4)]
    pictures, asked, said = (np.stack(part) for part in zip(*good, strict=True))

    def load(**changes: np.ndarray) -> None:
        arrays = {**dict(zip(KEYS, (pictures, asked, said), strict=True)), **changes}
        for split in ("train", "validation", "test"):
            np.savez(tmp_path / f"{split}.npz", **arrays)
        load_dataset("shape_questions", str(tmp_path), image_size=SIDE, channels=3)

    load()
    for changes, text in (
        ({"answers": said + np.uint8(len(ANSWERS))}, "answers: labels: got"),
        ({"questions": asked + np.uint8(len(QUESTIONS))}, "questions: labels: got"),
        ({"questions": asked[:, :2]}, r"got \[4, 2\] and \[4, 3\], expected both"),
        ({"answers": said[:3], "questions": asked[:3]}, r"expected \[4, 3, 2\]"),
        ({"pictures": pictures[:, :40]}, r"pictures: got uint8 \[4, 40, 48, 3\]"),
    ):
        with pytest.raises(DatasetError, match=text):
            load(**changes)


def test_baselines(tmp_path: Path) -> None:
    shown = list(posed(30, 12, (0,)))
    for split in ("train", "validation", "test"):
        arrays = (np.stack(part) for part in zip(*shown, strict=True))
        np.savez(tmp_path / f"{split}.npz", **dict(zip(KEYS, arrays, strict=True)))
    data = load_dataset("shape_questions", str(tmp_path), image_size=SIDE, channels=3)
    labels = data.test.labels()
    alone = without_pictures(data.train, data.test, len(ANSWERS))
    most = np.bincount(labels[labels[:, 0] == 7][:, 1]).argmax()
    assert alone[labels[:, 0] == 7].argmax(axis=1).tolist() == [most] * (labels[:, 0] == 7).sum()
    fixed = constant(QUESTION, data.train, (len(ANSWERS),))
    assert QUESTION.scores(alone, labels).right > (labels[:, 1] == fixed.argmax()).mean()
