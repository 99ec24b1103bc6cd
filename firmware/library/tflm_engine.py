# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite Micro's interpreter behind a library's header."""

from __future__ import annotations

import dataclasses

from converter.plan.layout import Span
from converter.tflite import Graph
from firmware.library.facts import Engine, Facts
from firmware.template import indented
from firmware.tflm.embedded import Embedded
from firmware.tflm.model_files import checked_calls, plan_rows, resolver_calls


@dataclasses.dataclass(frozen=True)
class TflmArena:
    """Bytes of an arena in which TFLM runs a model.

    Attributes:
      planned: of the plan.
      beside: what TFLM keeps, where pointers have 32 bits.
      source: where `beside` is from, as the end of a sentence.
      fingerprint: of the TFLM with which it was measured; "" where it was not.
    """

    planned: int
    beside: int
    source: str
    fingerprint: str = ""

    @property
    def bytes(self) -> int:
        """Where pointers have 32 bits."""
        return self.planned + self.beside

    @property
    def wide_bytes(self) -> int:
        """Where they have 64: of all that TFLM keeps nothing more than doubles."""
        return self.planned + 2 * self.beside


@dataclasses.dataclass(frozen=True)
class TflmCounts:
    """Instructions of one inference: until it has begun, and from there on."""

    begin: int
    inference: int


def _places(spans: tuple[Span, ...]) -> str:
    return ", ".join(f"{{{span.offset}, {span.size_bytes}}}" for span in spans)


@dataclasses.dataclass(frozen=True, eq=False)
class TflmEngine(Engine):
    """The file and its plan; an interpreter is made in the arena when an inference begins."""

    graph: Graph
    embedded: Embedded
    size: TflmArena
    counted: TflmCounts | None = None

    title = "a transformer in the interpreter of TensorFlow Lite Micro"
    sources = "the `.tflite`, its memory plan, its operators and the calls of the interpreter"
    folders = "| `tflm/` | the operators as TFLM's, and what finds TFLM; equal likewise |\n"
    needs = "C11 and C++17, no heap, no other library but TensorFlow Lite Micro"

    def arena(self, facts: Facts) -> str:
        """The macro of the arena's bytes."""
        return facts.render(
            "tflm/arena.h",
            PLANNED_BYTES=f"{self.size.planned:,}",
            SOURCE=self.size.source,
            ARENA_BYTES=str(self.size.bytes),
            ARENA_BYTES_WIDE=str(self.size.wide_bytes),
        ).rstrip()

    def arena_text(self, facts: Facts) -> str:
        """Its bytes, and where they are from."""
        del facts
        size = self.size
        return f"{size.bytes} ({size.planned} planned, {size.beside} TFLM's, {size.source[:-1]})"

    def measured(self) -> list[tuple[str, str]]:
        """Instructions, where an inference was run."""
        if self.counted is None:
            return []
        begin, rest = self.counted.begin, self.counted.inference
        return [("instructions to begin an inference", str(begin)), ("and of the rest", str(rest))]

    def statuses(self, facts: Facts) -> str:
        """One for each thing that TFLM may refuse."""
        return facts.render("tflm/statuses")

    def fields(self, facts: Facts) -> str:
        """The interpreter lies at the arena's end."""
        return "  size_t arena_bytes;\n"

    def functions(self, facts: Facts) -> str:
        """What TFLM takes of the arena."""
        return facts.render("tflm/functions.h") + "\n"

    def kept(self, facts: Facts) -> str:
        """All of the arena is used."""
        return "  state->arena_bytes = arena_bytes;\n"

    def last(self, facts: Facts) -> str:
        """arena_used."""
        return facts.render("tflm/arena_used.c")

    def image_calls(self, facts: Facts) -> str:
        """A streamed image goes to the interpreter in strips."""
        engine = facts.render("tflm/engine.c")
        strips = self.embedded.strips
        if not strips:
            return engine + facts.render("tflm/invoke.c") + facts.render("resident.c")
        table = ", ".join(f"{{{strip.first_row}, {strip.rows}}}" for strip in strips)
        return engine + facts.render("tflm/streamed.c", STRIPS=str(len(strips)), TABLE=table)

    def tensor_calls(self, facts: Facts) -> str:
        """Makes and runs the interpreter."""
        return facts.render("tflm/engine.c") + facts.render("tflm/invoke.c")

    def model_header(self, facts: Facts) -> str:
        """`<name>_model.h`."""
        places = self.embedded.inputs[0], self.embedded.outputs[0]
        image = "" if facts.interface.image is None else facts.render(
            "tflm/model_image.h", INPUT=str(places[0].offset), OUTPUT=str(places[1].offset)
        )  # fmt: skip
        return facts.render(
            "tflm/model.h",
            OPERATORS=str(len(self.graph.operators)),
            FILE_BYTES=str(len(self.embedded.content)),
            IMAGE=image,
        )

    def model_source(self, facts: Facts) -> str:
        """`<name>_model.cc`."""
        calls = resolver_calls(self.graph)
        words = self.embedded.words
        table = f"constexpr int32_t kPlan[{len(words)}] = {{\n    {plan_rows(words)},\n}};"
        names = [f'  "{i} {op.name}",' for i, op in enumerate(self.graph.operators)]
        return facts.render(
            "tflm/model.cc",
            OP_NAMES=indented(names),
            RESOLVED=str(len(calls)),
            PLANNED_BYTES=str(self.size.planned),
            PLAN=table if words else "// TFLM plans, by the offsets in the file.",
            PLAN_POINTER="kPlan" if words else "nullptr",
            PLAN_WORDS=str(len(words)),
            INPUTS=_places(self.embedded.inputs),
            OUTPUTS=_places(self.embedded.outputs),
            INPUT_COUNT=str(len(self.embedded.inputs)),
            OUTPUT_COUNT=str(len(self.embedded.outputs)),
            ADDED=checked_calls(calls),
        )

    def operators(self) -> list[str]:
        """Names of what is registered with TFLM, each once."""
        return sorted({op.name for op in self.graph.operators})
