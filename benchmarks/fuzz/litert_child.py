# SPDX-License-Identifier: Apache-2.0
"""LiteRT's verdict on files, in a child process, since LiteRT may crash on what it is given.

    python -m benchmarks.fuzz.litert_child     # reads files from stdin, each after its length

It prints one line a file: "runs", or "refuses" with the reason. `Litert` is the other end.
"""

from __future__ import annotations

import resource
import select
import struct
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

RUNS, REFUSES, CRASHES, HANGS = "runs", "refuses", "crashes", "hangs"
_SECONDS = 20.0
_MEMORY_BYTES = 4 << 30


def _verdict(content: bytes) -> str:
    """Of LiteRT's own kernels, and of these with the delegate that it takes by itself."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    for kind in (OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO):
        try:
            interpreter = Interpreter(
                model_content=content, experimental_op_resolver_type=kind, num_threads=1
            )
            interpreter.allocate_tensors()
            for detail in interpreter.get_input_details():
                interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
            interpreter.invoke()
        except (RuntimeError, ValueError, MemoryError, TypeError) as error:
            return f"{REFUSES} {kind.name}: {' '.join(str(error).split())}"
    return RUNS


def _serve() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stream = sys.stdin.buffer
    while header := stream.read(4):
        (size,) = struct.unpack("<I", header)
        print(_verdict(stream.read(size)), flush=True)


class Litert:
    """A child that is started again after each crash; a context manager."""

    def __enter__(self) -> Self:
        self._child: subprocess.Popen[bytes] | None = None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _start(self) -> Any:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.fuzz.litert_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def verdict(self, content: bytes) -> tuple[str, str]:
        """(RUNS, REFUSES, CRASHES or HANGS, the reason)."""
        child = self._start()
        try:
            child.stdin.write(struct.pack("<I", len(content)) + content)
            child.stdin.flush()
        except BrokenPipeError:
            self._end()
            return CRASHES, "before it read the file"
        if not select.select([child.stdout], [], [], _SECONDS)[0]:
            self._end()
            return HANGS, f"over {_SECONDS:.0f} s"
        line = child.stdout.readline().decode(errors="replace").strip()
        if not line:
            child.wait()
            status = child.returncode
            self._end()
            return CRASHES, f"status {status}"
        word, _, reason = line.partition(" ")
        return word, reason


if __name__ == "__main__":
    _serve()
