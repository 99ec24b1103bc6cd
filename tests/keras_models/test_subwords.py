# SPDX-License-Identifier: Apache-2.0
"""Sub-words: vocabularies, how they cut, the networks that take them, files that carry them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converter.contract import Contract, ContractError, contract_of, stated_by, with_contract
from converter.fuse import fuse_model
from converter.inspect.report import inspect_model
from converter.plan import plan_model
from converter.quantize.ptq import quantize
from converter.runtimes import open_runtime
from converter.tflite import AssociatedFile, parse, serialize
from keras_models.arch import ArchConfig, ArchError
from keras_models.datasets import load_dataset
from keras_models.datasets.made import SPLITS, VOCABULARY_FILE
from keras_models.staged import StagedConfig
from keras_models.stages import ConvStage
from keras_models.tasks import TASKS
from keras_models.text.definitions import TOPICS
from keras_models.text.subwords import (
    MARKS,
    UNKNOWN,
    Vocabulary,
    VocabularyError,
    learn,
    vocabulary_of,
)
from keras_models.training.making import with_unknown
from keras_models.vit import build_vit, random_weights
from tests.commands import run_here

TEXTS = [b"a small herb of the mint family", b"Herbs, minted (caf\xc3\xa9)", b"the smallest mint"]
SMALL = ArchConfig.uniform(
    name="small", image_size=4, channels=2, num_classes=5, patch_size=1, embed_dim=16, depth=1,
    heads=2, head_dim=8, mlp_ratio=2.0, vocabulary=600, rare_from=300, rare_rank=4,
)  # fmt: skip


def vocabulary(*pieces: str) -> Vocabulary:
    return Vocabulary((*MARKS, *pieces))


# ---- texts ---------------------------------------------------------------------------------------


def test_the_longest_piece_is_taken() -> None:
    cut = vocabulary("a", "mint", "mi", "##nt", "##nted", "##s", ",", "##ff").tokens
    assert cut(b"a mint") == [2, 3]
    assert cut(b"MINTS,mints") == [3, 7, 8, 3, 7]
    assert cut(b"minted") == [UNKNOWN]  # mint is the longest, and nothing goes on with ed
    assert cut(b"mixed , a") == [UNKNOWN, 8, 2]
    assert cut(b"mi\x00nt\x7f\ta") == [4, UNKNOWN, 2]
    assert cut(b"a" * 33) == [UNKNOWN]
    assert cut(b"") == []


def test_a_square_of_two_bytes_a_token() -> None:
    many = vocabulary(*(f"w{n}" for n in range(400)))
    square = many.square(b"w0 w300", 2)
    assert square.tolist() == [[[2, 0], [302 - 256, 1]], [[0, 0], [0, 0]]]
    assert many.square(b"w1 " * 9, 2).reshape(4, 2).tolist() == [[3, 0]] * 4


def test_what_is_learnt() -> None:
    found = learn(TEXTS * 3, 80)
    assert found.pieces[:2] == MARKS
    assert len(found.pieces) == len(set(found.pieces)) <= 80
    assert {"the", "mint", "small"} <= set(found.pieces)
    assert UNKNOWN not in [t for text in TEXTS for t in found.tokens(text)]
    assert found.tokens(b"mints \xff")[-1] == UNKNOWN  # a byte that was never seen
    assert learn(TEXTS * 3, 80) == found
    assert vocabulary_of(found.file()) == found
    for pieces in (("a", "a"), ("",), ("##",), ("a b",), ("x" * 33,)):
        with pytest.raises(VocabularyError, match="vocabulary: token"):
            vocabulary(*pieces)
    with pytest.raises(VocabularyError, match="expected 3 to 65536 that begin with"):
        Vocabulary(("a", "b", "c"))
    with pytest.raises(VocabularyError, match="a token for each byte"):
        learn(TEXTS, 10)


def test_words_become_unknown_in_training() -> None:
    rng = np.random.default_rng(0)
    texts = rng.integers(2, 256, (50, 4, 4, 2)).astype(np.uint8)
    texts[:, 2:] = 0  # behind the end
    dropped = with_unknown(texts, 0.3, rng)
    changed = (dropped != texts).any(axis=3)
    assert 0.2 < changed[:, :2].mean() < 0.4
    assert not changed[:, 2:].any()
    assert (dropped[changed] == (UNKNOWN, 0)).all()
    assert with_unknown(texts, 0.0, rng) is texts


# ---- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"rare_from": 0, "rare_rank": 0, "embedding_rank": 3}])
def test_sizes(changes: dict[str, int]) -> None:
    arch = SMALL.replace(**changes)
    assert build_vit(arch).count_params() == arch.params
    assert ArchConfig.from_json(arch.to_json()) == arch


def test_each_token_is_its_row_of_one_of_two_tables() -> None:
    model = random_weights(build_vit(SMALL), 0)
    numbers = {0: (0, 0), 299: (299, 0), 300: (300, 1), 599: (300, 300), 65535: (300, 300)}
    for number, (frequent, rare) in numbers.items():
        pair = np.array([[[number % 256 - 128, number // 256 - 128]]], np.float32)
        found = model.get_layer("numbers")(pair)
        assert int(found[0, 0]) == min(number, 599)
        assert int(model.get_layer("bytes_numbers")(found)[0, 0]) == frequent
        assert int(model.get_layer("rare_numbers")(found)[0, 0]) == rare


def test_what_such_a_network_cannot_have() -> None:
    for field, value in (("channels", 1), ("vocabulary", 70000), ("rare_rank", 0),
                         ("rare_from", 600), ("patch_size", 2)):  # fmt: skip
        with pytest.raises(ArchError, match=field):
            SMALL.replace(**{field: value})


def fused(vocabulary: Vocabulary, seed: int = 0) -> bytes:
    """A small network of random weights, with the vocabulary in its file."""
    arch = SMALL.replace(vocabulary=max(257, len(vocabulary.pieces)), rare_from=100)
    model = random_weights(build_vit(arch), seed)
    ids = np.random.default_rng(seed).integers(0, arch.vocabulary, (8, 16)).astype("<u2")
    squares = ids.view(np.uint8).reshape(8, 4, 4, 2)
    plain = parse(quantize(model, arch, arch.normalization.apply(squares)))
    contract = Contract(
        arch.normalization, class_names=tuple("vwxyz"), task=TASKS["topic"], vocabulary=vocabulary
    )
    plain = serialize(with_contract(plain, contract))
    return plan_model(fuse_model(plain).model_bytes).model_bytes


def test_every_runtime_and_the_file() -> None:
    """Also of numbers that no vocabulary has: all clamp them alike."""
    words = learn(TEXTS * 3, 80)
    content = fused(words)
    rng = np.random.default_rng(1)
    texts = rng.integers(-128, 128, (6, 1, 4, 4, 2)).astype(np.int8)
    texts[3:, ..., 1] = -128  # the numbers below 256
    host, *others = (open_runtime(n, content).run_batch(texts)[0] for n in ("host", "tflm"))
    for other in others:
        np.testing.assert_array_equal(host, other)
    (once,) = open_runtime("reference", content).run(texts[4])
    np.testing.assert_array_equal(host[4], once)
    assert contract_of(content).vocabulary == words
    without = parse(content)
    assert inspect_model(content).constant_bytes > sum(map(len, words.pieces))
    gone = tuple(f for f in without.files if f.name != VOCABULARY_FILE)
    damaged = (*gone, AssociatedFile(VOCABULARY_FILE, b"a\nb\nc\n"))
    for files, message in ((gone, "is not behind the model"), (damaged, "expected 3 to")):
        broken = type(without)(**{**vars(without), "files": files})
        with pytest.raises(ContractError, match=message):
            stated_by(broken)
    with pytest.raises(ContractError, match="vocabulary: got one for 3 channels, expected 2"):
        Contract(vocabulary=words).check(3, (1, 10))


# ---- from end to end -----------------------------------------------------------------------------


def write_nouns(folder: Path) -> None:
    """Definitions of made-up words, a few of which tell the topic."""
    rng = np.random.default_rng(0)
    files = (4, 5, 6, 7, 8, 9, 10, 13, 15, 18, 20, 26, 27)
    rows = []
    for number in range(len(TOPICS) * 60):
        topic = number % len(TOPICS)
        others = rng.permutation([f"filler{n}" for n in range(30)])[:4]
        text = f"any {TOPICS[topic]} kind of {' '.join(others)} number {number}"
        rows.append(f"{number:08} {files[topic]:02} n 01 x 0 000 | {text}; example\n")
    (folder / "data.noun").write_text("".join(rows), encoding="utf-8")


def test_topics_from_definitions_to_every_runtime(tmp_path: Path) -> None:
    write_nouns(tmp_path)
    texts, run, plain, model = (str(tmp_path / n) for n in ("t", "run", "p.tflite", "f.tflite"))
    arch = StagedConfig(
        name="small", image_size=6, channels=2, num_classes=len(TOPICS), vocabulary=8192,
        embed_dim=16, rare_from=300, rare_rank=4, stages=(ConvStage("residual", 16),),
    )  # fmt: skip
    arch.save(tmp_path / "small.json")
    data = ("--dataset=definition_pieces", f"--data_dir={texts}")
    quantize_it = ("converter.quantize", f"--network={run}", *data, f"--out={plain}")
    for words in (
        ("keras_models.cut_texts", "--of=definition_pieces", f"--wordnet={tmp_path}",
         f"--out={texts}"),
        ("keras_models.train", "--task=topic", f"--network={tmp_path}/small.json", *data,
         f"--out={run}", "--jit=off", "--epochs=8", "--batch_size=16", "--set=warmup_epochs=0",
         "--set=learning_rate=0.01", "--set=ema_momentum=0"),
        (*quantize_it, "--calibration_count=8"),
        ("converter.fuse", f"--model={plain}", f"--out={model}"),
        ("converter.evaluate", f"--model={model}", f"--network={run}", *data, "--count=40",
         "--runtime=host,tflm"),
    ):  # fmt: skip
        done = run_here(*words)
        assert done.returncode == 0, done.stderr
    known = vocabulary_of(Path(texts, VOCABULARY_FILE).read_bytes())
    assert contract_of(Path(model).read_bytes()).vocabulary == known
    assert {split: Path(texts, f"{split}.npz").exists() for split in SPLITS} == dict.fromkeys(
        SPLITS, True
    )
    Path(texts, VOCABULARY_FILE).write_bytes(vocabulary("other").file())
    refused = run_here(*quantize_it)
    assert "vocab.txt is another than that of" in refused.stderr
    Path(texts, VOCABULARY_FILE).unlink()
    with pytest.raises(FileNotFoundError, match=VOCABULARY_FILE):
        load_dataset("definition_pieces", texts, image_size=6, channels=2)
