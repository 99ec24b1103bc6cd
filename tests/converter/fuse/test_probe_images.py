# SPDX-License-Identifier: Apache-2.0
"""`fuse --images`: what is fused is checked on them, scaled as the file or the flags say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converter.contract import Contract, ContractError, Stated, with_contract
from converter.fuse import __main__ as command
from converter.fuse import fuse_model
from converter.fuse.probe_images import probe_images
from converter.tflite import TfliteError, parse, serialize
from keras_models.datasets.normalization import Normalization
from tests.converter.fuse.gate.networks import PATCHES, network
from tests.converter.fuse.plain_graph import PlainGraph

UNIT = Normalization((0.0,), (60.0,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (PATCHES.size, PATCHES.size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    return tmp_path


def test_images_become_the_network_s_input(folder: Path) -> None:
    content = serialize(with_contract(parse(network()), Contract(UNIT)))
    probes = probe_images(content, [str(folder)], Stated())
    graph = parse(content).graph
    x = graph.tensors[graph.inputs[0]]
    assert [[p.shape for p in probe] for probe in probes] == [[x.shape]] * 3
    first = np.asarray(Image.open(folder / "0.png"), np.float64) / 60.0
    wanted = np.clip(np.rint(first / x.scale) + x.zero_point, -128, 127)
    found = [np.abs(p[0][0] - wanted).max() for p in probes]
    assert min(found) <= 1  # ties
    assert fuse_model(content, probes=probes).report.not_fused == ()


def test_without_a_contract_the_flags_of_the_line_are_asked_for(folder: Path) -> None:
    with pytest.raises(ContractError, match="give --mean and --std"):
        probe_images(network(), [str(folder)], Stated())
    assert len(probe_images(network(), [str(folder / "0.png")], Stated(UNIT))) == 1


def test_other_inputs_are_refused(folder: Path) -> None:
    g = PlainGraph(np.random.default_rng(0))
    rows = g.linear(g.input(g.rng.normal(0, 1, (1, 4, 6))), 3)
    with pytest.raises(TfliteError, match="leave --images out"):
        probe_images(g.finish(rows), [str(folder)], Stated(UNIT))


def test_the_command_hands_them_to_the_gate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def fuse(content: bytes, bits: int, signature: str | None, probes: Any) -> Any:
        seen.append(probes)
        return fuse_model(content, bits, signature, probes)

    monkeypatch.setattr(command, "fuse_model", fuse)
    (folder / "plain.tflite").write_bytes(network())
    files = [f"--model={folder / 'plain.tflite'}", f"--out={folder / 'fused.tflite'}"]
    command.main([*files, f"--images={folder}", "--mean=0", "--std=60"])
    command.main(files)
    assert len(seen[0]) == 3
    assert seen[1] is None
