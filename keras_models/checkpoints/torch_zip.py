# SPDX-License-Identifier: Apache-2.0
"""PyTorch's zip files (torch.save since 1.6), read without running anything that is in them.

Such a file holds a pickle, which may name any function to call. Here the pickle's operations are
carried out by a small machine that knows tensors, containers and numbers; whatever else a file
names is refused before anything is built of it. Entries are taken only as torch.save writes them,
uncompressed, so that a small file stays small.
"""

from __future__ import annotations

import mmap
import pickletools
import struct
import zipfile
from typing import Any

from keras_models.checkpoints.tensors import CheckpointTensor, size_of

_LONGEST_PICKLE = 4 << 20  # of 20,000 tensors
_STORAGES = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
# Beside tensors in checkpoints of trainings; their content is passed over.
_PASSED_OVER = {"argparse Namespace", "pathlib PosixPath", "pathlib WindowsPath"}
_REBUILT = {"torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"}
_CONTAINERS = {"collections OrderedDict"}
_LOCAL_HEADER = 30  # bytes before an entry's name


class _Named(str):
    """What the pickle names: module and name. It is never looked up."""


class _Nothing:
    """Something that is passed over."""


class _Mark:
    pass


def read(path: str, key: str = "") -> dict[str, CheckpointTensor]:
    """The tensors of a state dict, or of a part of a checkpoint that holds one.

    Raises:
      ValueError: damaged, hostile, or without a state dict.
    """
    tree = _Machine(_entries(path)).run()
    parts = {str(k): _tensors(v) for k, v in tree.items()} if isinstance(tree, dict) else {}
    parts = {name: part for name, part in parts.items() if part}
    if key:
        if key not in parts:
            raise ValueError(f"--key={key}: expected one of {', '.join(parts) or 'none'}")
        return parts[key]
    whole = _tensors(tree)
    if whole or not parts:
        return whole
    if len(parts) > 1:
        raise ValueError(f"it holds several networks: give --key, one of {', '.join(parts)}")
    return next(iter(parts.values()))


def _tensors(value: Any) -> dict[str, CheckpointTensor]:
    """Of a dict's own entries."""
    if not isinstance(value, dict):
        return {}
    return {
        k: v for k, v in value.items() if isinstance(k, str) and isinstance(v, CheckpointTensor)
    }


def _entries(path: str) -> dict[str, memoryview]:
    """The content of each entry by its name behind the archive's own folder."""
    with open(path, "rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    found, used = {}, 0
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ValueError(f"{info.filename[:80]}: compressed, which torch.save never does")
        used += info.file_size
        lengths = struct.unpack_from("<HH", data, info.header_offset + _LOCAL_HEADER - 4)
        start = info.header_offset + _LOCAL_HEADER + sum(lengths)
        content = data[start : start + info.file_size]
        if len(content) != info.file_size or used > size_of(path):
            raise ValueError(f"{info.filename[:80]}: {info.file_size} bytes, more than are there")
        found[info.filename.partition("/")[2]] = content
    if "data.pkl" not in found:
        raise ValueError("a zip file, but none of torch.save: no data.pkl in it")
    if bytes(found.get("byteorder", b"little")) != b"little":
        raise ValueError("written by a big-endian machine")
    if len(found["data.pkl"]) > _LONGEST_PICKLE:
        raise ValueError(f"a pickle of {len(found['data.pkl'])} bytes, expected {_LONGEST_PICKLE}")
    return found


class _Machine:
    """Carries out a pickle's operations, as far as tensors need them."""

    def __init__(self, entries: dict[str, memoryview]) -> None:
        self.entries = entries
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """What the pickle describes."""
        argument: Any
        for operation, argument, _ in pickletools.genops(bytes(self.entries["data.pkl"])):
            if operation.name == "STOP":
                return self.stack.pop()
            if operation.name in _CONSTANTS:
                value = _CONSTANTS[operation.name]
                self.stack.append(value() if callable(value) else value)
            elif operation.name in _VALUES:
                self.stack.append(argument)
            elif operation.name in ("BINPUT", "LONG_BINPUT"):
                self.memo[argument] = self.stack[-1]
            elif operation.name in ("BINGET", "LONG_BINGET"):
                self.stack.append(self.memo[argument])
            elif operation.name == "GLOBAL":
                self.stack.append(_allowed(argument))
            elif operation.name != "PROTO":
                action = getattr(self, f"_{operation.name.lower()}", None)
                if action is None:
                    raise ValueError(
                        f"its pickle has the operation {operation.name}, none of tensors"
                    )
                action()
        raise ValueError("its pickle does not end")

    def _since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _Mark:
                found = self.stack[place + 1 :]
                del self.stack[place:]
                return found
        raise ValueError("its pickle lacks a mark")

    def _tuple(self) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _tuple1(self) -> None:
        self._last(1)

    def _tuple2(self) -> None:
        self._last(2)

    def _tuple3(self) -> None:
        self._last(3)

    def _last(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("its pickle lacks values")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def _append(self) -> None:
        value = self.stack.pop()
        self._container(list).append(value)

    def _appends(self) -> None:
        values = self._since_mark()
        self._container(list).extend(values)

    def _setitem(self) -> None:
        value, name = self.stack.pop(), self.stack.pop()
        self._container(dict)[_key(name)] = value

    def _setitems(self) -> None:
        values = self._since_mark()
        names = [_key(name) for name in values[::2]]
        self._container(dict).update(zip(names, values[1::2], strict=True))

    def _container(self, kind: type) -> Any:
        found = self.stack[-1]
        if not isinstance(found, kind):
            raise ValueError(f"its pickle fills a {type(found).__name__} as a {kind.__name__}")
        return found

    def _reduce(self) -> None:
        arguments, named = self.stack.pop(), self.stack.pop()
        if not isinstance(named, _Named) or not isinstance(arguments, tuple):
            raise ValueError("its pickle calls what is no function of tensors")
        self.stack.append(self._built(named, arguments))

    _newobj = _reduce

    def _built(self, named: _Named, arguments: tuple[Any, ...]) -> Any:
        if named in _PASSED_OVER:
            return _Nothing()
        if named in _CONTAINERS:
            if arguments and arguments != ([],):
                raise ValueError("an OrderedDict with content in its pickle")
            return {}
        if named == "torch._utils _rebuild_parameter":
            return arguments[0]
        if named not in _REBUILT:
            raise ValueError(f"its pickle calls {named}")
        (data, kind), offset, shape, strides = arguments[:4]
        if not isinstance(data, memoryview):
            raise ValueError("its pickle makes a tensor of what is no storage")
        return CheckpointTensor(data, kind, tuple(shape), tuple(strides), offset)

    def _build(self) -> None:
        """The state of an object: nothing here has one."""
        self.stack.pop()
        if not isinstance(self.stack[-1], _Nothing | dict):
            raise ValueError("its pickle sets attributes of a tensor")

    def _binpersid(self) -> None:
        what, storage, name, _, count = self.stack.pop()
        kind = _STORAGES.get(storage.partition(" ")[2]) if isinstance(storage, _Named) else None
        if what != "storage" or kind is None or not isinstance(count, int):
            raise ValueError("a storage of a kind that is not read")
        self.stack.append((self.entries[f"data/{name}"], kind))


def _key(value: Any) -> Any:
    """A key of a dict. Others could be nested so deeply that hashing them ends the process."""
    if not isinstance(value, str | int | float | None):
        raise ValueError(f"its pickle has a {type(value).__name__} as a key")
    return value


# Content of `{}`, `[]` is made anew each time.
_CONSTANTS: dict[str, Any] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": (),
    "NONE": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "MARK": lambda: _Mark,
}
_VALUES = frozenset({"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"})


def _allowed(text: str) -> _Named:
    """A name that the pickle may use.

    Raises:
      ValueError: any other; nothing of it is imported.
    """
    module, _, name = text.partition(" ")
    storage = module == "torch" and name in _STORAGES
    if not (storage or text in _REBUILT | _CONTAINERS | _PASSED_OVER):
        raise ValueError(
            f"its pickle names {module[:60]}.{name[:60]}, which is no tensor and is not run; save "
            "model.state_dict() alone, or safetensors"
        )
    return _Named(text)
