# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.tflite.flatbuffer.generate`: writes schema.json of this checkout.

From the classes that LiteRT ships (needs the package ai-edge-litert): what their constructors,
accessors and `Add` functions say.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from converter.tflite.flatbuffer.declared import SCALAR_BYTES, STRING
from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("generate", __doc__)

SCHEMA = Path(__file__).with_name("schema.json")
_ATTRIBUTE = re.compile(r"self\.(\w+) = \w+  # type: (.+)")
_TABLE = re.compile(r"Optional\[(List\[)?(\w+)T\]{1,2}")
_ELEMENT = re.compile(r"number_types\.(\w+)Flags, a \+")


class _Call:
    """A builder that remembers what was asked of it."""

    method = ""
    arguments: tuple[Any, ...] = ()

    def __getattr__(self, name: str) -> Any:
        def asked(*arguments: Any) -> int:
            self.method, self.arguments = name, arguments
            return 0

        return asked


def _asked(function: Any, *arguments: Any) -> _Call:
    call = _Call()
    function(call, *arguments)
    return call


def _entry(module: ModuleType, table: str, call: _Call, name: str, kind: str) -> list[Any]:
    """What the file says of a field, whose `Add` function made this call."""
    method = _method(name)
    scalar = call.method.removeprefix("Prepend").removesuffix("Slot")
    if scalar in SCALAR_BYTES:
        default = call.arguments[2]
        return [name, scalar, default] if default else [name, scalar]
    if kind == "Optional[str]":
        return [name, STRING]
    if kind.startswith("Union["):
        accessor = inspect.getsource(getattr(module, f"{table}T")._UnPack)
        union = re.search(rf"self\.{name} = (\w+)Creator\(", accessor)
        assert union is not None, (table, name)
        return [name, union[1]]
    if (target := _TABLE.fullmatch(kind)) is not None:
        return [name, f"[{target[2]}]" if target[1] else target[2]]
    accessor = inspect.getsource(getattr(getattr(module, table), method))
    element = _ELEMENT.search(accessor)
    assert element is not None, (table, name, kind)
    return [name, f"[{element[1]}]"]


def _method(name: str) -> str:
    return name[0].upper() + name[1:]


def _table(module: ModuleType, table: str) -> list[list[Any] | None]:
    """The entries of a table by slot; None where a field was given up."""
    (slots,) = _asked(getattr(module, f"{table}Start")).arguments
    entries: list[list[Any] | None] = [None] * slots
    text = inspect.getsource(getattr(module, f"{table}T").__init__)
    for name, kind in _ATTRIBUTE.findall(text):
        call = _asked(getattr(module, f"{table}Add{_method(name)}"), 0)
        entries[call.arguments[0]] = _entry(module, table, call, name, kind)
    return entries


def _is_table(value: Any) -> bool:
    return inspect.isclass(value) and hasattr(value, "InitFromObj")


def _is_enumeration(value: Any) -> bool:
    return inspect.isclass(value) and not _is_table(value) and not hasattr(value, "Init")


def schema_text() -> str:
    """The content of schema.json, a line for each table."""
    from ai_edge_litert import schema_py_generated as module

    enumerations = {
        name: {
            key: number
            for key, number in vars(value).items()
            if isinstance(number, int) and not key.startswith("__")  # Python 3.13 counts lines
        }
        for name, value in vars(module).items()
        if _is_enumeration(value)
    }
    names = [name.removesuffix("T") for name, value in vars(module).items() if _is_table(value)]
    parts = [
        '"source": "schema.fbs of TensorFlow Lite, version 3; Apache-2.0"',
        '"enumerations": {\n' + _lines(enumerations) + "\n }",
        '"tables": {\n' + _lines({name: _table(module, name) for name in names}) + "\n }",
    ]
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def _lines(entries: dict[str, Any]) -> str:
    return ",\n".join(f"  {json.dumps(name)}: {json.dumps(entries[name])}" for name in entries)


def _body() -> None:
    write_atomic(SCHEMA, schema_text().encode())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
