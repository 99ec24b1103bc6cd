# SPDX-License-Identifier: Apache-2.0
"""`.vscode/` of a CMake project: debug sessions of the Cortex-Debug extension, and its extensions.

The names of settings are those of ST's extension for VS Code, which knows where STM32CubeCLT is:
descriptions of registers (SVD), the GDB server and STM32CubeProgrammer.
"""

from __future__ import annotations

import json
import re
from typing import Any

from boards import Board

_CLT = "${config:STM32VSCodeExtension.cubeCLT.path}"
_EXTENSIONS = ("marus25.cortex-debug", "ms-vscode.cmake-tools")
_ST_EXTENSION = "stmicroelectronics.stm32-vscode-extension"
_SVD_NAME = re.compile(r"STM32[A-Z]\d\d\d")  # the head of a part's number


def launch(board: Board, external: bool) -> str:
    """`launch.json`: a session for each way to reach the board.

    Args:
      board: which tools know it.
      external: whether constants lie in external flash.
    """
    sessions = []
    tool = board.flash_tool
    if tool.stm32:
        loader = tool.external_loader if external else None
        session = _session(board, "ST-LINK", "stlink") | {
            "serverpath": f"{_CLT}/STLink-gdb-server/bin/ST-LINK_gdbserver",
            "stm32cubeprogrammer": f"{_CLT}/STM32CubeProgrammer/bin",
            "armToolchainPath": f"{_CLT}/GNU-tools-for-STM32/bin",
        }
        sessions.append(session | ({"serverArgs": ["-el", loader]} if loader else {}))
    if tool.openocd_configs:
        session = _session(board, "OpenOCD", "openocd")
        sessions.append(session | {"configFiles": list(tool.openocd_configs)})
    return json.dumps({"version": "0.2.0", "configurations": sessions}, indent=2) + "\n"


def extensions(board: Board) -> str:
    """`extensions.json`: what the sessions need."""
    names = [*_EXTENSIONS, *([_ST_EXTENSION] if board.flash_tool.stm32 else [])]
    return json.dumps({"recommendations": names}, indent=2) + "\n"


def _session(board: Board, title: str, server: str) -> dict[str, Any]:
    session: dict[str, Any] = {
        "name": f"Debug through {title}",
        "type": "cortex-debug",
        "request": "launch",
        "servertype": server,
        "cwd": "${workspaceFolder}",
        "executable": "${command:cmake.launchTargetPath}",
        "runToEntryPoint": "main",
        "interface": "swd",
    }
    if board.cube_ide is not None:
        session["device"] = board.cube_ide.mcu
    name = _SVD_NAME.match(board.part)
    if name:
        session["svdFile"] = f"{_CLT}/STMicroelectronics_CMSIS_SVD/{name[0]}.svd"
    return session
