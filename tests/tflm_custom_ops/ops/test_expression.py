# SPDX-License-Identifier: Apache-2.0
"""An expression has one value, in Python and in C."""

import ctypes
import subprocess

import numpy as np
import pytest

from tflm_custom_ops.ops.schema.expression import evaluate, names, to_c

TEXTS = (
    "a * b <= c",
    "(a - 1) * b - c < 8192",
    "(a + 1) // 2 * 2",
    "-(1 << (d - 1))",
    "a * b * d + c",
    "a if c > 40 else -b",
    "not c or (a > 3 and b == 7)",
    "c == 1 or c == a",
    "(a + 1) // 2 * ((b + 1) // 2 * 2)",
    "a % 2 == 0 or a != b",
    "3 * (a if d > 8 else b)",
)


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expressions")
    arguments = ", ".join(f"int32_t {name}" for name in "abcd")
    functions = [
        f"int64_t f{i}({arguments}) {{ (void)a, (void)b, (void)c, (void)d; return "
        f"{to_c(text, lambda path: path[0])}; }}"
        for i, text in enumerate(TEXTS)
    ]
    (folder / "f.c").write_text("#include <stdint.h>\n" + "\n".join(functions))
    command = ["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined",
               "-fno-sanitize-recover=all", "-o", "f.so", "f.c"]  # fmt: skip
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "f.so"))


@pytest.mark.parametrize("text", TEXTS)
def test_c_and_python_agree(text, in_c):
    rng = np.random.default_rng(len(text))
    function = getattr(in_c, f"f{TEXTS.index(text)}")
    function.restype = ctypes.c_int64
    for _ in range(300):
        high = int(rng.choice([4, 50, 1 << 20]))
        a, b, c = (int(v) for v in rng.integers(0, high, 3))
        d = int(rng.integers(1, 32))
        assert function(a, b, c, d) == evaluate(text, {"a": a, "b": b, "c": c, "d": d})


def test_names_are_found_once():
    assert names("q.up.out_min >= -127 or heads * heads == heads") == ("q.up.out_min", "heads")


@pytest.mark.parametrize("text", ["a / b", "f(a)", "a ** 2", "'x'", "a < b < c"])
def test_what_c_has_not_is_refused(text):
    with pytest.raises(ValueError, match="has no meaning in C"):
        evaluate(text, {"a": 1, "b": 2, "c": 3})
    with pytest.raises(ValueError, match="has no meaning in C"):
        to_c(text, lambda path: path[0])


@pytest.mark.parametrize("text", ["a * a * a * a * a", "1 << b"])
def test_more_than_64_bits_is_an_error(text):
    with pytest.raises((OverflowError, ValueError)):
        evaluate(text, {"a": 1 << 30, "b": 63})
