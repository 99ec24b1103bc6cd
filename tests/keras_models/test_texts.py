# SPDX-License-Identifier: Apache-2.0
"""Texts of bytes: how they are cut, the networks that take them, and one from end to end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from converter.contract import contract_of
from converter.evaluate.evaluation import ends_of
from converter.runtimes import open_runtime
from converter.tflite import parse
from keras_models.arch import ArchConfig, ArchError
from keras_models.datasets import load_dataset
from keras_models.load import resolve_arch
from keras_models.text.definitions import TOPICS, definitions
from keras_models.text.manpages import LANGUAGES, is_text, paragraphs
from keras_models.text.pieces import as_square, split_of, window
from keras_models.vit import build_vit, random_weights
from tests.commands import run_here

SMALL = ArchConfig.uniform(
    name="small", image_size=6, channels=1, num_classes=12, patch_size=1, embed_dim=16, depth=1,
    heads=2, head_dim=8, mlp_ratio=2.0, vocabulary=256, embedding_rank=4,
)  # fmt: skip


# ---- texts ---------------------------------------------------------------------------------------


def test_pieces() -> None:
    square = as_square(b"abcde", 2)
    assert square[..., 0].tolist() == [[97, 98], [99, 100]]
    assert as_square(b"a", 2).ravel().tolist() == [97, 0, 0, 0]
    rng = np.random.default_rng(0)
    text = "über den Wörtern größer".encode()
    for _ in range(50):
        piece = window(text, 10, rng)
        assert len(piece) <= 10
        start = text.index(piece)
        assert start == 0 or text[start - 1 : start] == b" "
        piece.decode()  # whole characters
    splits = [split_of(f"page{n}") for n in range(400)]
    assert {s: splits.count(s) for s in set(splits)}.keys() == {"train", "validation", "test"}
    assert 20 < splits.count("test") < 60


def test_paragraphs_of_a_page() -> None:
    page = """.TH LS 1
.SH NAME
ls \\- list "directory" contents
.SH DESCRIPTION
List
.B all
information about \\fIFILE\\fP\\(aqs
.BR ls (1)
.EX
code
.EE
end.
.PP
Next\\~one
"""
    assert list(paragraphs(page)) == [
        'ls - list "directory" contents',
        "List all information about FILE's ls(1) end.",
        "Next one",
    ]
    english = (
        "the file is read if it is not the end of that which was written to the disk before " * 2
    )
    assert is_text(english, "en")
    assert not is_text(english, "de")  # left untranslated
    assert not is_text(english[:90], "en")
    assert not is_text("1234567890 " * 20, "en")


def test_definitions() -> None:
    lines = [
        "  1 This software and database is being provided to you\n",
        "00001740 05 n 01 dog 0 000 | a domesticated animal that barks; 'a good dog'\n",
        "00001741 99 n 01 x 0 000 | of a file that is not among the topics\n",
        "00001742 20 n 01 elm 0 000 | short\n",
    ]
    expected = [("a domesticated animal that barks", TOPICS.index("animal"))]
    assert list(definitions(iter(lines))) == expected


def test_a_split_without_texts_is_refused(tmp_path: Path) -> None:
    nouns = "".join(
        f"{n:08} {n % 30:02} n 01 x 0 000 | a definition that is long enough, number {n}\n"
        for n in range(60)
    )
    (tmp_path / "data.noun").write_text(nouns, encoding="utf-8")
    cut = ("keras_models.cut_texts", "--of=definitions", f"--wordnet={tmp_path}")
    done = run_here(*cut, f"--out={tmp_path}/texts")
    assert done.returncode == 1
    assert f"{tmp_path}: no text of " in done.stderr
    assert not (tmp_path / "texts").exists()


# ---- networks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("after", [False, True])
def test_sizes(rank: int, after: bool) -> None:
    arch = SMALL.replace(embedding_rank=rank, norm_after=after)
    model = build_vit(arch)
    assert model.count_params() == arch.params
    assert ArchConfig.from_json(arch.to_json()) == arch
    names = [layer.name for layer in model.layers]
    assert ("norm" in names) is not after
    first, joined = (names.index(f"block0_{n}") for n in ("norm1", "add1"))
    assert (first > joined) is after


def test_each_byte_is_its_row_of_the_table() -> None:
    model = random_weights(build_vit(SMALL.replace(embedding_rank=0)), 0)
    table = model.get_layer("bytes").get_weights()[0]
    numbers = model.get_layer("numbers")(np.array([[-128.0, 0.0, 127.0]], np.float32))
    assert np.asarray(numbers).tolist() == [[0, 128, 255]]
    assert table.shape == (256, 16)


def test_what_a_text_network_cannot_have() -> None:
    for field, value in (("channels", 3), ("patch_size", 2), ("dense", 2), ("vocabulary", 100)):
        with pytest.raises(ArchError, match=field):
            SMALL.replace(**{field: value})
    with pytest.raises(ArchError, match="embedding_rank: got 4, expected 0 without a vocabulary"):
        SMALL.replace(vocabulary=0)
    assert "vocabulary" not in json.loads(resolve_arch("test_tiny").to_json())


# ---- from end to end -----------------------------------------------------------------------------


def write_pages(folder: Path) -> None:
    """Pages of twelve made-up languages, each of words of its own letters."""
    rng = np.random.default_rng(0)
    for number, language in enumerate(LANGUAGES):
        letters = [chr(ord("a") + (2 * number + n) % 26) for n in range(3)] + ["ß"]
        below = folder.joinpath(*(() if language == "en" else (language,)), "man1")
        below.mkdir(parents=True)
        for page in range(12):
            text = "\n.PP\n".join(
                " ".join("".join(rng.choice(letters, 5)) for _ in range(24)) for _ in range(4)
            )
            with gzip.open(below / f"p{page}.1.gz", "wb") as file:
                file.write(f".SH X\n{text}\n.PP\n".encode())


def test_language_from_pages_to_every_runtime(tmp_path: Path) -> None:
    SMALL.save(tmp_path / "small.json")
    run, plain, fused, report = (str(tmp_path / n) for n in ("run", "p.tflite", "f.tflite", "e"))
    cut = ("keras_models.cut_texts", f"--manpages={tmp_path}/man", f"--out={tmp_path}/texts")
    assert "no pages in en; install Debian's manpages-dev" in run_here(*cut).stderr
    write_pages(tmp_path / "man")
    data, network = f"--data_dir={tmp_path}/texts", f"--network={tmp_path}/small.json"
    train = ("keras_models.train", "--task=language", network, data, f"--out={run}", "--jit=off")
    done = run_here(*cut, "--each=40")
    assert done.returncode == 0, done.stderr
    assert (
        load_dataset("page_languages", str(tmp_path / "texts"), image_size=6, channels=1)
        .train.batches(4)
        .__next__()[0]
        .min()
        >= -128
    )
    refused = run_here(*train, "--set=flip=true")
    assert "which would change the text's bytes: give --set=flip=false" in refused.stderr
    other = run_here("keras_models.train", "--dataset=digits", network, f"--out={run}")
    assert "'small' takes texts, --dataset=digits has pictures" in other.stderr
    moving = ("translation", "randaugment_ops", "random_erasing", "mixup", "cutmix")
    others = ("ema_momentum", "warmup_epochs", "drop_path")
    still = [f"--set={name}=0" for name in (*moving, *others)]
    for words in (
        (*train, *still, "--set=flip=false", "--epochs=6", "--batch_size=8",
         "--set=learning_rate=0.01"),
        ("converter.quantize", f"--network={run}", data, "--calibration_count=8", f"--out={plain}"),
        ("converter.fuse", f"--model={plain}", f"--out={fused}"),
        ("converter.evaluate", f"--model={fused}", f"--network={run}", data, "--count=20",
         "--runtime=reference,host,tflm", f"--json={report}"),
    ):  # fmt: skip
        done = run_here(*words)
        assert done.returncode == 0, done.stderr
    found = json.loads(Path(report).read_text(encoding="utf-8"))
    assert all(pair["logits_different"] == 0 for pair in found["comparisons"])
    assert found["float"]["top1"] > 0.5  # of 12: letters alone tell
    assert abs(found["runtimes"]["host"]["top1"] - found["float"]["top1"]) <= 0.1
    content = Path(fused).read_bytes()
    ends, model = ends_of(content), parse(content)
    assert (ends.input_scale, ends.input_zero_point) == (1.0, 0)
    assert contract_of(model).task.name == "language"
    assert [op.name for op in model.graph.operators].count("DEQUANTIZE") == 0
    every = np.arange(-128, 128).astype(np.int8)
    for start in (0, 110, 220):
        text = every[start : start + 36].reshape(1, 6, 6, 1)
        (a,), (b,) = (open_runtime(name, content).run(text) for name in ("host", "tflm"))
        np.testing.assert_array_equal(a, b)
