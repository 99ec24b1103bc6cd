# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.support.patterns_page`: prints docs/supported_patterns.md, from the sources.

What fuse looks for, the rules that bring graphs into one spelling before, and every reason that the
report can give for a place that was not fused: the messages of the code itself.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from converter.fuse import search
from converter.fuse.rewrite import RULES
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("patterns_page", __doc__)

_FUSE = Path(search.__file__).parent
_ERRORS = frozenset({"NoMatchError", "BoundError"})
_SHARED = (
    "layout.py",
    "region.py",
    "arithmetic.py",
    "lower.py",
    "gate/device.py",
    "residual.py",
    "search.py",
)
_HEAD = """<!-- SPDX-License-Identifier: Apache-2.0 -->
<!-- Generated: python -m converter.support.patterns_page > docs/supported_patterns.md -->
# Supported patterns

What `fuse` makes one operator of, and why it may not. Each place is tried on its own. What does not
fit stays builtin operators, which the compiled runtime has as well
([supported operators](supported_operators.md)), and the report says the reason. In the reasons
below `...` stands for a name or a number of the graph. What to do about the usual ones:
[converter/fuse](../converter/fuse/README.md#reasons-in-the-report). Whatever fits is checked on
probe inputs before it is kept.

## Spellings

Before matching, these rules bring a graph into one form; each computes the same function on real
numbers.

| rule | what it does |
|---|---|
"""


def _text(node: ast.expr) -> str:
    """A message with its placeholders as dots."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return "..."


def _reasons(source: ast.Module) -> Iterator[str]:
    for node in ast.walk(source):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in _ERRORS and isinstance(node.args[0], ast.Constant | ast.JoinedStr):
            yield " ".join(_text(node.args[0]).split())


def _section(path: Path) -> str:
    """A heading and the reasons of one file; "" where it gives none."""
    source = ast.parse(path.read_text(encoding="utf-8"))
    reasons = sorted(set(_reasons(source)))
    if not reasons:
        return ""
    about = (ast.get_docstring(source) or "").partition("\n\n")[0]
    lines = "".join(f"* `{reason}`\n" for reason in reasons)
    return f"\n### {path.stem}\n\n{' '.join(about.split())}\n\n{lines}"


def page() -> str:
    """The text of docs/supported_patterns.md."""
    rules = "".join(f"| {rule.name} | {rule.summary} |\n" for rule in RULES)
    names = ", ".join(search.PATTERN_NAMES)
    files = sorted((_FUSE / "patterns").glob("*.py")) + [_FUSE / name for name in _SHARED]
    sections = "".join(_section(path) for path in files if path.name != "__init__.py")
    order = f"\n## Patterns and reasons\n\nIn the order in which they are tried: {names}.\n"
    return f"{_HEAD}{rules}{order}{sections}"


def _body() -> None:
    print(page(), end="")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
