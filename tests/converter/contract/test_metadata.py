# SPDX-License-Identifier: Apache-2.0
"""TFLite Metadata: read back, readable by others, kept by fuse and plan, refused when damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.contract import Contract, ContractError, Stated, choice, contract_of, stated_by
from converter.contract.metadata_fields import OWN_NAME, QUESTION_MEANING
from converter.contract.metadata_writing import with_contract
from converter.plan.model import plan_model
from converter.tflite import METADATA_NAME, AssociatedFile, Metadata, TfliteError, parse, serialize
from converter.tflite.flatbuffer import schema
from keras_models.datasets.identity import Identity
from keras_models.datasets.normalization import OWN, Normalization
from keras_models.tasks import CLASSIFICATION, TASKS
from tests.converter.compile import fused_models
from tests.tflm_custom_ops.builtins import one_op

NAMES = tuple(f"class {i} é" for i in range(7))
IMAGENET = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def file_of(contract: Contract | None = None, channels: int = 3) -> bytes:
    ops = fused_models.vit_ops(image=fused_models.ImageShape(8, 8, channels, 2, 2, 0), classes=7)
    content = fused_models.model_bytes(ops)
    return content if contract is None else serialize(with_contract(parse(content), contract))


floats = st.floats(-300, 300, width=32)
positive = st.floats(0.0078125, 300, width=32)


@given(
    st.lists(floats, min_size=3, max_size=3),
    st.lists(positive, min_size=3, max_size=3),
    st.sampled_from(["RGB", "BGR"]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_round_trip(mean, std, order, named) -> None:
    contract = Contract(Normalization(tuple(mean), tuple(std)), order, NAMES if named else ())
    stated = stated_by(parse(file_of(contract)))
    assert stated == Stated(contract.normalization, order, contract.class_names)


def picture(values: int = 3) -> bytes:
    """A file whose output is a picture of 4x4 pixels."""
    ends = [one_op.activation(name, (1, 4, 4, values), 1 / 127.5, -1) for name in ("x", "y")]
    return serialize(one_op.model("RELU", None, ends[:1], ends[1]))


def asked() -> bytes:
    """A file that takes an image of 2x2 pixels and a vector, and says twelve values."""
    shapes = (("x", (1, 2, 2, 3)), ("q", (1, 3)), ("y", (1, 2, 2, 3)))
    ends = [one_op.activation(name, shape, 1 / 127.5, -1) for name, shape in shapes]
    return serialize(one_op.model("ADD", schema.AddOptionsT(), ends[:2], ends[2]))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_file_says_its_task(task) -> None:
    content = asked() if task.asked else picture() if task.dense else file_of()
    names = ("a", "b", "c") if task.dense else tuple("abcdefghijkl") if task.asked else NAMES
    contract = Contract(class_names=names, task=task)
    written = serialize(with_contract(parse(content), contract))
    stated = stated_by(parse(written))
    assert (stated.task, stated.class_names) == (task, names)
    if task.dense or task.asked:
        assert contract_of(written) == contract
    if task.asked:
        assert QUESTION_MEANING.encode() in written
        with pytest.raises(ContractError, match="got 1 inputs and 1 outputs, expected an image"):
            with_contract(parse(file_of()), contract)
    assert (task.meaning.encode() in written) == (task is not CLASSIFICATION)


def test_a_task_that_does_not_go_with_the_output_is_refused() -> None:
    with pytest.raises(
        ContractError, match=r"got depth for an output \[1, 7\], expected a picture"
    ):
        with_contract(parse(file_of()), Contract(task=TASKS["depth"]))
    three = Contract(class_names=("a",) * 2, task=TASKS["segmentation"])
    with pytest.raises(ContractError, match="got 2 class names, expected 3"):
        with_contract(parse(picture()), three)
    written = serialize(with_contract(parse(picture()), Contract(task=TASKS["depth"])))
    other = written.replace(b'{"task": "depth"}', b'{"task": "wrong"}')
    assert other != written
    with pytest.raises(ContractError, match="got task 'wrong', expected one of classification"):
        stated_by(parse(other))


def test_bytes_of_own_networks_are_scaled_as_in_training() -> None:
    pixels = np.arange(256, dtype=np.uint8)[:, None]
    expected = pixels.astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    assert np.array_equal(OWN.apply(pixels), expected)  # to the bit: half steps are ties


def test_channels_have_their_own_values() -> None:
    pixels = np.array([[[10, 20, 30]]], np.uint8)
    rgb, bgr = (Contract(IMAGENET, order).real(pixels)[0, 0] for order in ("RGB", "BGR"))
    assert rgb == pytest.approx([(10 - 123.675) / 58.395, (20 - 116.28) / 57.12,
                                 (30 - 103.53) / 57.375], rel=1e-5)  # fmt: skip
    assert bgr[0] == pytest.approx((30 - 123.675) / 58.395, rel=1e-5)


class Reader:
    """A table read with struct alone, by the layout of flatbuffers: no code is shared."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.vtable = at - struct.unpack_from("<i", data, at)[0]
        self.fields = (struct.unpack_from("<H", data, self.vtable)[0] - 4) // 2

    def place(self, field: int) -> int:
        offset = 0
        if field < self.fields:
            offset = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * field)[0]
        assert offset, f"field {field} is absent"
        return self.at + offset

    def follow(self, field: int) -> int:
        at = self.place(field)
        return int(at + struct.unpack_from("<I", self.data, at)[0])

    def table(self, field: int) -> Reader:
        return Reader(self.data, self.follow(field))

    def first(self, field: int) -> Reader:
        at = self.follow(field)
        assert struct.unpack_from("<I", self.data, at)[0] == 1
        return Reader(self.data, at + 4 + struct.unpack_from("<I", self.data, at + 4)[0])

    def floats(self, field: int) -> list[float]:
        at = self.follow(field)
        count = struct.unpack_from("<I", self.data, at)[0]
        return list(struct.unpack_from(f"<{count}f", self.data, at + 4))

    def text(self, field: int) -> str:
        at = self.follow(field)
        size = struct.unpack_from("<I", self.data, at)[0]
        assert self.data[at + 4 + size] == 0
        return self.data[at + 4 : at + 4 + size].decode()

    def number(self, field: int, kind: str) -> int:
        return int(struct.unpack_from(f"<{kind}", self.data, self.place(field))[0])


def test_other_tools_find_every_field() -> None:
    """The numbers are those of metadata_schema.fbs, version 1.0.0."""
    content = file_of(Contract(IMAGENET, "RGB", NAMES))
    data = next(m.data for m in parse(content).metadata if m.name == METADATA_NAME)
    assert data[4:8] == b"M001"
    root = Reader(data, struct.unpack_from("<I", data, 0)[0])
    assert root.text(7) == "1.0.0"  # min_parser_version
    subgraph = root.first(3)
    image, classes = subgraph.first(2), subgraph.first(3)
    unit = image.first(4)  # process_units
    assert unit.number(0, "B") == 1  # NormalizationOptions
    assert unit.table(1).floats(0) == pytest.approx(IMAGENET.mean)
    assert unit.table(1).floats(1) == pytest.approx(IMAGENET.std)
    properties = image.table(3)
    assert properties.number(0, "B") == 2  # ImageProperties
    assert properties.table(1).number(0, "b") == 1  # RGB
    size = properties.table(1).table(1)
    assert (size.number(0, "I"), size.number(1, "I")) == (8, 8)  # width, height
    low, high = IMAGENET.ends
    assert image.table(5).floats(0) == pytest.approx([high])
    assert image.table(5).floats(1) == pytest.approx([low])
    labels = classes.first(6)  # associated_files
    assert labels.number(2, "b") == 2  # TENSOR_AXIS_LABELS
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        member = archive.getinfo(labels.text(0))
        assert member.compress_type == zipfile.ZIP_STORED  # the C++ reader takes no other
        assert archive.read(member).decode().splitlines() == list(NAMES)


def test_plan_keeps_it_and_writes_the_same_bytes_each_time() -> None:
    contract = Contract(IMAGENET, "BGR", NAMES)
    planned = plan_model(file_of(contract)).model_bytes
    assert contract_of(planned) == contract
    assert planned == plan_model(planned).model_bytes


def test_a_contract_replaces_the_one_before() -> None:
    model = parse(file_of(Contract(IMAGENET, "BGR", NAMES)))
    again = parse(serialize(with_contract(model, Contract())))
    assert [m.name for m in again.metadata] == [METADATA_NAME]
    assert again.files == ()
    assert OWN_NAME in {m.name for m in model.metadata}


def test_a_count_of_names_says_where_they_are_from() -> None:
    with pytest.raises(ContractError, match=r"^--labels: got 2 class names, expected 7"):
        contract_of(parse(file_of()), Stated(IMAGENET, None, ("a", "b")))


@pytest.mark.parametrize(
    ("contract", "reason"),
    [
        (Contract(Normalization((1.0, 2.0), (1.0,))), "mean: got 2 values, expected 1 or 3"),
        (Contract(class_names=("a", "b")), "got 2 class names, expected 7"),
        (Contract(class_names=("",) * 7), "class 0 has a name of 0 bytes"),
        (Contract(class_names=("x" * 300,) * 7), "class 0 has a name of 300 bytes"),
    ],
)
def test_a_contract_of_another_network_is_refused(contract, reason) -> None:
    with pytest.raises(ContractError, match=reason):
        file_of(contract)


def test_the_data_set_of_the_training_is_kept() -> None:
    data = Identity("image_folder", NAMES, 700, "0123456789abcdef")
    contract = Contract(IMAGENET, "RGB", NAMES, data)
    assert contract_of(plan_model(file_of(contract)).model_bytes) == contract


@pytest.mark.parametrize("own", [b"BGR", b"[]", b'{"color_order": "GBR"}', b"\xff", b"[" * 100000])
def test_a_damaged_entry_of_ours_is_refused(own: bytes) -> None:
    model = parse(file_of(Contract()))
    model = dataclasses.replace(model, metadata=(*model.metadata, Metadata(OWN_NAME, own)))
    with pytest.raises(ContractError, match=r"^VitContract: "):
        stated_by(model)


def test_names_cannot_become_two_lines() -> None:
    names = ("two\nlines", *NAMES[1:])
    found = stated_by(parse(file_of(Contract(class_names=names)))).class_names
    assert found == ("two?lines", *NAMES[1:])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_metadata_is_one_error(data: st.DataObject) -> None:
    model = parse(file_of(Contract(IMAGENET, "BGR", NAMES)))
    (entry,) = (m for m in model.metadata if m.name == METADATA_NAME)
    damaged = bytearray(entry.data)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    content = bytes(damaged[:cut] if data.draw(st.booleans()) else damaged)
    other = dataclasses.replace(model, metadata=(Metadata(METADATA_NAME, content),))
    with contextlib.suppress(ContractError):  # and no other error
        assert isinstance(stated_by(other), Stated)


def test_damaged_archive_is_refused() -> None:
    content = bytearray(file_of(Contract(class_names=NAMES)))
    content[content.index(b"class 0")] ^= 1
    with pytest.raises(TfliteError, match="archive of associated files is damaged"):
        parse(bytes(content))


def test_an_archive_without_metadata_is_no_part_of_the_model() -> None:
    model = dataclasses.replace(parse(file_of()), files=(AssociatedFile("notes", b"x"),))
    assert parse(serialize(model)).files == ()


def test_a_label_file_that_is_missing_is_named() -> None:
    model = dataclasses.replace(parse(file_of(Contract(class_names=NAMES))), files=())
    with pytest.raises(ContractError, match=r"label file 'labels\.txt' is not behind the model"):
        stated_by(model)


def test_numbers_that_are_none_are_called_by_their_flag() -> None:
    for mean, std, reason in (
        (["a"], ["1"], "--mean: got 'a', expected numbers with commas between"),
        (["1"], ["1", "x"], "--std: got '1,x', expected numbers with commas between"),
        (["1"], ["0"], "--std: got 0, expected numbers above 0"),
    ):
        with pytest.raises(ContractError) as found:
            choice.given(mean, std, "", "")
        assert str(found.value) == reason
