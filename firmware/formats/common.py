# SPDX-License-Identifier: Apache-2.0
"""What several project formats say."""

from __future__ import annotations

from boards import Board
from boards.console import Console, PortableConsoleKind
from firmware.elf import MemoryUse
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
The console ({console}) prints a line after reset and one per image. Images go in as frames with a
CRC; `src/app/protocol.h` describes them. {how}

```sh
{commands}
```"""
_SEMIHOSTING = """\
The debugger has to enable semihosting: without one the firmware runs silently, and takes images
through the window in memory (`src/app/window.h`) only. With OpenOCD its port is then that of a TCP
connection. From the toolkit:"""
_FUNCTIONS = """\
`src/generic/board_hooks.h` declares the functions; without definitions of yours (key `sources` of
the board's file) nothing is printed, and images come through the window in memory
(`src/app/window.h`). From the toolkit, when they drive a serial port:"""
_CLIENT = "python -m firmware.client --port={port} --images=photos/"


def use_section(board: Board) -> str:
    """How to talk to the firmware, for a README."""
    console = board.console
    commands = [_CLIENT.format(port="/dev/ttyACM0")]
    how = "From the toolkit:"
    if not isinstance(console, Console):
        how = _FUNCTIONS
        if console.kind is PortableConsoleKind.SEMIHOSTING:
            how = _SEMIHOSTING
            commands = [
                f"openocd {board.flash_tool.openocd_arguments or '-f CONFIGURATION'} -c init "
                '-c "arm semihosting enable" -c "arm semihosting_redirect tcp 2323 stdio" '
                '-c "reset run"',
                _CLIENT.format(port="socket://localhost:2323"),
            ]
    return _USE.format(console=console.description, how=how, commands="\n".join(commands))


def has_external_weights(project: Project) -> bool:
    """True when the model's weights lie in external flash."""
    for file in project.files:
        if file.path.name == "vit_model_weights.S" and file.origin is not None:
            return ".extflash" in file.origin.read_text()
    return False
