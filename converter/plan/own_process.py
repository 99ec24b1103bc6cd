# SPDX-License-Identifier: Apache-2.0
"""The exact search in a process that has loaded nothing but what it needs."""

from __future__ import annotations

import pickle
import subprocess
import sys

from converter.plan.problem import Placement, PlanError, Problem

# Where modules are comes first: what follows is made of them.
_CHILD = """\
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from converter.plan import cp_sat
found = cp_sat.solve(*pickle.load(sys.stdin.buffer))
sys.stdout.buffer.write(pickle.dumps(found))
"""


def solved_in_own_process(
    problem: Problem, start: Placement, time_limit_s: float, seed: int
) -> Placement:
    """What `cp_sat.solve` gives, from a new interpreter.

    Raises:
      PlanError: the process failed.
    """
    given = pickle.dumps(sys.path) + pickle.dumps((problem, start, time_limit_s, seed))
    command = [sys.executable, "-P", "-c", _CHILD]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise PlanError(
            f"the exact search ended with status {done.returncode}: "
            f"{lines[-1] if lines else 'it said nothing'}"
        )
    found = pickle.loads(done.stdout)
    assert isinstance(found, Placement)
    return found
