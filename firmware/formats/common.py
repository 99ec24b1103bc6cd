# SPDX-License-Identifier: Apache-2.0
"""What several project formats say."""

from __future__ import annotations

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


def has_external_weights(project: Project) -> bool:
    """True when the model's weights lie in external flash."""
    for file in project.files:
        if file.path.name == "vit_model_weights.S" and file.origin is not None:
            return ".extflash" in file.origin.read_text()
    return False
