# SPDX-License-Identifier: Apache-2.0
"""What a training computes in: float32, or bfloat16 where the processor has it.

With bfloat16, weights, optimizer, normalizations' statistics, softmax and logits stay float32
(Keras' policy `mixed_bfloat16`); matrix products and convolutions are bfloat16.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator

PRECISIONS = ("float32", "bfloat16")

_CPUINFO = "/proc/cpuinfo"
# Flags of x86 (AVX-512 and AMX) and features of Arm, as Linux names them.
_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16", "svebf16"})


class PrecisionError(ValueError):
    """This machine does not compute in what was asked for."""


def has_bfloat16(cpuinfo: str) -> bool:
    """Whether a processor has bfloat16 instructions, by the text of Linux' /proc/cpuinfo."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    words = (text.split() for key, _, text in lines if key.strip() in ("flags", "Features"))
    return any(_FEATURES & set(each) for each in words)


def expect_precision(name: str) -> None:
    """Refuses bfloat16 where it would be emulated: slower than float32, and no more exact.

    Raises:
      PrecisionError: neither the processor nor an accelerator of Keras' backend has it.
    """
    if name == "float32" or accelerated():
        return
    try:
        with open(_CPUINFO, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        text = ""
    if not has_bfloat16(text):
        raise PrecisionError(
            f"--precision={name}: this {platform.machine()} processor has no bfloat16 instructions "
            f"({', '.join(sorted(_FEATURES))}); leave the flag out"
        )


def accelerated() -> bool:
    """Whether Keras' backend has something else than a CPU."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return bool(jax.default_backend() != "cpu")
    if backend == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    return False


@contextlib.contextmanager
def computing_in(name: str) -> Iterator[None]:
    """Layers that are made within compute in this precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if name == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
