# SPDX-License-Identifier: Apache-2.0
"""What seeds stand for: stored searches, trainings and records go on only if none of this changes.

`frozen_streams.json` was written by the code that made the records in docs/results; run this file
to see today's. A new dimension adds nothing to a space that does not have it.
"""

import dataclasses
import hashlib
import json
import pathlib

import numpy as np
import pytest

from nas.evolution.s3 import Measured
from nas.evolution.space_step import describe_space, evolve_once, values_of
from nas.search.autoformer import EvolutionSettings, cross, mutate
from nas.search.encoding import distributions, params_of
from nas.space.describe import describe
from nas.space.presets import SPACES
from nas.supernet.masks import masks_of, widths_of

RECORD = pathlib.Path(__file__).with_name("frozen_streams.json")
MASKS = ("dim", "gate", "heads", "hidden", "qkv", "proj", "fc1", "fc2")
KINDS = {
    **SPACES,
    "mcu_32 dense": SPACES["mcu_32"].replace(ranks=None),
    "mcu_32 network": SPACES["mcu_32"].replace(
        ranks=dataclasses.replace(SPACES["mcu_32"].ranks, per_block=False)
    ),
}


def digest(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def neighbours(space):
    """Mutations and crossovers, each of what came before."""
    rng, settings = np.random.default_rng(11), EvolutionSettings()
    one, two, found = space.sample(rng), space.sample(rng), []
    for _ in range(60):
        one, two = mutate(space, one, rng, settings), cross(space, one, two, rng)
        found += [one.to_dict(), two.to_dict()]
    return found


def moves(space, configs):
    """One step of the space, with errors that fall with every dimension."""
    measured = [
        Measured(values, 0.9 - 0.8 * float(np.mean([v / (9.0 + v) for v in values.values()])))
        for values in map(values_of, configs)
    ]
    evolved = evolve_once(space, measured, 20)
    return [(d.name, d.before, d.after) for d in evolved.dimensions], evolved.after.to_json()


def masks(space, configs):
    widths = widths_of(space)
    found = [masks_of(space, widths, c) for c in configs]
    return [[[m[name].shape, m[name].tolist()] for name in MASKS] for m in found]


def today(name):
    space = KINDS[name]
    configs = [space.sample(np.random.default_rng((7, i))) for i in range(60)]
    return {
        "json": digest(space.to_json()),
        "size": str(space.size),
        "sample": digest([c.to_dict() for c in configs]),
        "extremes": digest([space.smallest().to_dict(), space.largest().to_dict()]),
        "arch": digest([space.arch(c).to_json() for c in configs]),
        "text": digest([describe(space, c) for c in configs]),
        "space_text": describe_space(space),
        "trial": digest([[k, list(d.choices)] for k, d in distributions(space).items()]),
        "parameters": digest([sorted(params_of(space, c).items()) for c in configs]),
        "neighbours": digest(neighbours(space)),
        "masks": digest(masks(space, configs[:6])),
        "moves": digest(moves(space, configs)),
    }


@pytest.mark.parametrize("name", KINDS)
def test_streams(name):
    assert today(name) == json.loads(RECORD.read_text())[name]


if __name__ == "__main__":
    print(json.dumps({name: today(name) for name in KINDS}, indent=1))
