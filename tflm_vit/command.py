# SPDX-License-Identifier: Apache-2.0
"""`tflm-vit VERB [flags]`: every command of the toolkit by its name."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import sys

from tflm_vit import __version__, start
from tflm_vit.installed import InstallError, expect_own_rooms


@dataclasses.dataclass(frozen=True)
class Verb:
    """A command: what is typed, the module with its `main`, and what it does in a line."""

    name: str
    module: str
    does: str


VERBS = (
    Verb("train", "keras_models.train", "Trains a network."),
    Verb("render_scenes", "keras_models.render_scenes", "Renders scenes: depth, labels, boxes."),
    Verb("compose_canvases", "keras_models.compose_canvases", "Composes pictures with boxes."),
    Verb("pose_questions", "keras_models.pose_questions", "Poses questions about shapes."),
    Verb("cut_texts", "keras_models.cut_texts", "Cuts texts by language or topic."),
    Verb("speak_words", "keras_models.speak_words", "Makes spectrograms of spoken digits."),
    Verb("import_weights", "keras_models.import_weights", "Takes weights trained in PyTorch."),
    Verb("quantize", "converter.quantize.__main__", "Turns a network into a plain int8 .tflite."),
    Verb("sensitivity", "converter.sensitivity.__main__", "Measures what quantizing costs."),
    Verb("fuse", "converter.fuse.__main__", "Rewrites a plain int8 .tflite to fused operators."),
    Verb("plan", "converter.plan.__main__", "Plans the memory of a .tflite."),
    Verb("inspect", "converter.inspect.__main__", "Reports memory, flash and work of a .tflite."),
    Verb("evaluate", "converter.evaluate.__main__", "Scores a .tflite on a data set."),
    Verb("compile", "converter.compile.__main__", "Turns a fused .tflite into C."),
    Verb("build", "firmware.build", "Builds a firmware image of a fused .tflite."),
    Verb("export", "firmware.export", "Writes a firmware project for a build system."),
    Verb("emulate", "firmware.emulate", "Runs firmware on an emulated board."),
    Verb("client", "firmware.client", "Sends images to a board and checks its answers."),
    Verb("report", "nas.report", "Counts what of a space fits a board; shows what a search found."),
    Verb("train_supernet", "nas.train_supernet", "Trains one set of weights for a space."),
    Verb("search", "nas.search.__main__", "Searches a supernet for networks that fit a board."),
    Verb("retrain", "nas.retrain", "Trains a network that a search found."),
    Verb("evolve_space", "nas.evolve_space", "Moves a search space towards a better one."),
)
_NAME = "tflm-vit"


def _overview() -> str:
    width = max(len(verb.name) for verb in VERBS)
    return "\n".join(
        [
            f"{_NAME} VERB [flags]: transformers from Keras to microcontrollers.",
            "",
            *(f"  {verb.name:<{width}}  {verb.does}" for verb in VERBS),
            "",
            f"{_NAME} VERB --help lists the flags of a verb; {_NAME} --version says which this is.",
        ]
    )


def _refuse(line: str) -> None:
    print(f"{_NAME}: {line}; --help lists the verbs", file=sys.stderr)
    sys.exit(2)


def _verb(name: str) -> Verb:
    for verb in VERBS:
        if verb.name == name.replace("-", "_"):
            return verb
    near = difflib.get_close_matches(name, [verb.name for verb in VERBS], 1)
    _refuse(f"no verb {name!r}{f', did you mean {near[0]}?' if near else ''}")
    raise AssertionError  # unreachable


def main() -> None:
    """Runs the command that the first word names, with the others as its flags."""
    start.command(_NAME)
    words = sys.argv[1:]
    if not words:
        _refuse("got no verb")
    if words[0] in ("--help", "-h", "help"):
        print(_overview())
    elif words[0] == "--version":
        print(__version__)
    else:
        verb = _verb(words[0])
        start.command(verb.name)
        sys.argv = [f"{_NAME} {verb.name}", *words[1:]]
        try:
            expect_own_rooms()
        except InstallError as error:
            print(f"{verb.name}: {error}", file=sys.stderr)
            sys.exit(1)
        importlib.import_module(verb.module).main()
