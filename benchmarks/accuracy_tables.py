# SPDX-License-Identifier: Apache-2.0
"""Writes the tables in docs/accuracy.md, training.md and your_model.md from the recorded results.

    python -m benchmarks.accuracy_tables          # rewrites the parts between the markers

A test compares the files with this output.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.marked_sections import filled
from converter.sensitivity.report import short
from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("accuracy_tables", __doc__)

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "accuracy.md"
TRAINING = ROOT / "docs" / "training.md"
YOUR_MODEL = ROOT / "docs" / "your_model.md"
RESULTS = ROOT / "docs" / "results"
SHIPPED = ROOT / "keras_models" / "trained"


def _load(name: str) -> Any:
    path = RESULTS / f"accuracy_{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = "|---|" + "---:|" * (len(head) - 1)
    return [_row(head), rule, *(_row(row) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def sqnr() -> list[str]:
    """Plain and fused `vit_t_240`."""
    data = _load("vit_t_240")
    head = (f"`{data['model']}`, random weights, {data['images']} images", "runtime", "SQNR dB")
    return _table(head, [(v["name"], v["runtime"], _db(v["sqnr_db"])) for v in data["variants"]])


def foreign() -> list[str]:
    """Fused over plain of networks as people bring them, over draws of their weights."""
    data = json.loads((RESULTS / "foreign_draws.json").read_text())
    head = ("network", "draws of weights", "fused over plain, dB", "95 %", "over 1 dB worse")
    moves: dict[str, list[float]] = {}
    for each in data["results"]:
        moves.setdefault(each["network"], []).append(each["outputs"][0]["moves_steps"])
    rows = [
        (
            f"`{gain['network']}`",
            str(gain["draws"]),
            f"{gain['mean_db']:+.2f}",
            f"{gain['interval_db'][0]:+.2f}..{gain['interval_db'][1]:+.2f}",
            str(gain["worse"]),
            f"{min(moves[gain['network']]):.1f}..{max(moves[gain['network']]):.1f}",
        )
        for gain in data["gains"]
    ]
    return [*_table((*head, "output moves, steps"), rows), "", "```", data["command"], "```"]


def ranges() -> list[str]:
    """Choices of ranges: SQNR of the same network."""
    data = _load("vit_t_240")
    by_choice: dict[str, list[str]] = {}
    for v in (*data["variants"], *data["narrower"]):
        by_choice.setdefault(v["calibration"], []).append(_db(v["sqnr_db"]))
    head = (f"`{data['model']}`, SQNR dB", "plain", "fused, int8", "fused, int16")
    return _table(head, [(name, *cells) for name, cells in by_choice.items()])


def sensitivity() -> list[str]:
    """Operators of `vit_t_240`."""
    data = _load("sensitivity_vit_t_240")
    keys = ("own_db", "alone_db", "left_out_db")
    rows = [
        (short(op["label"]), op["name"], *(_db(op[key]) for key in keys))
        for op in data["operators"]
    ]
    whole = f"all in integers: {_db(data['db'])} dB"
    title = f"`{data['model']}`, int{data['residual_bits']} residual, {data['images']} images"
    lines = _table((title, "operator", "own dB", "alone dB", "left out dB"), rows)
    return [*lines, "", f"{whole[0].upper()}{whole[1:]}."]


def _accuracies(name: str) -> list[str]:
    data = _load(name)
    if data is None:
        return [f"No trained network for {name} is recorded yet."]
    head = (
        f"`{data['network']}`, {data['images']:,} test images of {data['dataset']}",
        "top-1 %",
        "95 %",
        "loss, points",
        "95 %",
        "= float %",
        "SQNR dB",
    )
    rows = [
        (
            s["name"],
            f"{100 * s['top1']:.2f}",
            f"{100 * s['low']:.2f}..{100 * s['high']:.2f}",
            f"{100 * s['loss']:+.2f}",
            f"{100 * s['loss_low']:+.2f}..{100 * s['loss_high']:+.2f}",
            f"{100 * s['agreement']:.2f}",
            _db(s["sqnr_db"]),
        )
        for s in data["scores"]
    ]
    note = f"{data['calibration_images']} calibration images, {data['calibration']} ranges"
    if epochs := data["qat_epochs"]:
        note += f"; QAT: {epochs} epoch{'' if epochs == 1 else 's'}"
    return [*_table(head, rows), "", f"{note}."]


def _trainings(trained: dict[str, Any]) -> list[dict[str, Any]]:
    """A training after those that it was begun with, first to last."""
    before = trained.get("before")
    return [*(_trainings(before) if before else ()), trained]


def _trained(name: str) -> list[str]:
    """A shipped network's accuracies, and how it was trained."""
    shipped = json.loads((SHIPPED / _load(name)["network"] / "train.json").read_text())
    *earlier, trained = _trainings(shipped)
    minutes = trained["seconds"] / 60
    validation, test = (100 * trained[f"{split}_accuracy"] for split in ("validation", "test"))
    how = (
        f"Trained for {trained['epochs']} epochs in {minutes:.0f} minutes on {trained['machine']} "
        f"(shared with other work; {trained['backend']} backend); validation {validation:.2f} %, "
        f"test {test:.2f} %. The images are a copy of CIFAR-10 as JPEG files with halved chroma, "
        "which costs points: no figure here compares with published ones."
    )
    begun = [
        f"`{before['arch']}` for {before['epochs']} epochs in {before['seconds'] / 60:.0f} minutes "
        f"(test {100 * before['test_accuracy']:.2f} %)"
        for before in earlier
    ]
    if begun:
        how += f" Trained before that, each begun with the one before: {', '.join(begun)}."
    notes = [note for one in (*earlier, trained) if (note := one.get("note"))]
    commands = [line for one in (*earlier, trained) for line in _wrapped(one["command"])]
    return [*_accuracies(name), "", " ".join((how, *notes)), "", "```", *commands, "```"]


def cifar10() -> list[str]:
    """The shipped network of 8 bits."""
    return _trained("cifar10")


def cifar10_wide() -> list[str]:
    """The shipped network that 4 bits leave room for."""
    return _trained("cifar10_wide")


def _wrapped(command: str) -> list[str]:
    """A command in lines of a readable length."""
    lines = textwrap.wrap(command, 110, break_long_words=False, break_on_hyphens=False)
    return [line + " \\" for line in lines[:-1]] + lines[-1:]


def augmentation() -> list[str]:
    """Images per CPU second, this project's and Keras' layers."""
    data = json.loads((RESULTS / "augmentation_speed.json").read_text())
    head = ("images per CPU second, one core", "Keras' layers", "here", "times", "predicted")
    rows = [
        (
            f"{each['recipe']} recipe, {each['image_size']} pixels",
            f"{each['keras']:,.0f}",
            f"{each['ours']:,.0f}",
            f"{each['times']:.1f}",
            f"{each['predicted']:,}" if each["predicted"] else "-",
        )
        for each in data["results"]
    ]
    return [*_table(head, rows), "", "```", *_wrapped(data["command"]), "```"]


def training_speed() -> list[str]:
    """Images per CPU second of whole training steps, before this project's augmentation and with
    it."""
    data = json.loads((RESULTS / "training_speed.json").read_text())
    head = (
        "images per CPU second of training, float32", "Keras' layers", "here", "no augmentation",
    )  # fmt: skip
    rows = [
        (
            f"`{each['network']}`, its recipe, batches of {each['batch']}",
            *(f"{each[kind]:,.1f}" for kind in ("keras", "ours", "none")),
        )
        for each in data["results"]
    ]
    return [*_table(head, rows), "", "```", *_wrapped(data["command"]), "```"]


def keras_io() -> list[str]:
    """The ViT from its keras.io page, on the test images and on two boards."""
    data = json.loads((RESULTS / "keras_io_vit.json").read_text())
    head = (f"{data['test_images']:,} test images", "top-1 %", "loss, points", "95 %", "= float %")
    rows = [
        (
            score["name"],
            f"{100 * score['top1']:.1f}",
            f"{100 * score['loss']:+.1f}",
            f"{100 * score['loss_low']:+.1f}..{100 * score['loss_high']:+.1f}",
            f"{100 * score['agreement']:.1f}",
        )
        for score in data["scores"]
    ]
    board, *_ = data["boards"]
    boards = " and ".join(f"`{each['board']}`" for each in data["boards"])
    note = (
        f"{data['ops_before']} operators become {data['ops_after']}. Trained for {data['epochs']} "
        f"epochs on {data['train_images']:,} images only, so that the float network has learnt "
        f"little. Projects ({', '.join(board['formats'])}) for {boards}; emulated: "
        f"{board['instructions'] / 1e6:.1f} M instructions, {board['sram_bytes']:,} bytes of SRAM, "
        f"{board['flash_bytes']:,} of flash, logits equal to the host's."
    )
    command = _wrapped(data["recorded"]["command"])
    return [*_table(head, rows), "", *textwrap.wrap(note, 120), "", "```", *command, "```"]


def pretrained() -> list[str]:
    """What fractals before a training bring."""
    path = RESULTS / "pretraining.json"
    if not path.is_file():
        return [f"Not measured yet ({path.name})."]
    record = json.loads(path.read_text())
    names = {"without": "the same training alone", "longer": "alone, for as many steps in all"}
    rows = []
    for kind, gain in record["gain"].items():
        low, high = gain["interval"]
        points = f"**{gain['points']:+.2f}**"
        rows.append(f"| {names[kind]} | {gain['seeds']} | {points} | {low:+.2f} to {high:+.2f} |")
    return [
        "| compared with | seeds | points | 95 % |",
        "|---|---:|---:|---:|",
        *rows,
        "",
        f"(`{record['network']}`, {record['images']['train']:,} training images: "
        f"`{record['command']}`.)",
    ]


DOCUMENTS: dict[Path, dict[str, Callable[[], list[str]]]] = {
    DOCUMENT: {
        "sqnr": sqnr,
        "foreign": foreign,
        "sensitivity": sensitivity,
        "ranges": ranges,
        "digits": lambda: _accuracies("digits"),
        "cifar10": cifar10,
        "cifar10_wide": cifar10_wide,
    },
    TRAINING: {
        "augmentation": augmentation,
        "training_speed": training_speed,
        "pretrained": pretrained,
    },
    YOUR_MODEL: {"keras_io": keras_io},
}


def render(document: Path, text: str) -> str:
    """The document with every marked section replaced by what the results give.

    Raises:
      ValueError: a marker is missing or there twice.
    """
    sections = {
        name: lambda made=section: "\n".join(made())
        for name, section in DOCUMENTS[document].items()
    }
    return filled(text, sections, document.name)


def _body() -> None:
    for document in DOCUMENTS:
        write_atomic(document, render(document, document.read_text()).encode())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
