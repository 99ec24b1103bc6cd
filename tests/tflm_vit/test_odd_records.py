# SPDX-License-Identifier: Apache-2.0
"""Every value of every JSON file that a command reads, changed: a line that names it, or taken."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.sensitivity.report import (
    LayerSensitivity,
    OperatorSensitivity,
    SensitivityReport,
    read_report,
)
from keras_models.load import resolve_network
from keras_models.training.finish import showing
from nas.cost.model import CostModel
from nas.cost.sampler import Sampler
from nas.cost.targets import Target
from nas.found.evolution_steps import read_evolution
from nas.space.any_space import Searchable, load_space
from nas.space.presets import SPACES
from nas.space.staged_presets import STAGED_SPACES
from nas.supernet.retraining import network_of
from tflm_vit.failures import failure_line
from tflm_vit.files import FileError, naming, read_bytes
from tflm_vit.records import checked

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2**63 - 1, 1.5, 1e308, "", "\n\x1b[2J", [], {}, [[]], {"a": 1}, ["a"],
)  # fmt: skip
_MISSING = object()
_EACH = 120
ERRORS = {"et_error": 0.3, "mean_error": 0.3, "top_error": 0.2, "share_that_fits": 1.0}


def _places(tree: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:3])
    for key, value in items:
        yield (*before, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*before, key))


def _changed(tree: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(tree)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if value is _MISSING:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return changed


def _mutants(tree: Any) -> Iterator[Any]:
    yield from (5, [], None)
    every = [(p, v) for p in _places(tree) for v in (*_VALUES, _MISSING)]
    for i in np.random.default_rng(0).permutation(len(every))[:_EACH]:
        yield _changed(tree, *every[i])


def _drawn(space: Searchable) -> Any:
    sampler = Sampler(space, CostModel(Target(sram_bytes=1 << 30, flash_bytes=1 << 30)), 0)
    return {
        "front": [
            {
                "trial": t,
                "accuracy": 0.5,
                "config": sampler.draw(np.random.default_rng(t)).to_dict(),
            }
            for t in range(2)
        ]
    }


def _of_front(space: Searchable) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        config: Any = network_of(str(path), None)
        with naming(path):
            space.check(config)
        return space.arch(config)

    return read


def _report() -> Any:
    operators = (OperatorSensitivity(0, "VitMlp", "a/b/c", 1.0, 2.0, 0.3, 4.0, 0.5),)
    layers = (LayerSensitivity("x/y/z", 1.0, None, 0.1),)
    facts = ("c", "2", "m", "minmax", 8, 4, 0.5, 0.4, 30.0)
    return json.loads(json.dumps(dataclasses.asdict(SensitivityReport(*facts, operators, layers))))


SMALL, STAGED = SPACES["digits_8"], next(iter(STAGED_SPACES.values()))
STEP = {"before": "a", "after": "b", "error_before": ERRORS, "error_after": ERRORS}
MOVE = {"name": "depth", "before": [1, 2], "after": [2, 3], "slopes": [0.1, 0.2]}
Case = tuple[str, Callable[[], Any], Callable[[Path], object]]


def _json(network: Any) -> Any:
    return json.loads(network.to_json())


CASES: dict[str, Case] = {
    "network": (
        "arch.json", lambda: _json(resolve_network("vit_t_240")),
        lambda path: resolve_network(str(path)).macs,
    ),
    "staged network": (
        "arch.json", lambda: _json(resolve_network("hybrid_32")),
        lambda path: resolve_network(str(path)).macs,
    ),
    "space": ("space.json", lambda: _json(SMALL), lambda path: load_space(path).size),
    "staged space": ("space.json", lambda: _json(STAGED), lambda path: load_space(path).size),
    "front": ("front.json", lambda: _drawn(SMALL), _of_front(SMALL)),
    "staged front": ("front.json", lambda: _drawn(STAGED), _of_front(STAGED)),
    "sensitivity": ("study.json", _report, lambda path: read_report(path).text()),
    "steps": (
        "steps.json", lambda: {"steps": [STEP]}, lambda path: read_evolution(str(path.parent)),
    ),
    "evolution": (
        "evolution.json", lambda: {"algorithm": "s3", "et_error": 0.3, "dimensions": [MOVE]},
        lambda path: read_evolution(str(path.parent)),
    ),
}  # fmt: skip


def _refusal(read: Callable[[Path], object], path: Path) -> str:
    """What a command says of a file; "" if it is taken. A defect of the toolkit is raised."""
    try:
        read(path)
    except Exception as error:
        line = failure_line(error)
        if line is None:
            raise
        return line
    return ""


@pytest.mark.parametrize("name", CASES)
def test_a_changed_value_is_a_line_with_the_file_or_taken(name: str, tmp_path: Path) -> None:
    file, make, read = CASES[name]
    path, tree = tmp_path / file, make()
    path.write_text(json.dumps(tree), encoding="utf-8")
    assert not _refusal(read, path)
    lines = []
    for mutant in _mutants(tree):
        path.write_text(json.dumps(mutant), encoding="utf-8")
        lines.append(_refusal(read, path))
    assert sum(map(bool, lines)) > 20
    for line in filter(None, lines):
        assert line.startswith(str(path))
        assert line.isprintable()


def test_figures_of_a_training_that_are_missing_name_the_record(tmp_path: Path) -> None:
    record = tmp_path / "train.json"
    record.write_text("{}", encoding="utf-8")
    pattern = f"^{record}: not a record of a training: 'params' is missing"
    report: dict[str, int] = {}
    with pytest.raises(FileError, match=pattern), showing(str(tmp_path)):
        print(report["params"])


@dataclasses.dataclass(frozen=True)
class _Fields:
    count: int
    share: float | None
    names: tuple[str, ...]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((True, None, ()), "count: got True, expected a whole number"),
        ((1, "x", ()), "share: got 'x', expected a number or null"),
        ((1, 2, ("a", 3)), "names: got ('a', 3), expected a list, each a text"),
        ((1, 2, "ab"), "names: got 'ab', expected a list, each a text"),
    ],
)
def test_fields_are_of_their_types(values: tuple[Any, ...], line: str) -> None:
    assert checked(_Fields(1, 2, ("a",))).share == 2
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        checked(_Fields(*values))


def test_a_disk_that_fails_while_a_file_is_read_is_named() -> None:
    """This file is one of 0 bytes whose first page cannot be read."""
    with pytest.raises(OSError, match="Input/output error") as found:
        read_bytes("/proc/self/mem", 1 << 20)
    assert failure_line(found.value) == "/proc/self/mem: Input/output error"
