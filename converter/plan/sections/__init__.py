# SPDX-License-Identifier: Apache-2.0
"""Search by sections of time, MiniMalloc's way with tighter bounds (docs/memory.md)."""

from converter.plan.sections.minimize import improve

__all__ = ["improve"]
