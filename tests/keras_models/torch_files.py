# SPDX-License-Identifier: Apache-2.0
"""Files as torch.save and safetensors write them, made without PyTorch, and hostile ones."""

from __future__ import annotations

import json
import struct
import zipfile

import numpy as np

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def tensor(key, kind, count, shape, strides, offset=0):
    storage = tuple_of(
        text("storage"), named("torch", STORAGES[kind]), text(key), text("cpu"), number(count)
    )
    hooks = named("collections", "OrderedDict") + b")R"
    arguments = tuple_of(
        storage + b"Q", number(offset), tuple_of(*map(number, shape)),
        tuple_of(*map(number, strides)), b"\x89", hooks,
    )  # fmt: skip
    return named("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def dict_of(items):
    pairs = b"".join(text(name) + value for name, value in items.items())
    return named("collections", "OrderedDict") + b")R(" + pairs + b"u"


def write_archive(path, tree, storages, compression=zipfile.ZIP_STORED):
    """`tree`: operations of a pickle, without its start and end."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + tree + b".")
        archive.writestr("archive/byteorder", "little")
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", "3\n")


def save_torch(path, state, wrap=lambda tree: tree):
    """A state dict; matrices lie transposed, so that strides matter."""
    items, storages = {}, {}
    for i, (name, value) in enumerate(state.items()):
        stored = value.T if value.ndim == 2 else value
        strides = [each // value.itemsize for each in np.ascontiguousarray(stored).strides]
        strides = strides[::-1] if value.ndim == 2 else strides
        kind = str(value.dtype)
        storages[str(i)] = b"\0" * value.itemsize + np.ascontiguousarray(stored).tobytes()
        items[name] = tensor(str(i), kind, value.size + 1, value.shape, strides, 1)
    write_archive(path, wrap(dict_of(items)), storages)


def save_safetensors(path, state, change=lambda header: header):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, value in state.items():
        kind = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int64": "I64"}
        start, data = len(data), data + np.ascontiguousarray(value).tobytes()
        header[name] = {
            "dtype": kind[str(value.dtype)],
            "shape": list(value.shape),
            "data_offsets": [start, len(data)],
        }
    packed = json.dumps(change(header)).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data)
