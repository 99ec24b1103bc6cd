# SPDX-License-Identifier: Apache-2.0
"""The compiled runtime behind a library's header: calls of the generated model."""

from __future__ import annotations

from firmware.library.facts import Engine, Facts


class CompiledEngine(Engine):
    """Everything is known when it is generated; nothing can fail."""

    title = "a compiled transformer"
    sources = "the model as calls of kernels, and its constants"
    needs = "C11, no heap, no other library but `memcpy` and its kind"

    def arena(self, facts: Facts) -> str:
        """The macro of the arena's bytes."""
        return f"#define {facts.upper}_ARENA_BYTES {facts.interface.arena_bytes}u"

    def asserted(self, facts: Facts) -> str:
        """The public arena is the generated model's."""
        upper = facts.upper
        both = f"{upper}_ARENA_BYTES == {upper}_MODEL_ARENA_BYTES"
        return f'_Static_assert({both}, "one plan");\n'

    def image_calls(self, facts: Facts) -> str:
        """The generated model takes rows itself where it is streamed."""
        if facts.interface.streamed:
            return facts.render("streamed.c")
        return facts.render("compiled.c") + facts.render("resident.c")

    def tensor_calls(self, facts: Facts) -> str:
        """Nothing is made; invoke is a call."""
        return facts.render("compiled.c")
