# SPDX-License-Identifier: Apache-2.0
"""What several project formats say."""

from __future__ import annotations

from collections.abc import Sequence

from boards import Board
from boards.console import Console, PortableConsoleKind
from firmware.elf import MemoryUse
from firmware.escape import shell_word
from firmware.project import Project


def memory_table(use: MemoryUse | None) -> str:
    """The sizes of the image as a Markdown table, or how to find them."""
    if use is None:
        return "Build the project to see its sizes."
    rows = (
        ("internal flash", use.flash_bytes),
        ("external flash", use.external_flash_bytes),
        ("SRAM: arena", use.arena_bytes),
        ("SRAM: .data and .bss", use.data_bytes + use.bss_bytes),
        ("SRAM: stack reserved", use.stack_reserved_bytes),
        ("code", use.code_bytes),
        ("code of the kernels", use.kernel_code_bytes),
    )
    return "\n".join(["| what | bytes |", "|---|---|"] + [f"| {n} | {v} |" for n, v in rows])


_USE = """\
The console ({console}) prints a line after reset and one per inference.
{sending}"""
_IMAGES = """\
Images go in as frames with a CRC; `src/app/protocol.h` describes them. {how}

```sh
{commands}
```"""
_TENSORS = """\
The model takes no int8 image. Its inputs go in as frames with a CRC, in pieces of equal size, one
input after the other, and the reply holds the bytes of all outputs; `src/app/protocol.h` describes
the frames, `model/vit_model.h` the inputs and outputs."""
_SEMIHOSTING = """\
The debugger has to enable semihosting: without one the firmware runs silently, and takes images
through the window in memory (`src/app/window.h`) only. With OpenOCD its port is then that of a TCP
connection. From the toolkit:"""
_FUNCTIONS = """\
`src/generic/board_hooks.h` declares the functions; without definitions of yours (key `sources` of
the board's file) nothing is printed, and images come through the window in memory
(`src/app/window.h`). From the toolkit, when they drive a serial port:"""
CLIENT = "python -m firmware.client --port={port} --images=photos/"


def sending(project: Project, how: str, commands: Sequence[str]) -> str:
    """How inputs go in, for a README."""
    header = next(f for f in project.files if f.path.name == "vit_model.h")
    text = header.text or (
        "" if header.origin is None else header.origin.read_text(encoding="utf-8")
    )
    if "#define VIT_MODEL_IS_IMAGE 0\n" in text:
        return _TENSORS
    return _IMAGES.format(how=how, commands="\n".join(commands))


def openocd_arguments(board: Board) -> str:
    """OpenOCD's arguments that select the board, for a shell."""
    names = [shell_word(name) for name in board.flash_tool.openocd_configs]
    return " ".join(f"-f {name}" for name in names or ["CONFIGURATION"])


def use_section(project: Project) -> str:
    """How to talk to the firmware, for a README."""
    board = project.board
    console = board.console
    commands = [CLIENT.format(port="/dev/ttyACM0")]
    how = "From the toolkit:"
    if not isinstance(console, Console):
        how = _FUNCTIONS
        if console.kind is PortableConsoleKind.SEMIHOSTING:
            how = _SEMIHOSTING
            commands = [
                f"openocd {openocd_arguments(board)} -c init "
                '-c "arm semihosting enable" -c "arm semihosting_redirect tcp 2323 stdio" '
                '-c "reset run"',
                CLIENT.format(port="socket://localhost:2323"),
            ]
    text = sending(project, how, commands)
    return _USE.format(console=console.description, sending=text)


def has_external_weights(project: Project) -> bool:
    """True when the model's weights lie in external flash."""
    for file in project.files:
        if file.path.name == "vit_model_weights.S" and file.origin is not None:
            return ".extflash" in file.origin.read_text(encoding="utf-8")
    return False
