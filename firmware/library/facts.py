# SPDX-License-Identifier: Apache-2.0
"""What a library's header says, and what differs between the runtimes behind it."""

from __future__ import annotations

import abc
import dataclasses

from converter.compile.interface import Interface
from firmware.library.said import Said
from firmware.library.stack import StackUse
from firmware.template import render

_FOLDER = "library"


class Engine(abc.ABC):
    """What runs a model: the parts of header and source that are its own, as C."""

    title: str  # what the library is, for people
    needs: str  # of languages and other libraries
    sources: str  # what the model's own folder holds
    folders = ""  # rows of others, for the README

    @abc.abstractmethod
    def arena(self, facts: Facts) -> str:
        """The macro of the arena's bytes."""

    def arena_text(self, facts: Facts) -> str:
        """Its bytes, for people."""
        return str(facts.interface.arena_bytes)

    def measured(self) -> list[tuple[str, str]]:
        """(what, how much) of a run, for people."""
        return []

    def statuses(self, facts: Facts) -> str:
        """Of its failures."""
        del facts
        return ""

    def fields(self, facts: Facts) -> str:
        """Of the state."""
        del facts
        return ""

    def functions(self, facts: Facts) -> str:
        """Of its own, declared; `last` defines them."""
        del facts
        return ""

    def asserted(self, facts: Facts) -> str:
        """What the compiler is to check."""
        del facts
        return ""

    def kept(self, facts: Facts) -> str:
        """Statements of init that fill the fields."""
        del facts
        return ""

    def last(self, facts: Facts) -> str:
        """Definitions behind all others."""
        del facts
        return ""

    @abc.abstractmethod
    def image_calls(self, facts: Facts) -> str:
        """begin, push_rows and finish; input and invoke where the image is resident."""

    @abc.abstractmethod
    def tensor_calls(self, facts: Facts) -> str:
        """make and invoke, which a model of tensors calls."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the header says.

    Attributes:
      name: prefix of all symbols.
      interface: of the model.
      said: what the file says of inputs and outputs.
      weights_bytes, weights_crc32: of the constants.
      kernels: version of the kernels.
      stack: None where it has not been measured.
      camera_stack: of the camera's functions; None likewise.
      engine: what runs the model.
    """

    name: str
    interface: Interface
    said: Said
    weights_bytes: int
    weights_crc32: int
    kernels: str
    stack: StackUse | None = None
    camera_stack: StackUse | None = None
    engine: Engine = dataclasses.field(kw_only=True)

    @property
    def has_camera(self) -> bool:
        """Whether a camera's rows can become the input: grey or colors, by the file's contract."""
        image = self.interface.image
        return image is not None and self.said.pixels is not None and image.channels in (1, 3)

    @property
    def upper(self) -> str:
        """Prefix of all macros."""
        return self.name.upper()

    def render(self, template: str, **values: str) -> str:
        """A template of this room with the name filled in."""
        return render(f"{_FOLDER}/{template}", NAME=self.name, UPPER=self.upper, **values)
