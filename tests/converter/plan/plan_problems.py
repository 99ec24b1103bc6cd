# SPDX-License-Identifier: Apache-2.0
"""Random placement problems for the planner's tests."""

import random

from converter.plan.problem import Buffer, Overwrite, Problem


def random_problem(seed: int, most_buffers: int = 14, with_overwrites: bool = True) -> Problem:
    """Up to ``most_buffers`` buffers over a few steps, some of which may overwrite others."""
    rng = random.Random(seed)
    steps = rng.randint(2, 10)
    buffers = []
    for i in range(rng.randint(1, most_buffers)):
        lower = rng.randint(0, steps - 1)
        upper = rng.randint(lower + 1, min(steps, lower + rng.choice((2, 3, steps))))
        size = rng.choice((0, 1, 16, 17, rng.randint(1, 200), rng.randint(1, 2000)))
        buffers.append(Buffer(f"b{i}", size, lower, upper, rng.choice((1, 4, 16, 16, 16))))
    overwrites = []
    if with_overwrites:
        for a in buffers:
            for b in buffers:
                if a.lower < b.lower == a.upper - 1 and rng.random() < 0.5:
                    margin = rng.choice((None, 0, rng.randint(0, 300)))
                    overwrites.append(Overwrite(a.id, b.id, margin))
    return Problem(tuple(buffers), tuple(overwrites))
