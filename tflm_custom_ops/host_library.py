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
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from tflm_custom_ops.ops import BY_KIND, OPERATORS, Params, Status, encode, operator_of
from tflm_custom_ops.sources import KERNELS, kernel_files
from toolchain import Compiler, cached, compiled, digest, host_c, processor, raised_as, run_tool

FLAGS = ("-std=c11", "-O3", "-march=native", "-Wall", "-Wextra", "-Werror")
KIND = "kernels"  # in the cache
PARAMS_BYTES = 4096  # more than any parameter struct has


class HostLibraryError(RuntimeError):
    """The library cannot be compiled, or it refuses an operator; the message says why."""


def kernel_sources() -> list[Path]:
    """The C files of the kernels. Assembly files are for Arm only."""
    return kernel_files(".c")


def objects(
    compiler: Compiler,
    flags: Sequence[str],
    sources: Sequence[Path],
    directory: Path | None = None,
) -> list[Path]:
    """Position-independent objects of kernels, compiled unless that was done before.

    Args:
      directory: where the sources and all headers are; None for the package's own.

    Raises ToolchainError with the compiler's message if compilation fails.
    """
    headers = kernel_files(".h") if directory is None else sorted(directory.glob("*.h"))
    folders = sorted({path.parent for path in (*sources, *headers)})
    places = [f"-I{directory or KERNELS}"]
    places += [f"-ffile-prefix-map={folder}=kernels" for folder in folders]
    made_with = [*flags, "-fPIC"]
    return compiled(KIND, compiler, made_with, sources, headers, places=places, seen=[processor()])


def build(directory: Path | None = None, flags: Sequence[str] = FLAGS) -> Path:
    """Compiles the kernels unless that was done before; returns the library.

    Args:
      directory: a copy of all kernel files; None takes the package's own.

    Raises HostLibraryError with the compiler's message if compilation fails.
    """
    sources = kernel_sources() if directory is None else sorted(directory.glob("*.c"))
    with raised_as(lambda error: HostLibraryError(str(error))):
        compiler = host_c()
        made = objects(compiler, flags, sources, directory)
        key = digest(compiler.version, " ".join(flags), *(path.read_bytes() for path in made))

        def link_into(work: Path) -> Path:
            library = work / "library.so"
            command = [compiler.path, *flags, "-fPIC", "-shared", "-o", str(library)]
            run_tool([*command, *map(str, made)], "linking the kernels")
            return library

        return cached(KIND, "libvit", ".so", key, link_into)


def aligned_bytes(size: int, alignment: int = 16) -> np.ndarray:
    """Zeroed uint8 array of ``size`` bytes at a multiple of ``alignment``."""
    memory = np.zeros(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + size]


@dataclasses.dataclass(frozen=True, eq=False)
class Parsed:
    """Parameters as the C parser read them, with the memory that they point into."""

    op: Params
    params: np.ndarray
    blob: np.ndarray
    scratch_bytes: int


class HostLibrary:
    """A loaded library of kernels."""

    def __init__(self, path: Path) -> None:
        self._dll = ctypes.CDLL(str(path))
        self._dll.vit_status_message.restype = ctypes.c_char_p
        for operator in OPERATORS:
            if operator.HAS_SCRATCH:
                scratch_bytes = getattr(self._dll, f"vit_{operator.NAME}_scratch_bytes")
                scratch_bytes.restype = ctypes.c_size_t

    def parse_into(
        self, kind: int, options: np.ndarray, blob: np.ndarray, params: np.ndarray
    ) -> tuple[int, str]:
        """Status and message of the C parser for serialized options (all arrays uint8)."""
        status = getattr(self._dll, f"vit_parse_{BY_KIND[kind].NAME}")(
            ctypes.c_void_p(options.ctypes.data),
            ctypes.c_size_t(options.nbytes),
            ctypes.c_void_p(blob.ctypes.data),
            ctypes.c_size_t(blob.nbytes),
            ctypes.c_void_p(params.ctypes.data),
        )
        return status, self._dll.vit_status_message(status).decode()

    def parse(self, op: Params) -> Parsed:
        """Serializes an operator and reads it back in C; raises HostLibraryError if refused."""
        options, data = encode(op)
        blob = aligned_bytes(len(data))
        blob[:] = np.frombuffer(data, np.uint8)
        return self.parse_bytes(op, np.frombuffer(options, np.uint8), blob)

    def parse_bytes(self, op: Params, options: np.ndarray, blob: np.ndarray) -> Parsed:
        """The same for an operator whose serialized form is given; blob 4-byte aligned."""
        operator = operator_of(op)
        params = aligned_bytes(PARAMS_BYTES)
        status, message = self.parse_into(operator.KIND, options, blob, params)
        if status:
            raise HostLibraryError(f"{operator.CODE} options: {message}")
        size = 0
        if operator.HAS_SCRATCH:
            function = getattr(self._dll, f"vit_{operator.NAME}_scratch_bytes")
            size = int(function(ctypes.c_void_p(params.ctypes.data)))
        return Parsed(op, params, blob, size)

    def check_sums(self, parsed: Parsed) -> Status:
        """Status of the check behind the parser; only for operators with layers."""
        function = getattr(self._dll, f"vit_check_sums_{operator_of(parsed.op).NAME}")
        return Status(function(ctypes.c_void_p(parsed.params.ctypes.data)))

    def call(
        self, parsed: Parsed, inputs: Sequence[np.ndarray], y: np.ndarray, scratch: np.ndarray
    ) -> None:
        """Runs the kernel on raw buffers: inputs and y as the operator says, scratch uint8."""
        params, *buffers, work = (
            ctypes.c_void_p(a.ctypes.data) for a in (parsed.params, *inputs, y, scratch)
        )
        operator = operator_of(parsed.op)
        last = work if operator.HAS_SCRATCH else ctypes.c_size_t(inputs[0].size)
        getattr(self._dll, f"vit_{operator.NAME}")(params, *buffers, last)

    def embed_strips(self, parsed: Parsed, image: np.ndarray) -> np.ndarray:
        """Patch embedding in pieces, each strip from a copy of its own rows only."""
        operator = operator_of(parsed.op)
        streaming, y = operator.streaming, operator.output
        assert streaming is not None
        assert y.shape is not None
        image = np.ascontiguousarray(image, np.int8).reshape(streaming.image)
        tokens = np.zeros(y.shape, y.dtype)
        params, out = (ctypes.c_void_p(a.ctypes.data) for a in (parsed.params, tokens))
        self._dll.vit_patch_embed_begin(params, out)
        for strip, (start, end) in enumerate(zip(streaming.starts, streaming.ends, strict=True)):
            part = image[start:end].copy()
            work = aligned_bytes(parsed.scratch_bytes)
            self._dll.vit_patch_embed_strip(
                params,
                ctypes.c_int32(strip),
                ctypes.c_void_p(part.ctypes.data),
                out,
                ctypes.c_void_p(work.ctypes.data),
            )
        return tokens

    def run(self, op: Params, *inputs: ArrayLike) -> np.ndarray:
        """Runs an operator: the result that :func:`tflm_custom_ops.ops.run_reference` defines.

        Raises ValueError for inputs of another number, type or size.
        """
        operator = operator_of(op)
        xs = [np.ascontiguousarray(x) for x in inputs]
        for x, expected in zip(xs, operator.inputs, strict=True):
            if x.dtype != expected.dtype or x.size != (expected.count or x.size):
                raise ValueError(
                    f"input: got {x.dtype} with {x.size} values, expected {expected.dtype.name} "
                    f"with {expected.count or 'any number of'} values"
                )
        parsed = self.parse(op)
        y = np.zeros(operator.output_shape(xs[0].shape), operator.output.dtype)
        self.call(parsed, xs, y, aligned_bytes(parsed.scratch_bytes))
        return y


@functools.cache
def library() -> HostLibrary:
    """The kernels of this package, compiled for this machine."""
    return HostLibrary(build())


def run(op: Params, *inputs: ArrayLike) -> np.ndarray:
    """Runs an operator through the C kernels on the host."""
    return library().run(op, *inputs)
