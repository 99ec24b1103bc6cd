# SPDX-License-Identifier: Apache-2.0
"""Files appear whole or not at all."""

import errno
import os
import signal
import struct
import zipfile

import numpy as np
import pytest

from tflm_vit import files, leftovers


def test_write_failure_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    files.write_json(path, {"a": 1})
    assert path.read_text() == '{\n  "a": 1\n}\n'

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError) as found:
        files.write_json(path, {"a": 2})
    assert found.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert '"a": 1' in path.read_text()


def test_json_has_no_word_for_what_is_no_number(tmp_path):
    """It was written as NaN, which no reader takes, this toolkit's own among them."""
    path = tmp_path / "report.json"
    files.write_json(path, {"a": float("nan"), "b": [1.5, (float("inf"), {"c": -float("inf")})]})
    assert files.read_json(path) == {"a": None, "b": [1.5, [None, {"c": None}]]}


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_names_among_devices_are_never_replaced(name, tmp_path):
    """With standard output in a file, /dev/stdout is one, too: root's write took its place."""
    with (tmp_path / "out").open("wb") as out:
        number = os.fork()
        if number == 0:
            os.dup2(out.fileno(), 1)
            os.replace = lambda *_: os._exit(2)
            os.unlink = lambda *_: os._exit(3)
            for write in (files.expect_writable, lambda path: files.write_atomic(path, b"1")):
                try:
                    write(name)
                    os._exit(4)
                except OSError as error:
                    if "expected the name of a file" not in str(error):
                        os._exit(5)
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0


def test_the_next_write_removes_what_a_killed_one_left(tmp_path):
    """Killed between writing and renaming; what a living process writes stays."""
    number = os.fork()
    if number == 0:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        files.write_atomic(tmp_path / "report.json", b"1")
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    mine = tmp_path / (leftovers.prefix(".partial-") + "abcd1234")
    mine.write_bytes(b"2")
    files.write_atomic(tmp_path / "other.json", b"3")
    assert left.name.startswith(".partial-")
    assert sorted(p.name for p in tmp_path.iterdir()) == [mine.name, "other.json"]


def test_outputs_are_checked_before_the_work(tmp_path):
    files.expect_writable(None, "", str(tmp_path / "new" / "file"))
    assert (tmp_path / "new").is_dir()
    with pytest.raises(OSError, match="got a folder"):
        files.expect_writable(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        files.expect_writable(str(tmp_path / "file" / "below"))


def test_an_output_folder_is_checked_and_not_made(tmp_path):
    files.expect_writable_folder(str(tmp_path / "new" / "folder"))
    files.expect_writable_folder(str(tmp_path))
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below" / "that"):
        with pytest.raises(OSError, match="got a file") as found:
            files.expect_writable_folder(str(path))
        assert found.value.filename == str(tmp_path / "file")


DAMAGED = [
    ("", "not an architecture: not JSON: Expecting value"),
    ("[" * 200_000, "nested too deeply"),
    ('{"a": Infinity}', "Infinity is no number"),
    ('{"a": NaN}', "NaN is no number"),
    ('{"a": 1e999}', "the number 1e999 is out of range"),
    ('{"a": ' + "9" * 5000 + "}", "is out of range"),
    ('{"a": 18446744073709551616}', "the number 18446744073709551616 is out of range"),
    (b"\xff\xfe", "can't decode"),
]


@pytest.mark.parametrize(("content", "line"), DAMAGED)
def test_damaged_json_is_named(tmp_path, content, line):
    path = tmp_path / "arch.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(files.FileError) as found:
        files.read_json(path, "an architecture")
    assert str(found.value).startswith(f"{path}: not an architecture: ")
    assert line in str(found.value)


def test_json_is_read_as_it_was_written(tmp_path):
    value = {"a": [1, -(2**63), 2**64 - 1, 0.5, None, True, "text"]}
    files.write_json(tmp_path / "x.json", value)
    assert files.read_json(tmp_path / "x.json") == value


@pytest.mark.parametrize(
    "error",
    [
        zipfile.BadZipFile("Bad CRC-32"),
        NotImplementedError("compression type 99"),
        EOFError("no data"),
        KeyError("weight0"),
        TypeError("not a mapping"),
        MemoryError("Unable to allocate 2 TiB"),
        OverflowError("too large"),
        struct.error("unpack requires 4 bytes"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_decoders_raise_names_the_file(error):
    with pytest.raises(ValueError) as found, files.reading("x.npz", "a checkpoint"):
        raise error
    assert str(found.value).startswith("x.npz: not a checkpoint: ")


def test_a_bomb_is_named(tmp_path):
    """A picture of 20000 x 20000 pixels in a few bytes."""
    from PIL import Image

    path = tmp_path / "bomb.png"
    Image.new("1", (20000, 20000)).save(path)
    with pytest.raises(files.FileError, match=f"^{path}: not an image: Image size"):  # noqa: SIM117
        with files.reading(path, "an image"), Image.open(path) as image:
            image.load()


def test_a_file_that_cannot_be_read_keeps_its_reason(tmp_path):
    with pytest.raises(FileNotFoundError) as found:
        files.read_json(tmp_path / "missing.json")
    assert found.value.filename == str(tmp_path / "missing.json")


def test_a_message_that_names_the_file_is_left_alone():
    with pytest.raises(ValueError, match=r"^x\.json: wrong$"), files.reading("x.json", "a board"):
        raise ValueError("x.json: wrong")


def test_defects_while_reading_are_not_hidden():
    with pytest.raises(ZeroDivisionError), files.reading("x.json"):
        raise ZeroDivisionError


def test_what_has_no_end_is_no_file(tmp_path):
    """A pipe would be waited for, a device read for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (str(pipe), "/dev/zero", str(tmp_path), str(loop)):
        for read in (lambda p: files.read_bytes(p, 10), files.read_text, files.checked_archive):
            with pytest.raises(OSError) as found:
                read(path)
            assert found.value.filename == path
    for path in (str(pipe), "/dev/zero"):
        with pytest.raises(OSError, match="a pipe, socket or device"), files.reading(path):
            pytest.fail("entered")


def test_a_size_is_looked_at_before_it_is_read(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    for read in (lambda p: files.read_bytes(p, 1 << 29), files.read_text, files.read_json):
        with pytest.raises(files.FileError, match=f"^{path}: got 1099511627776 bytes"):
            read(path)
    (tmp_path / "few").write_bytes(b"abc")
    assert files.read_bytes(tmp_path / "few", 3) == b"abc"
    with pytest.raises(files.FileError, match="got 3 bytes, expected at most 2"):
        files.read_bytes(tmp_path / "few", 2)


def test_an_archive_of_numbers_does_not_unpack_to_more_than_it_has(tmp_path):
    good, bomb = tmp_path / "good.npz", tmp_path / "bomb.npz"
    np.savez(good, a=np.zeros(1 << 20))
    assert files.checked_archive(good) == str(good)
    np.savez_compressed(bomb, a=np.zeros(1 << 20))
    with pytest.raises(ValueError, match="its entries unpack to 8388"):
        files.checked_archive(bomb)


def test_a_name_that_is_no_text_is_refused_before_the_work(tmp_path):
    path = os.path.join(tmp_path, os.fsdecode(b"\xff"))
    for expect in (files.expect_writable, files.expect_writable_folder):
        with pytest.raises(files.FileError, match="not UTF-8"):
            expect(path)


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    """Root could: the rename takes away what was there, /dev/null too."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for write in (files.expect_writable, lambda path: files.write_atomic(path, b"x")):
        with pytest.raises(OSError, match="expected the name of a file") as found:
            write(str(pipe))
        assert found.value.filename == str(pipe)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_two_outputs_are_two_files(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a")
    files.expect_writable(str(tmp_path / "a"), None, "", str(tmp_path / "b"))
    for other in ("a", "./a", "link"):
        with pytest.raises(files.FileError, match="one file for two outputs"):
            files.expect_writable(str(tmp_path / "a"), f"{tmp_path}/{other}")


@pytest.mark.parametrize("name", ["x" * 300, "new/", "file/below", "new/" + "y" * 300 + "/z"])
def test_names_that_no_file_can_have_are_seen_before_the_work(tmp_path, name):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"too long|a folder|a directory|exists"):
        files.expect_writable(f"{tmp_path}/{name}")
    if not name.endswith("/"):
        with pytest.raises(OSError, match=r"too long|a file"):
            files.expect_writable_folder(f"{tmp_path}/{name}")


def test_a_folder_that_takes_no_files_is_seen_before_the_work(tmp_path):
    """Permissions are no proof: root may write into /proc, and nothing is written there."""
    with pytest.raises(OSError, match="cannot write here"):
        files.expect_writable("/proc/record.json")
    files.expect_writable(str(tmp_path / "record.json"))
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    """As cp, editors and the shell do; the file beside it may be on another disk."""
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    (here / "link").symlink_to(there / "file")
    for content in (b"new", b"again"):  # at first it leads to nothing
        files.expect_writable(str(here / "link"))
        files.write_atomic(here / "link", content)
        assert (here / "link").is_symlink()
        assert (there / "file").read_bytes() == content
    assert os.listdir(there) == ["file"]
    assert os.listdir(here) == ["link"]


def test_links_to_nothing_or_to_devices_are_refused(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "out").symlink_to("/dev/stdout")
    (tmp_path / "far").symlink_to("out")
    for name, reason in (("loop", "symbolic links"), ("out", "device"), ("far", "device")):
        for write in (files.expect_writable, lambda path: files.write_atomic(path, b"x")):
            with pytest.raises(OSError, match=reason) as found:
                write(str(tmp_path / name))
            assert found.value.filename == str(tmp_path / name)
    assert all((tmp_path / name).is_symlink() for name in ("loop", "out", "far"))
