# SPDX-License-Identifier: Apache-2.0
"""The flags of a command: values, refusals in one line, help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tflm_vit import flags
from tflm_vit.flag_set import FlagError, FlagSet
from tflm_vit.old_flags import OLD


@pytest.fixture
def some() -> FlagSet:
    found = FlagSet("name", "Does it.\n\nAnd more.")
    flags.model(found, "Fused .tflite.")
    flags.sram(found)
    flags.streamed(found)
    flags.images(found)
    flags.seed(found, "Of the draw.")
    flags.residual_bits(found)
    found.number("rate", 0.5, "Of learning.")
    return found


def test_values_and_defaults(some: FlagSet) -> None:
    some.parse(["--model=a.tflite", "--streamed", "--images=a.png,b.png", "--rate", "0.25"])
    assert (some.model, some.streamed, some.images) == ("a.tflite", True, ["a.png", "b.png"])
    assert (some.rate, some.sram, some.seed, some.residual_bits) == (0.25, None, 0, "8")
    assert some["streamed"].given
    assert not some["seed"].given


def test_a_second_call_starts_from_the_defaults(some: FlagSet) -> None:
    some.parse(["--model=a", "--seed=7", "--images=a.png"])
    some.parse(["--model=b"])
    assert (some.model, some.seed, some.images) == ("b", 0, [])
    assert not some["seed"].given


def test_two_sets_do_not_share_values(some: FlagSet) -> None:
    other = FlagSet("other", "")
    holder = flags.seed(other, "Of it.")
    other.parse(["--seed=7"])
    some.parse(["--model=a"])
    assert (holder.value, some.seed) == (7, 0)


REFUSED = [
    ([], "--model is missing: fused .tflite"),
    (["--model="], "--model is missing: fused .tflite"),
    (["--model"], "Missing value for flag --model"),
    (["--model=a", "--sram=0"], "--sram=0: "),
    (["--model=a", "--sram=many"], "--sram=many: "),
    (["--model=a", "--seed=-1"], "--seed=-1: "),
    (["--model=a", f"--seed={2**40}"], f"--seed={2**40}: "),
    (["--model=a", "--rate=nan"], "--rate: expected a finite number"),
    (["--model=a", "--rate=inf"], "--rate: expected a finite number"),
    (["--model=a", "--residual_bits=9"], "--residual_bits=9: value should be one of <8|16>"),
    (["--model=a", "--images=100"], "--images: got the number 100, expected files; the number of"),
    (["--model=a", "--modle=b"], "no flag --modle, did you mean --model?"),
    (["--model=a", "--nostreamed=3"], "--nostreamed=3 does not take an argument"),
    (["--model=a", "b"], "unexpected argument 'b'"),
    (["--model=a", "--sram_budget=3"], "--sram_budget: now --sram"),
    (["--model=a", "--limit=3"], "no flag --limit"),
]


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=[" ".join(w) for w, _ in REFUSED])
def test_refused_in_one_line(some: FlagSet, words: list[str], line: str) -> None:
    with pytest.raises(FlagError) as found:
        some.parse(words)
    text = str(found.value)
    assert text.startswith(line)
    assert "\n" not in text


def test_a_file_with_a_number_for_its_name_is_a_file(
    some: FlagSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "100").mkdir()
    monkeypatch.chdir(tmp_path)
    some.parse(["--model=a", "--images=100"])
    assert some.images == ["100"]
    assert os.path.isdir("100")


def test_help_has_every_flag(some: FlagSet) -> None:
    text = some.help()
    assert text.startswith("Does it.\n\nAnd more.\n\nFlags:\n")
    for name in some.names:
        assert f"--{name}=" in text or f"--[no]{name}\n" in text
    assert "  --model=VALUE\n      Fused .tflite. Needed.\n" in text
    assert "  --residual_bits=8|16\n      Bits of the residual stream. Default: 8.\n" in text


def test_a_flag_may_not_hide_a_method() -> None:
    with pytest.raises(ValueError, match="name of a method"):
        FlagSet("name", "").string("parse", "", "Text.")


@pytest.mark.parametrize("old", OLD)
def test_an_old_spelling_names_one_that_the_command_has(old: str) -> None:
    for new in OLD[old]:
        command = FlagSet("name", "")
        command.string(new, "", "Text.")
        with pytest.raises(FlagError, match=f"^--{old}: now --{new};"):
            command.parse([f"--{old}=1"])


def test_a_report_never_takes_the_place_of_what_is_read(tmp_path: Path) -> None:
    found = FlagSet("name", "Does it.")
    flags.model(found, "Fused .tflite.")
    flags.images(found)
    flags.json(found)
    flags.html(found)
    model, other = tmp_path / "model.tflite", tmp_path / "images.npy"
    model.write_bytes(b"model")
    other.write_bytes(b"images")
    link = tmp_path / "link"
    link.symlink_to(model)
    read = [f"--model={model}", f"--images={other}"]
    for report, path in (("json", model), ("html", link), ("json", other)):
        with pytest.raises(FlagError, match=f"--{report}={path} would overwrite the file of --"):
            found.parse([*read, f"--{report}={path}"])
    found.parse([*read, f"--json={tmp_path / 'old.json'}"])
    (tmp_path / "old.json").write_text("{}", encoding="utf-8")
    found.parse([*read, f"--json={tmp_path / 'old.json'}"])
