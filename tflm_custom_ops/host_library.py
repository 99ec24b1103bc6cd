# SPDX-License-Identifier: Apache-2.0
"""The portable C kernels as a shared library on the host.

:func:`run` runs one operator through the C code that the microcontroller runs (without its DSP
instructions). The library is compiled on first use, cached by the content of its sources, the
compiler and the flags, and loaded with ctypes.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.options import (
    CUSTOM_CODES,
    Attention,
    Gelu,
    LayerNorm,
    LinearOp,
    Mlp,
    Op,
    OpKind,
    PatchEmbed,
    Pool,
    encode,
    kind_of,
    residual_dtype,
)

KERNEL_DIR = Path(__file__).resolve().parent / "kernels"
FLAGS = ("-std=c11", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror")
_NAMES = {
    OpKind.PATCH_EMBED: "patch_embed",
    OpKind.ATTENTION: "attention",
    OpKind.MLP: "mlp",
    OpKind.LAYER_NORM: "layer_norm",
    OpKind.GELU: "gelu",
    OpKind.LINEAR: "linear",
}
PARAMS_BYTES = 4096  # more than any parameter struct has


class HostLibraryError(RuntimeError):
    """The library cannot be compiled, or it refuses an operator; the message says why."""


def kernel_sources(directory: Path = KERNEL_DIR) -> list[Path]:
    """The C files of the kernels. Assembly files are for Arm only."""
    return sorted(directory.glob("*.c"))


def cache_dir() -> Path:
    """``build/host`` of the repository, or the user's cache for an installed package."""
    root = KERNEL_DIR.parents[1]
    if (root / "pyproject.toml").is_file() and os.access(root, os.W_OK):
        return root / "build" / "host"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tflm-vit" / "host"


def _compiler() -> str:
    name = os.environ.get("CC") or "gcc"
    path = shutil.which(name) or shutil.which("cc")
    if path is None:
        raise HostLibraryError(f"C compiler: got no {name!r} in PATH, expected gcc; install gcc")
    return path


@functools.cache
def _machine(compiler: str) -> str:
    """What a -march=native binary depends on, besides its sources."""
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    cpu = ""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text().splitlines()
        cpu = next((x for x in lines if x.lower().startswith(("flags", "features"))), "")
    return f"{platform.machine()}\n{version.stdout}\n{cpu}"


def build(directory: Path = KERNEL_DIR, flags: Sequence[str] = FLAGS) -> Path:
    """Compiles the kernels in ``directory`` unless that was done before; returns the library.

    Raises HostLibraryError with the compiler's message if compilation fails.
    """
    sources = kernel_sources(directory)
    compiler = _compiler()
    digest = hashlib.sha256("\0".join([_machine(compiler), *flags]).encode())
    for path in [*sources, *sorted(directory.glob("*.h"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    library = cache_dir() / f"libvit_{digest.hexdigest()[:24]}.so"
    if library.is_file():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(suffix=".so", dir=library.parent)
    os.close(handle)
    command = [compiler, *flags, "-fPIC", "-shared", f"-I{directory}", "-o", name]
    try:
        done = subprocess.run(
            [*command, *map(str, sources)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise HostLibraryError(f"{compiler} failed on the kernels:\n{done.stderr.strip()}")
        os.replace(name, library)
    finally:
        Path(name).unlink(missing_ok=True)
    return library


def aligned_bytes(size: int, alignment: int = 16) -> np.ndarray:
    """Zeroed uint8 array of ``size`` bytes at a multiple of ``alignment``."""
    memory = np.zeros(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + size]


def output_shape(op: Op, x: np.ndarray) -> tuple[int, ...]:
    """Shape of the operator's output for an input x."""
    if isinstance(op, PatchEmbed):
        return op.tokens, op.embed_dim
    if isinstance(op, LinearOp):
        return op.rows, op.projection.out_features
    if isinstance(op, Gelu):
        return x.shape
    if isinstance(op, LayerNorm) and op.pool is not Pool.NONE:
        return 1, op.embed_dim
    return op.tokens, op.embed_dim


def output_bits(op: Op) -> int:
    """Bits of the operator's output type."""
    if isinstance(op, Attention | Mlp):
        return op.residual.bits
    return op.output_bits if isinstance(op, PatchEmbed) else 8


def input_bits(op: Op) -> int:
    """Bits of the operator's input type."""
    if isinstance(op, Attention | Mlp):
        return op.residual.bits
    return op.input_bits if isinstance(op, LayerNorm) else 8


def input_count(op: Op) -> int | None:
    """Values of the operator's input; None where any number is fine."""
    if isinstance(op, PatchEmbed):
        return op.image_height * op.image_width * op.channels
    if isinstance(op, LinearOp):
        return op.rows * op.projection.in_features
    return None if isinstance(op, Gelu) else op.tokens * op.embed_dim


@dataclasses.dataclass(frozen=True, eq=False)
class Parsed:
    """Parameters as the C parser read them, with the memory that they point into."""

    op: Op
    name: str
    params: np.ndarray
    blob: np.ndarray
    scratch_bytes: int


class HostLibrary:
    """A loaded library of kernels."""

    def __init__(self, path: Path) -> None:
        self._dll = ctypes.CDLL(str(path))
        self._dll.vit_status_message.restype = ctypes.c_char_p
        for name in _NAMES.values():
            if name != "gelu":
                getattr(self._dll, f"vit_{name}_scratch_bytes").restype = ctypes.c_size_t

    def parse_into(
        self, kind: OpKind, options: np.ndarray, blob: np.ndarray, params: np.ndarray
    ) -> tuple[int, str]:
        """Status and message of the C parser for serialized options (all arrays uint8)."""
        status = getattr(self._dll, f"vit_parse_{_NAMES[kind]}")(
            ctypes.c_void_p(options.ctypes.data),
            ctypes.c_size_t(options.nbytes),
            ctypes.c_void_p(blob.ctypes.data),
            ctypes.c_size_t(blob.nbytes),
            ctypes.c_void_p(params.ctypes.data),
        )
        return status, self._dll.vit_status_message(status).decode()

    def parse(self, op: Op) -> Parsed:
        """Serializes an operator and reads it back in C; raises HostLibraryError if refused."""
        options, data = encode(op)
        blob = aligned_bytes(len(data))
        blob[:] = np.frombuffer(data, np.uint8)
        return self.parse_bytes(op, np.frombuffer(options, np.uint8), blob)

    def parse_bytes(self, op: Op, options: np.ndarray, blob: np.ndarray) -> Parsed:
        """The same for an operator whose serialized form is given; blob 4-byte aligned."""
        kind = kind_of(op)
        params = aligned_bytes(PARAMS_BYTES)
        status, message = self.parse_into(kind, options, blob, params)
        if status:
            raise HostLibraryError(f"{CUSTOM_CODES[kind]} options: {message}")
        size = 0
        if kind is not OpKind.GELU:
            function = getattr(self._dll, f"vit_{_NAMES[kind]}_scratch_bytes")
            size = int(function(ctypes.c_void_p(params.ctypes.data)))
        return Parsed(op, _NAMES[kind], params, blob, size)

    def call(self, parsed: Parsed, x: np.ndarray, y: np.ndarray, scratch: np.ndarray) -> None:
        """Runs the kernel on raw buffers: x and y as the operator says, scratch uint8."""
        params, source, result, work = (
            ctypes.c_void_p(a.ctypes.data) for a in (parsed.params, x, y, scratch)
        )
        function = getattr(self._dll, f"vit_{parsed.name}")
        if parsed.name == "gelu":
            function(params, source, result, ctypes.c_size_t(x.size))
        else:
            function(params, source, result, work)

    def embed_strips(self, parsed: Parsed, image: np.ndarray) -> np.ndarray:
        """Patch embedding in pieces, each strip from a copy of its own rows only."""
        op = parsed.op
        assert isinstance(op, PatchEmbed)
        image = np.ascontiguousarray(image, np.int8)
        image = image.reshape(op.image_height, op.image_width, op.channels)
        tokens = np.zeros((op.tokens, op.embed_dim), residual_dtype(op.output_bits))
        params, out = (ctypes.c_void_p(a.ctypes.data) for a in (parsed.params, tokens))
        self._dll.vit_patch_embed_begin(params, out)
        for strip in range(op.grid_height):
            top = strip * op.stride_y - op.pad_top
            rows = image[max(0, top) : top + op.patch_height].copy()
            work = aligned_bytes(parsed.scratch_bytes)
            self._dll.vit_patch_embed_strip(
                params,
                ctypes.c_int32(strip),
                ctypes.c_void_p(rows.ctypes.data),
                out,
                ctypes.c_void_p(work.ctypes.data),
            )
        return tokens

    def run(self, op: Op, x: ArrayLike) -> np.ndarray:
        """Runs an operator: the result that :func:`tflm_custom_ops.reference.run` defines.

        Raises ValueError for an input of another type or size.
        """
        dtype = residual_dtype(input_bits(op))
        x = np.ascontiguousarray(x)
        count = input_count(op)
        if x.dtype != dtype or (count is not None and x.size != count):
            raise ValueError(
                f"input: got {x.dtype} with {x.size} values, expected {dtype.__name__} with "
                f"{'any number of' if count is None else count} values"
            )
        parsed = self.parse(op)
        y = np.zeros(output_shape(op, x), residual_dtype(output_bits(op)))
        self.call(parsed, x, y, aligned_bytes(parsed.scratch_bytes))
        return y


@functools.cache
def library() -> HostLibrary:
    """The kernels of this package, compiled for this machine."""
    return HostLibrary(build())


def run(op: Op, x: ArrayLike) -> np.ndarray:
    """Runs an operator through the C kernels on the host."""
    return library().run(op, x)
