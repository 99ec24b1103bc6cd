# SPDX-License-Identifier: Apache-2.0
"""Commands end with one line, and files appear whole or not at all."""

import errno
import os

import pytest

from keras_models import command


class OtherError(Exception):
    pass


def _raise(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("bad value"), "name: bad value"),
        (OtherError("other"), "name: other"),
        (OSError(errno.ENOSPC, "No space", "out.bin"), "name: out.bin: No space"),
        (OSError(errno.ENOSPC, "No space", "from", 0, "to"), "name: to: No space"),
        (OSError("no number"), "name: no number"),
    ],
)
def test_bad_input_is_one_line(error, line):
    with pytest.raises(SystemExit) as found:
        command.run("name", ["program"], _raise(error), (OtherError,))
    assert found.value.code == line


def test_defects_are_not_hidden():
    with pytest.raises(OtherError):
        command.run("name", ["program"], _raise(OtherError("a defect")))


def test_interrupt_has_the_status_that_shells_expect(capsys):
    with pytest.raises(SystemExit) as found:
        command.run("name", ["program"], _raise(KeyboardInterrupt()))
    assert found.value.code == 130
    assert capsys.readouterr().err == "\nname: interrupted\n"


def test_arguments_without_a_flag_are_refused():
    with pytest.raises(SystemExit, match="unexpected argument 'x"):
        command.run("name", ["program", "x.tflite"], lambda: None)


def test_write_failure_names_the_file_and_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    command.write_json(path, {"a": 1})
    assert path.read_text() == '{\n  "a": 1\n}\n'

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError) as found:
        command.write_json(path, {"a": 2})
    assert found.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert '"a": 1' in path.read_text()


def test_outputs_are_checked_before_the_work(tmp_path):
    command.expect_writable(None, "", str(tmp_path / "new" / "file"))
    assert (tmp_path / "new").is_dir()
    with pytest.raises(OSError, match="got a folder"):
        command.expect_writable(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        command.expect_writable(str(tmp_path / "file" / "below"))


def test_an_output_folder_is_checked_and_not_made(tmp_path):
    command.expect_writable_folder(str(tmp_path / "new" / "folder"))
    command.expect_writable_folder(str(tmp_path))
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below" / "that"):
        with pytest.raises(OSError, match="got a file") as found:
            command.expect_writable_folder(str(path))
        assert found.value.filename == str(tmp_path / "file")


def test_a_recorded_command_names_no_folder_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--data_dir=/home/me/data/cifar10/", "--out", "/scratch/run", "--set=a=0.5", "--x=b/c"]
    monkeypatch.setattr("sys.argv", ["train.py", *words])
    expected = "python -m m --data_dir=cifar10/ --out run --set=a=0.5 --x=b/c"
    assert command.typed_command("m") == expected
