# SPDX-License-Identifier: Apache-2.0
"""The table of arenas in docs/memory.md is what the planner computes."""

import pathlib

from converter.plan import PlanError, plan_graph
from converter.plan.weightless import weightless_graph
from keras_models.presets import PRESETS

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "memory.md"
NETWORKS = ("vit_t_240", "mcuformer_t_max", "vit_s_240", "vit_micro_32", "vit_digits")


def arena(preset, bits, streamed):
    try:
        placement = plan_graph(*weightless_graph(PRESETS[preset], bits), streamed)[1]
    except PlanError:
        return "-"  # a stem reads the image
    assert placement.optimal
    return f"{placement.arena_bytes[0]:,}"


def table():
    return [
        f"| `{preset}` | int{bits} | {arena(preset, bits, True)} | {arena(preset, bits, False)} |"
        for preset in NETWORKS
        for bits in (8, 16)
    ]


def test_table_of_arenas():
    lines = PAGE.read_text().splitlines()
    start = lines.index("| network | residual | streamed | resident |") + 2
    expected = table()
    assert lines[start : start + len(expected)] == expected, "\n".join(expected)
