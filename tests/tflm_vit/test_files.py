# SPDX-License-Identifier: Apache-2.0
"""Files appear whole or not at all."""

import errno
import os

import pytest

from tflm_vit import files


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
