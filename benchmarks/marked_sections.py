# SPDX-License-Identifier: Apache-2.0
"""Pages with sections that are made from records, between two comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping


def filled(text: str, sections: Mapping[str, Callable[[], str]], page: str) -> str:
    """The page with every marked section replaced by what its function gives.

    Raises:
      ValueError: a section's marks are not there once; the message names page and section.
    """
    for name, section in sections.items():
        pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
        if len(re.findall(pattern, text, flags=re.S)) != 1:
            raise ValueError(f"{page}: expected one section marked {name!r}")
        body = section()
        text = re.sub(pattern, lambda m, b=body: f"{m[1]}{b}\n{m[2]}", text, flags=re.S)
    return text
