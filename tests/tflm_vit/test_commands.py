# SPDX-License-Identifier: Apache-2.0
"""Every command: its flags, its help, its verb, and the words of the documentation."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tflm_vit import command, flags
from tflm_vit.flag_set import FlagSet
from tflm_vit.old_flags import OLD

ROOT = Path(__file__).parents[2]
ROOMS = (
    "benchmarks",
    "converter",
    "examples",
    "firmware",
    "keras_models",
    "nas",
    "tflm_custom_ops",
)
# Processes that others of ours start, no commands.
NO_COMMAND = {
    "converter.runtimes.tflm.abi_probe",
    "benchmarks.fuzz.command_child",
    "benchmarks.fuzz.litert_child",
    "benchmarks.supernet_speed.autoformer",
    "benchmarks.supernet_speed.ours",
}
KINDS = ("string", "boolean", "integer", "number", "enum", "words", "repeated", "files")


def runnable() -> dict[str, str]:
    """What `python -m` takes -> the module that it runs."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8"):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found[module.removesuffix(".__main__")] = module
    return {name: module for name, module in found.items() if name not in NO_COMMAND}


COMMANDS = runnable()


def flags_of(name: str) -> FlagSet:
    found = importlib.import_module(COMMANDS[name]).FLAGS
    assert isinstance(found, FlagSet)
    return found


def test_there_are_commands() -> None:
    assert len(COMMANDS) >= 30


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_every_flag_in_one_style(name: str) -> None:
    found = flags_of(name)
    assert found.command == name.rpartition(".")[2]
    text = found.help()
    assert text.startswith(importlib.import_module(COMMANDS[name]).__doc__.strip().split("\n")[0])
    for flag in found.names:
        assert re.search(rf"^  --(\[no\])?{flag}(=|$)", text, re.M), flag
        said = found.text(flag)
        assert said[0].isupper(), f"{flag}: {said}"
        assert said.endswith("."), f"{flag}: {said}"
        assert re.fullmatch(r"[a-z][a-z0-9_]*", flag)


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_of_the_source_are_those_of_the_help(name: str) -> None:
    """None is defined after the set was taken, e.g. in `main`."""
    module = importlib.import_module(COMMANDS[name])
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            calls = [n.func for n in ast.walk(function) if isinstance(n, ast.Call)]
            made = [c.attr for c in calls if isinstance(c, ast.Attribute) and c.attr in KINDS]
            assert not [c for c in made if f"FLAGS.{c}" in ast.unparse(function)]


def definitions() -> Counter[str]:
    """Names of flags -> places of their definition, over all sources."""
    found: Counter[str] = Counter()
    for room in (*ROOMS, "tflm_vit"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                where = ast.unparse(node.func.value)
                if node.func.attr in KINDS and where in ("FLAGS", "to") and node.args:
                    assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
                    found[str(node.args[0].value)] += 1
    return found


def test_a_flag_is_defined_once() -> None:
    found = definitions()
    assert found["model"] == found["sram"] == found["supernet"] == 1
    # `runtime` is one of several runtimes or a list of them: the two shapes stand side by side.
    assert {name for name, count in found.items() if count > 1} == {"runtime"}


def test_no_command_goes_around_the_shared_flags() -> None:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            assert "absl" not in path.read_text(encoding="utf-8"), path


def test_one_default_for_streamed() -> None:
    streamed = {name: flags_of(name) for name in COMMANDS if "streamed" in flags_of(name).names}
    assert {"converter.fuse", "converter.plan", "converter.inspect", "nas.search"} <= set(streamed)
    for found in streamed.values():
        assert "--[no]streamed\n" in found.help()
        assert "Default: yes" not in found.help().split("--[no]streamed\n")[1].split("  --")[0]


@pytest.mark.parametrize("old", OLD)
def test_an_old_spelling_leads_to_a_flag_of_a_command_that_lacks_it(old: str) -> None:
    for new in OLD[old]:
        assert any(
            new in flags_of(name).names and old not in flags_of(name).names for name in COMMANDS
        ), new


# ---- verbs ----------------------------------------------------------------------------------


def test_verbs_are_the_commands() -> None:
    for verb in command.VERBS:
        module = importlib.import_module(verb.module)
        assert callable(module.main)
        assert module.FLAGS.command == verb.name
        assert verb.does[0].isupper()
        assert verb.does.endswith(".")
    run = {v.module.removesuffix(".__main__") for v in command.VERBS}
    ours = {
        n for n in COMMANDS if n.split(".")[0] in ("keras_models", "converter", "nas", "firmware")
    }
    # These make documents and tables, or list rules of the sources.
    others = {
        "firmware.board_table",
        "firmware.code_table",
        "converter.fuse.rewrite",
        "converter.support.page",
        "converter.support.patterns_page",
        "converter.tflite.flatbuffer.generate",
    }
    assert run == ours - others


def typed(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tflm_vit", *words], cwd=ROOT, capture_output=True, text=True
    )


def test_the_overview_lists_every_verb() -> None:
    done = typed("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for verb in command.VERBS:
        assert re.search(rf"^  {verb.name} +{re.escape(verb.does)}$", done.stdout, re.M)


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        ((), 2, "tflm-vit: got no verb; --help lists the verbs"),
        (("fues",), 2, "tflm-vit: no verb 'fues', did you mean fuse?; --help lists the verbs"),
        (
            ("plan", "--sram_budget=3"),
            2,
            "plan: --sram_budget: now --arena; --help lists the flags",
        ),
        (("plan", "--model=none.tflite"), 1, "plan: none.tflite: No such file or directory"),
        (("train-supernet",), 2, "train_supernet: --out is missing: folder for the supernet"),
    ],
)
def test_a_verb_ends_like_its_command(words: tuple[str, ...], status: int, line: str) -> None:
    done = typed(*words)
    assert (done.returncode, done.stderr, done.stdout) == (status, f"{line}\n", "")


def test_help_of_a_verb_is_that_of_its_command() -> None:
    done = typed("search", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == flags_of("nas.search").help() + "\n"
    for name in ("board", "sram", "flash", "external_flash", "clock_hz", "latency_ms"):
        assert f"--{name}=" in done.stdout


# They import it first of all: their trainings are written for Keras throughout.
WAITS_FOR_TENSORFLOW = {"retrain", "evolve_space"}


def test_help_and_refusals_do_not_wait_for_tensorflow() -> None:
    modules = [v.module for v in command.VERBS if v.name not in WAITS_FOR_TENSORFLOW]
    text = f"import sys, {', '.join(modules)}; print({{'tensorflow', 'keras'}} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


def test_the_version_is_written_once() -> None:
    done = typed("--version")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'version = {attr = "tflm_vit.__version__"}' in project
    assert 'tflm-vit = "tflm_vit.command:main"' in project


# ---- documentation --------------------------------------------------------------------------

DOCUMENTS = [
    path
    for path in sorted(ROOT.rglob("*.md"))
    if not {".venv", "build", "node_modules"} & set(path.relative_to(ROOT).parts)
]
# Flags of other programs that the documentation mentions.
FOREIGN = {"preset", "build", "target", "depth", "help", "version"}


def typed_commands(text: str) -> list[tuple[str, str]]:
    """(command, its words) of each `python -m X ...` or `tflm-vit X ...` in a document."""
    joined = text.replace("\\\n", " ")
    joined = re.sub(r"\n +(?=\[--|--)", " ", joined)
    verbs = {verb.name: verb.module.removesuffix(".__main__") for verb in command.VERBS}
    found = [
        (name, words)
        for name, words in re.findall(r"python -m ([a-z0-9_.]+)((?: [^\n`|]*)?)", joined)
        if name.split(".")[0] in ROOMS
    ]
    for verb, words in re.findall(r"tflm-vit ([a-z0-9_]+)((?: [^\n`|]*)?)", joined):
        found.append((verbs[verb], words))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_of_the_documentation_exist_with_their_flags(path: Path) -> None:
    for name, words in typed_commands(path.read_text(encoding="utf-8")):
        assert name in COMMANDS or name in NO_COMMAND, name
        for flag in re.findall(r"--([a-z][a-z0-9_]*)", words):
            known = flags_of(name).names
            assert flag in known or flag.removeprefix("no") in known, f"{name} --{flag}"


def test_the_documentation_names_no_flag_that_nobody_has() -> None:
    known = {flag for name in COMMANDS for flag in flags_of(name).names} | FOREIGN
    for path in DOCUMENTS:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
        for flag in re.findall(r"`[^`\n]*?--([a-z][a-z0-9_]*)\b(?!-)", text):
            assert flag in known or flag.removeprefix("no") in known, f"{path.name}: --{flag}"


def test_docstrings_of_the_commands_name_flags_that_exist() -> None:
    for name, module in COMMANDS.items():
        text = importlib.import_module(module).__doc__ or ""
        for other, words in typed_commands(text):
            for flag in re.findall(r"--([a-z][a-z0-9_]*)", words):
                known = flags_of(other).names
                assert flag in known or flag.removeprefix("no") in known, (
                    f"{name}: {other} --{flag}"
                )


def test_documented_commands_are_seen() -> None:
    text = "x `python -m converter.fuse --model=a` y\n\ntflm-vit plan \\\n   --arena=3\n"
    assert typed_commands(text) == [
        ("converter.fuse", " --model=a"),
        ("converter.plan", "     --arena=3"),
    ]


def test_shared_flags_are_used() -> None:
    shared = {name for name, value in vars(flags).items() if callable(value) and name.islower()}
    used = {flag for name in COMMANDS for flag in flags_of(name).names}
    same_name = shared & used
    assert len(same_name) > 25
