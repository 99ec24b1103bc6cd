# SPDX-License-Identifier: Apache-2.0
"""Networks of words, sound, questions: an exported project, built by its README, and the client."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converter.contract import Contract, contract_of, quantized, with_contract
from converter.evaluate.evaluation import ends_of
from converter.fuse import fuse_model
from converter.plan import plan_model
from converter.quantize.ptq import quantize
from converter.runtimes import open_runtime
from converter.tflite import parse, serialize
from keras_models.arch import ArchConfig
from keras_models.questions.asking import ANSWERS, CODE_BYTES, codes, number_of
from keras_models.questions.examples import joined
from keras_models.speech.spectrogram import RATE_HZ, ROWS, spectrogram
from keras_models.speech.words import CLASSES
from keras_models.tasks import TASKS
from keras_models.vit import build_vit, random_weights
from tests.commands import run_here
from tests.firmware.test_export import readme_commands, run_commands
from tests.firmware.test_subwords import SIDE, WORDS
from tests.keras_models.test_subwords import fused as words_network

SENTENCE = "Small herbs of the mint family"
EAR = ArchConfig.uniform(
    name="ear", image_size=ROWS, channels=1, num_classes=len(CLASSES), patch_size=8, embed_dim=16,
    depth=1, heads=2, head_dim=8, mlp_ratio=2.0,
)  # fmt: skip
ASKED = "what color is nearest to blue?"
EYE = ArchConfig.uniform(
    name="eye", image_size=16, num_classes=len(ANSWERS), patch_size=4, embed_dim=16, depth=1,
    heads=2, head_dim=8, mlp_ratio=2.0, pool="cls", question=CODE_BYTES,
)  # fmt: skip
# What a network takes: of each input one array of (n, values).
Steps = tuple[np.ndarray, ...]


def spectrograms() -> np.ndarray:
    """Of three tones that rise and become louder; (3, 40, 40, 1), bytes."""
    time = np.arange(RATE_HZ) / RATE_HZ
    tones = (np.sin(2 * np.pi * hz * (1 + time) * time) * time for hz in (200.0, 600.0, 1500.0))
    return np.stack([spectrogram(tone) for tone in tones])


def sound_network() -> bytes:
    """A small network of random weights that takes spectrograms row by row."""
    model = random_weights(build_vit(EAR), 3)
    # Of what it will hear: of noise alone its greatest logit was 127 for every sound.
    plain = parse(quantize(model, EAR, EAR.normalization.apply(spectrograms())))
    contract = Contract(EAR.normalization, class_names=CLASSES, task=TASKS["keywords"])
    fused = fuse_model(serialize(with_contract(plain, contract))).model_bytes
    return plan_model(fused, streamed=True).model_bytes


def question_network() -> bytes:
    """A small network of random weights that takes a picture and a question."""
    model = random_weights(build_vit(EYE), 4)
    numbers = np.arange(8)
    examples = joined(_pictures(len(numbers)), codes(numbers))
    plain = parse(quantize(model, EYE, EYE.normalization.apply(examples)))
    contract = Contract(EYE.normalization, class_names=ANSWERS, task=TASKS["question"])
    fused = fuse_model(serialize(with_contract(plain, contract))).model_bytes
    return plan_model(fused).model_bytes


def _pictures(count: int) -> np.ndarray:
    shape = (count, EYE.image_size, EYE.image_size, 3)
    return np.random.default_rng(count).integers(0, 256, shape).astype(np.uint8)


def _sound(folder: Path) -> tuple[bytes, list[str], Steps]:
    content, sounds = sound_network(), spectrograms()
    np.save(folder / "sounds.npy", sounds)
    steps = ends_of(content).quantize(contract_of(content).real(sounds))
    return content, [f"--images={folder}/sounds.npy"], (steps,)


def _words(folder: Path) -> tuple[bytes, list[str], Steps]:
    del folder
    square = WORDS.square(SENTENCE.encode(), SIDE).astype(np.int16) - 128
    return words_network(WORDS), [f"--sentence={SENTENCE}"], (square.astype(np.int8)[None],)


def _question(folder: Path) -> tuple[bytes, list[str], Steps]:
    content, pictures = question_network(), _pictures(3)
    np.save(folder / "pictures.npy", pictures)
    ends, contract = ends_of(content), contract_of(content)
    assert ends.question is not None
    code = contract.real(codes(np.array(number_of(ASKED))))
    steps = quantized(code, ends.question.scale, ends.question.zero_point)
    given = [f"--images={folder}/pictures.npy", f"--question={ASKED}"]
    asked = np.repeat(steps[None], len(pictures), axis=0)
    return content, given, (ends.quantize(contract.real(pictures)), asked)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every network's project is exported to, one after the other."""
    return tmp_path_factory.mktemp("exported") / "project"


def _export(model: Path, project: Path) -> None:
    """Files equal to the last project's keep their time and its build folder stays, so that the
    kernels are compiled once."""
    last = project.with_name("last")
    if project.exists():
        project.rename(last)
    done = run_here("firmware.export", f"--model={model}", f"--out={project}", "--nocheck")
    assert done.returncode == 0, done.stderr
    if last.exists():
        (last / "build").rename(project / "build")
        for old in (path for path in last.rglob("*") if path.is_file()):
            new = project / old.relative_to(last)
            if new.exists() and new.read_bytes() == old.read_bytes():
                shutil.copystat(old, new)
        shutil.rmtree(last)


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@pytest.mark.parametrize("task", [_words, _sound, _question])
def test_from_an_exported_project_to_the_client(
    tmp_path: Path, place: Path, task: Callable[[Path], tuple[bytes, list[str], Steps]]
) -> None:
    content, given, steps = task(tmp_path)
    model, said = tmp_path / "m.tflite", tmp_path / "said.json"
    model.write_bytes(content)
    _export(model, place)
    run_commands(place, readme_commands(place, "Build"))
    elf = place / "build" / "release" / "vit_firmware.elf"
    done = run_here("firmware.client", f"--elf={elf}", f"--model={model}", *given, f"--json={said}")
    assert done.returncode == 0, done.stderr
    assert "differ from the host runtime: 0 images" in done.stdout
    (logits,) = open_runtime("host", content).run_batch(*(each[:, None] for each in steps))
    logits = logits.reshape(len(logits), -1)
    rows = json.loads(said.read_text(encoding="utf-8"))["images"]
    assert [(row["class"], row["logit"]) for row in rows] == [
        (int(values.argmax()), int(values.max())) for values in logits
    ]
    assert len(np.unique(logits, axis=0)) == len(logits)  # each is something of its own
    names = ANSWERS if task is _question else "vwxyz"
    if task is not _sound:  # the client names what answers a sentence or a question
        assert [row["answer"] for row in rows] == [names[row["class"]] for row in rows]
