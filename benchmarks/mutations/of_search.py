# SPDX-License-Identifier: Apache-2.0
"""Faults of the search: limits, studies, evolution of a space, replicas of a training."""

from __future__ import annotations

from benchmarks.mutations.fault import Fault

_TARGETS = "nas/cost/targets.py"
_COST_TESTS = ("tests/nas/cost/test_cost.py",)
_STUDY = "nas/search/study.py"
_SEARCH_TESTS = ("tests/nas/search/test_search.py",)
_TENDENCY = "nas/evolution/s3.py"
_EVOLUTION_TESTS = ("tests/nas/evolution/test_evolve_space.py",)
_REPLICAS = "nas/supernet/distribution.py"
_REPLICA_TESTS = (
    "tests/nas/supernet/test_distribution.py::test_replicas_train_what_one_process_trains[mirrored]",
)

FAULTS: tuple[Fault, ...] = (
    Fault("SRAM of the arena alone", _TARGETS, "self.sram_bytes - self.overhead_bytes(firmware)",
          "self.sram_bytes", _COST_TESTS),
    Fault("the larger of two limits", _TARGETS, "return max(0, min(limits)) if limits",
          "return max(0, max(limits)) if limits", _COST_TESTS),
    Fault("flash of constants alone", _TARGETS,
          "else max(0, self.flash_bytes - self.code_bytes(firmware))",
          "else max(0, self.flash_bytes)", _COST_TESTS),
    Fault("proposal over a limit", _STUDY, "if not cost.fits:\n            raise SpaceError",
          "if False:\n            raise SpaceError", _SEARCH_TESTS),
    Fault("front with the slower of two", _STUDY, "each.accuracy > front[-1].accuracy",
          "each.accuracy >= front[-1].accuracy", _SEARCH_TESTS),
    Fault("the seed of every trial is one", _STUDY,
          "entropy = (self.seed, self.worker, len(finished))",
          "entropy = (self.seed, self.worker, 0)", _SEARCH_TESTS),
    Fault("a child from one parent", "nas/search/autoformer.py",
          "able = [p for p in (one, two) if p.depth > b]", "able = [one, two]", _SEARCH_TESTS),
    Fault("towards more error", _TENDENCY, "shift = -steps_of(w, step)",
          "shift = steps_of(w, step)", _EVOLUTION_TESTS),
    Fault("steps are rounded down", _TENDENCY, "math.trunc(w / step.tau)",
          "math.floor(w / step.tau)", _EVOLUTION_TESTS),
    Fault("mean of all for the best", _TENDENCY, "best = sorted(errors)[:top]", "best = errors",
          _EVOLUTION_TESTS),
    Fault("percentages are errors", _TENDENCY, "if min(errors) < 0.0 or max(errors) > 1.0:",
          "if False:", _EVOLUTION_TESTS),
    # Replicas of a training.
    Fault("gradients added", _REPLICAS, "[value / self.replicas for value in values]",
          "list(values)", _REPLICA_TESTS),
    Fault("one share for all", _REPLICAS, "start = context.replica_id_in_sync_group * size",
          "start = 0", _REPLICA_TESTS),
    Fault("clipped apart", _REPLICAS, "        setattr(optimizer, name, lambda pairs: pairs)\n", "",
          _REPLICA_TESTS),
    Fault("own statistics", "nas/supernet/training.py",
          "job.seed, self.distribution.replicas > 1)", "job.seed, False)", _REPLICA_TESTS),
)  # fmt: skip
