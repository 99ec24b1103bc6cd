# SPDX-License-Identifier: Apache-2.0
"""Writes the figures in README.md from the recorded results in docs/results.

    python -m benchmarks.readme_tables          # rewrites the parts between the markers

Every number in the README's tables comes from here; a test compares the file with this output.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.marked_sections import filled
from tflm_vit import flags
from tflm_vit.files import write_atomic
from tflm_vit.run import run

FLAGS = flags.FlagSet("readme_tables", __doc__)

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results"


def _load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return data


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


_M7, _M55 = "Cortex-M7", "Cortex-M55 (Helium)"
_WEIGHT_BITS = 8  # where a record says nothing else


def headline() -> str:
    """`vit_t_240` against TFLM."""
    bench, equality = _load("bench.json"), _load("equality.json")
    helium = _load("helium.json")["networks"]["vit_t_240"]
    ours = bench["networks"]["vit_t_240"]["int8"]
    forms = [
        r for r in equality["results"] if r["preset"] == "vit_t_240" and r["residual_bits"] == 8
    ]
    streamed = next(r for r in forms if r["streamed"])
    lines = [
        _row(
            "`vit_t_240`, int8",
            "core",
            "weights, bits",
            "instructions per image",
            "arena, bytes",
            "operators",
        ),
        "|---|---|---:|---:|---:|---:|",
    ]
    for base in bench["baselines"]:
        counts = f"{base['instructions']:,}", f"{base['arena_bytes']:,}"
        lines.append(_row(base["runtime"], _M7, str(_WEIGHT_BITS), *counts, "-"))
    operators = f"{streamed['ops_plain']} -> {streamed['ops_fused']}"
    bits = str(ours.get("weight_bits", _WEIGHT_BITS))
    lines += [
        _row(
            "**this project**, streamed input",
            _M7,
            bits,
            f"**{ours['instructions']:,}**",
            f"**{ours['arena_streamed_bytes']:,}**",
            operators,
        ),
        _row(
            "this project, image in the arena",
            _M55,
            bits,
            f"{helium['instructions']:,}",
            f"{helium['arena_bytes']:,}",
            operators,
        ),
    ]
    base = bench["baselines"][0]
    lines += [
        "",
        f"{base['instructions'] / ours['instructions']:.2f} times fewer instructions and "
        f"{base['arena_bytes'] / ours['arena_streamed_bytes']:.1f} times less arena than "
        f"{base['runtime']} ({base['source']}; its GELU, which TFLM lacks, by a table operator).",
    ]
    return "\n".join(lines)


def networks() -> str:
    """All benchmark networks."""
    lines = [
        _row(
            "network",
            "residual",
            "weights, bits",
            "core",
            "MAC",
            "instructions",
            "per MAC",
            "arena streamed",
            "arena resident",
            "SRAM in all",
            "flash",
        ),
        "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    recorded = _load("helium.json")
    helium = ((8, recorded["networks"]), (4, recorded["networks_4_bits"]))
    for preset, forms in _load("bench.json")["networks"].items():
        for form, f in forms.items():
            streamed = f.get("arena_streamed_bytes")
            sram = f.get("sram_total_streamed_bytes") or f["sram_total_resident_bytes"]
            lines.append(
                _row(
                    f"`{preset}`",
                    form.partition("/")[0],
                    str(f.get("weight_bits", _WEIGHT_BITS)),
                    _M7,
                    f"{f['macs']:,}",
                    f"{f['instructions']:,}",
                    f"{f['instructions'] / f['macs']:.3f}",
                    f"{streamed:,}" if streamed else "-",
                    f"{f['arena_resident_bytes']:,}",
                    f"{sram:,}",
                    f"{f['flash_bytes'] + f['external_flash_bytes']:,}",
                )
            )
        macs = forms["int8"]["macs"]
        lines += [_on_helium(preset, bits, f[preset], macs) for bits, f in helium if preset in f]
    return "\n".join(lines)


def _on_helium(preset: str, bits: int, found: dict[str, Any], macs: int) -> str:
    """A network's row of docs/results/helium.json, which has the image in the arena."""
    return _row(
        f"`{preset}`",
        "int8",
        str(bits),
        _M55,
        f"{macs:,}",
        f"{found['instructions']:,}",
        f"{found['instructions'] / macs:.3f}",
        "-",
        f"{found['arena_bytes']:,}",
        "-",
        f"{found['flash_bytes']:,}",
    )


def accuracy() -> str:
    """Logits of random-weight `vit_t_240` against float."""
    data = _load("accuracy_vit_t_240.json")
    lines = [_row("`vit_t_240`, random weights", "SQNR of the logits, dB"), "|---|---:|"]
    lines += [_row(v["name"], f"{v['sqnr_db']:.1f}") for v in data["variants"]]
    return "\n".join(lines)


def _epochs_and_seconds(trained: dict[str, Any]) -> tuple[int, float]:
    """Of a training and of all that it was begun with."""
    epochs, seconds = trained["epochs"], trained["seconds"]
    if before := trained.get("before"):
        earlier = _epochs_and_seconds(before)
        epochs, seconds = epochs + earlier[0], seconds + earlier[1]
    return epochs, seconds


def cifar10() -> str:
    """The shipped CIFAR-10 networks on the whole test set, each from its own trained weights."""
    records = [_load(name) for name in ("accuracy_cifar10.json", "accuracy_cifar10_wide.json")]
    spent = []
    for data in records:
        path = ROOT / "keras_models" / "trained" / data["network"] / "train.json"
        epochs, seconds = _epochs_and_seconds(json.loads(path.read_text(encoding="utf-8")))
        spent.append(f"`{data['network']}`: {epochs} epochs in {seconds / 60:.0f} minutes")
    how = (
        f"Two trained networks come with the sources ({'; '.join(spent)}, of two shared CPU cores; "
        "the larger one begins as the smaller), with 8 bits or, in the same flash, with 4. They "
        "are not the best that they can learn ([docs/accuracy.md](docs/accuracy.md)). The images "
        "are a copy of CIFAR-10 as JPEG files with halved chroma, which costs points: no figure "
        "here compares with published ones."
    )
    head = f"{records[0]['images']:,} test images"
    lines = [*textwrap.wrap(how, 120), "", _row(head, "top-1 %", "95 %"), "|---|---:|---:|"]
    for data in records:
        for score in data["scores"]:
            interval = f"{100 * score['low']:.2f}..{100 * score['high']:.2f}"
            name = f"`{data['network']}`, {score['name']}"
            lines.append(_row(name, f"{100 * score['top1']:.2f}", interval))
    return "\n".join(lines)


def comparison() -> str:
    """The plain model in TFLM and the fused one, counted in one run."""
    data = _load("compare_tflm.json")
    rows = [("TFLM + CMSIS-NN, plain model", r) for r in data["plain"]]
    rows += [(f"fused, {r['runtime']}", r) for r in data["fused"]]
    lines = [
        _row("`vit_t_240`, one run on the emulated Cortex-M7", "instructions", "arena, bytes"),
        "|---|---:|---:|",
    ]
    lines += [_row(name, f"{r['instructions']:,}", f"{r['arena_bytes']:,}") for name, r in rows]
    return "\n".join(lines)


SECTIONS = {
    "comparison": comparison,
    "headline": headline,
    "networks": networks,
    "accuracy": accuracy,
    "cifar10": cifar10,
}


def render(text: str) -> str:
    """The README with every marked section replaced by what the results give."""
    return filled(text, SECTIONS, "README.md")


def _body() -> None:
    write_atomic(README, render(README.read_text()).encode())


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
