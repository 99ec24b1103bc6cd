# SPDX-License-Identifier: Apache-2.0
"""`schema`: a class for each table, whose objects hold its fields, and one for each enumeration.

`schema.Conv2DOptionsT(padding=schema.Padding.SAME)` is what flatbuffers' own generated classes call
the same; a field that is not given has the value that an absent one has.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

from converter.tflite.flatbuffer.declared import Kind, enumerations, fields, tables


class TableObject:
    """The fields of a table as attributes.

    Attributes:
      TABLE: its name.
    """

    TABLE: ClassVar[str]
    _absent: ClassVar[dict[str, Any] | None] = None

    def __init__(self, **values: Any) -> None:
        vars(self).update(self._defaults())
        for name, value in values.items():
            if name not in vars(self):
                raise TypeError(f"{self.TABLE}: got a field {name!r}, which it does not have")
            setattr(self, name, value)

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        if cls._absent is None:
            cls._absent = {
                f.name: f.absent if f.kind is Kind.SCALAR else None for f in fields(cls.TABLE)
            }
        return cls._absent


def _namespace() -> SimpleNamespace:
    found: dict[str, Any] = {name: type(name, (), dict(v)) for name, v in enumerations().items()}
    for name in tables():
        found[f"{name}T"] = type(f"{name}T", (TableObject,), {"TABLE": name})
    return SimpleNamespace(**found)


schema: Any = _namespace()
