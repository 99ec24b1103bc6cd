# SPDX-License-Identifier: Apache-2.0
"""A small XML writer: attributes in the order given, tabs, as Eclipse writes its files."""

from __future__ import annotations

from firmware.escape import xml_attribute, xml_text


class Element:
    """An XML element with either children or text."""

    def __init__(self, tag: str, *children: Element, text: str = "", **attributes: str) -> None:
        self.tag = tag
        self.children = children
        self.text = text
        self.attributes = attributes

    def render(self, depth: int = 0) -> str:
        """The element, indented by `depth` tabs."""
        indent = "\t" * depth
        attributes = "".join(
            f" {key}={xml_attribute(value)}" for key, value in self.attributes.items()
        )
        if not self.children and not self.text:
            return f"{indent}<{self.tag}{attributes}/>\n"
        if not self.children:
            return f"{indent}<{self.tag}{attributes}>{xml_text(self.text)}</{self.tag}>\n"
        inside = "".join(child.render(depth + 1) for child in self.children)
        return f"{indent}<{self.tag}{attributes}>\n{inside}{indent}</{self.tag}>\n"


def document(root: Element, instruction: str = "", *, standalone: bool = False) -> str:
    """A whole file: declaration, an optional processing instruction, the root element."""
    flag = ' standalone="no"' if standalone else ""
    return f'<?xml version="1.0" encoding="UTF-8"{flag}?>\n{instruction}{root.render()}'
