# SPDX-License-Identifier: Apache-2.0
"""Sub-words on a board: its C cuts as the definition does, and it says the host's logits."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boards import get_board
from converter.compile.pieces import TEXT_CODE_BYTES, piece_defines, pieces_bytes, pieces_text
from converter.contract import contract_of
from converter.runtimes import open_runtime
from firmware.connection import Connection, RequestError
from firmware.emulator.emulator import Emulator
from firmware.emulator.serial_line import EmulatedSerial
from firmware.model import build_model
from firmware.transports import NoisyTransport
from keras_models.text.subwords import Vocabulary, learn
from tests.commands import run_here
from tests.keras_models.test_subwords import TEXTS, fused
from toolchain.compilers import host_c

SOURCES = Path(__file__).resolve().parents[2] / "firmware" / "src"
BOARD = "stm32f746g_disco"
SIDE = 4
WORDS = learn(TEXTS * 3, 80)

_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "app/subwords.h"
int main(void) {
  const Subwords subwords = {vit_model_piece_text, vit_model_piece_ends, vit_model_piece_numbers,
                             VIT_MODEL_FIRST_PIECES, VIT_MODEL_PIECES, VIT_MODEL_LONGEST_PIECE,
                             VIT_MODEL_LONGEST_WORD};
  uint32_t head[2];
  while (fread(head, 4, 2, stdin) == 2) {
    uint8_t* text = malloc(head[0]);  // no byte more, so that a sanitizer sees what is beyond
    int8_t* tokens = malloc(2 * head[1]);
    if (fread(text, 1, head[0], stdin) != head[0]) return 1;
    subwords_cut(&subwords, text, head[0], tokens, head[1]);
    fwrite(tokens, 2, head[1], stdout);
    free(text);
    free(tokens);
  }
  return 0;
}
"""


@pytest.fixture(scope="module")
def cutter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("subwords")
    defines = "\n".join(f"#define VIT_MODEL_{name} {value}" for name, value in piece_defines(WORDS))
    source = folder / "main.c"
    source.write_text(f"#include <stdint.h>\n{defines}\n{pieces_text(WORDS)}{_MAIN}", "utf-8")
    path = folder / "cutter"
    subprocess.run(
        [host_c().path, "-std=c11", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror",
         "-fsanitize=address,undefined", "-fno-sanitize-recover", f"-I{SOURCES}", str(source),
         str(SOURCES / "app" / "subwords.c"), "-o", str(path)],
        check=True,
    )  # fmt: skip
    return path


def cut_by_c(cutter: Path, texts: list[bytes], limit: int) -> np.ndarray:
    sent = b"".join(struct.pack("<II", len(text), limit) + text for text in texts)
    done = subprocess.run([cutter], input=sent, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.int8).reshape(len(texts), limit, 2)


_PARTS = st.sampled_from(
    [b"mint", b"herb", b"small", b"the", b"s", b"est", b" ", b"  ", b",", b"(", b"\x00", b"\xc3",
     b"\xa9", b"\xff", b"X", b"MINT", b"z" * 31, b"a" * 40, b"7", b"\x7f", b"##s"]
)  # fmt: skip


@settings(max_examples=25)
@given(st.lists(st.lists(_PARTS | st.binary(max_size=3), max_size=14), min_size=1, max_size=40))
def test_c_cuts_as_the_definition(cutter: Path, parts: list[list[bytes]]) -> None:
    texts = [b"".join(some) for some in parts]
    found = cut_by_c(cutter, texts, SIDE**2)
    for text, tokens in zip(texts, found, strict=True):
        expected = WORDS.square(text, SIDE).reshape(-1, 2).astype(np.int16) - 128
        np.testing.assert_array_equal(tokens, expected, err_msg=repr(text))


def board_of(content: bytes, folder: Path) -> tuple[Emulator, Path]:
    elf = folder / "f.elf"
    build_model(content, get_board(BOARD), elf)
    return Emulator(get_board(BOARD), elf), elf


def host_logits(content: bytes, words: Vocabulary, text: bytes) -> list[int]:
    steps = (words.square(text, SIDE).astype(np.int16) - 128).astype(np.int8)
    (logits,) = open_runtime("host", content).run(steps[None])
    return [int(n) for n in logits.ravel()]


def test_a_board_takes_texts(tmp_path: Path) -> None:
    content = fused(WORDS)
    emulator, elf = board_of(content, tmp_path)
    line = EmulatedSerial(emulator)
    connection = Connection(line)
    row_bytes = connection.info().model.row_bytes
    texts = [b"a small herb", b"", b"Mints of the family, and mint and mint" * 3, b"\xff"]
    said = [connection.classify_text(text, row_bytes) for text in texts]
    for text, result in zip(texts, said, strict=True):
        assert result.logits.tolist() == host_logits(content, WORDS, text)
    assert len({tuple(result.logits.tolist()) for result in said}) > 2
    noisy = Connection(NoisyTransport(line, 0, 0.004), attempts=60)
    again = noisy.classify_text(texts[2], row_bytes)
    assert again.logits.tolist() == said[2].logits.tolist()
    with pytest.raises(RequestError, match="bad_length"):
        connection.classify_text(b"a" * 30000, row_bytes)
    # Numbers, as before, and after a text that has not ended.
    rows = (WORDS.square(texts[0], SIDE).astype(np.int16) - 128).astype(np.int8)
    assert connection.classify(rows).logits.tolist() == said[0].logits.tolist()
    model = tmp_path / "m.tflite"
    model.write_bytes(content)
    client = ("firmware.client", f"--elf={elf}", f"--model={model}")
    done = run_here(*client, "--sentence=a small herb")
    assert done.returncode == 0, done.stderr
    best = "vwxyz"[int(np.argmax(said[0].logits))]
    assert f"a small herb:  {best}" in done.stdout
    assert "logits that differ from the host runtime: 0 images" in done.stdout
    both = run_here(*client, "--sentence=a", f"--images={model}")
    assert "give either --images or --sentence" in both.stderr


def test_flash_is_counted(tmp_path: Path) -> None:
    """Within what a linker aligns: the tables, and the code that cuts."""
    content = fused(WORDS)
    with_pieces, _ = board_of(content, tmp_path)
    known = contract_of(content).vocabulary
    assert known is not None
    used = with_pieces.memory_use().flash_bytes
    more = fused(learn(TEXTS * 3, 60))
    fewer, _ = board_of(more, tmp_path)
    other = contract_of(more).vocabulary
    assert other is not None
    counted = pieces_bytes(known) - pieces_bytes(other)
    assert abs(used - fewer.memory_use().flash_bytes - counted) <= 16
    assert pieces_bytes(other) > TEXT_CODE_BYTES
