# SPDX-License-Identifier: Apache-2.0
"""Building and loading the host library, and refusing bad input."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.tflm_custom_ops import generators
from tflm_custom_ops import host_library
from tflm_custom_ops.host_library import HostLibraryError
from tflm_custom_ops.ops import run_reference
from toolchain import VARIABLE


def test_build_is_cached() -> None:
    first = host_library.build()
    time = first.stat().st_mtime_ns
    assert host_library.build() == first
    assert first.stat().st_mtime_ns == time
    assert host_library.build(flags=("-std=c11", "-O1")) != first


def test_compiler_errors_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "broken.c").write_text("int f(void) { return undeclared; }\n")
    with pytest.raises(HostLibraryError, match="undeclared"):
        host_library.build(tmp_path)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(HostLibraryError, match="install gcc"):
        host_library.build()


def test_input_of_another_type_or_size() -> None:
    rng = np.random.default_rng(1)
    op = generators.mlp(rng, tokens=3, embed_dim=4, bits=8)
    with pytest.raises(ValueError, match="got int16 with 12 values, expected int8 with 12"):
        host_library.run(op, np.zeros((3, 4), np.int16))
    with pytest.raises(ValueError, match="got int8 with 16 values, expected int8 with 12"):
        host_library.run(op, np.zeros((4, 4), np.int8))


def test_parser_refuses_with_a_reason() -> None:
    op = generators.mlp(np.random.default_rng(1), tokens=3, embed_dim=4, hidden_dim=8)
    with pytest.raises(HostLibraryError, match="dimension or tile"):
        host_library.run(dataclasses.replace(op, token_tile=0), np.zeros(12, np.int8))
    with pytest.raises(HostLibraryError, match="dimension or tile"):
        host_library.library().parse(dataclasses.replace(op, hidden_tile=3))
    residual = dataclasses.replace(op.residual, bits=8, shift=40)
    with pytest.raises(HostLibraryError, match="out of range"):
        host_library.library().parse(dataclasses.replace(op, residual=residual))


def test_shared_layer_must_be_the_same() -> None:
    rng = np.random.default_rng(4)
    op = generators.attention(rng, tokens=5, embed_dim=6, heads=2, head_dim=4, rank=3, bits=8)
    shared = dataclasses.replace(op, shared_down=True, v=dataclasses.replace(op.v, down=op.k.down))
    x = generators.random_input(shared, rng)
    assert np.array_equal(host_library.run(shared, x), run_reference(shared, x))
    assert shared.k.down is not None
    down = dataclasses.replace(shared.k.down, bias=shared.k.down.bias + 1)
    different = dataclasses.replace(shared, v=dataclasses.replace(shared.v, down=down))
    with pytest.raises(HostLibraryError, match="out of range"):
        host_library.library().parse(different)
