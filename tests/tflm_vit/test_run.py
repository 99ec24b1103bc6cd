# SPDX-License-Identifier: Apache-2.0
"""Commands end with one line."""

import errno

import pytest

from tflm_vit import run


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
        run.run("name", ["program"], _raise(error), (OtherError,))
    assert found.value.code == line


def test_defects_are_not_hidden():
    with pytest.raises(OtherError):
        run.run("name", ["program"], _raise(OtherError("a defect")))


def test_interrupt_has_the_status_that_shells_expect(capsys):
    with pytest.raises(SystemExit) as found:
        run.run("name", ["program"], _raise(KeyboardInterrupt()))
    assert found.value.code == 130
    assert capsys.readouterr().err == "\nname: interrupted\n"


def test_arguments_without_a_flag_are_refused():
    with pytest.raises(SystemExit, match="unexpected argument 'x"):
        run.run("name", ["program", "x.tflite"], lambda: None)


def test_a_recorded_command_names_no_folder_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--data_dir=/home/me/data/cifar10/", "--out", "/scratch/run", "--set=a=0.5", "--x=b/c"]
    monkeypatch.setattr("sys.argv", ["train.py", *words])
    expected = "python -m m --data_dir=cifar10/ --out run --set=a=0.5 --x=b/c"
    assert run.typed_command("m") == expected
