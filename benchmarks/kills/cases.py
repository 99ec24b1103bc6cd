# SPDX-License-Identifier: Apache-2.0
"""The commands that are killed, on networks and data so small that a run takes seconds.

In the order in which one makes what the next one takes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.kills.case import Case
from keras_models.arch import ArchConfig
from keras_models.training.checkpoint import CHECKPOINT_FILE, read_progress
from nas.evolution.result_cache import MEASURED_FILE
from nas.search.storage import open_storage
from nas.space import Patch
from nas.space.presets import SPACES
from nas.supernet.files import TRAIN_FILE

OUT = "out"
_RECIPE = (
    "--epochs=3", "--batch_size=256", "--set=warmup_epochs=1", "--set=ema_momentum=0.9", "--seed=3",
)  # fmt: skip
_TENSORBOARD = "tensorboard"
_NETWORK = ArchConfig.uniform(
    name="tiny",
    image_size=8,
    channels=1,
    num_classes=10,
    patch_size=4,
    embed_dim=16,
    depth=1,
    heads=2,
    head_dim=8,
    mlp_ratio=1.0,
)
_SPACE = SPACES["digits_8"].replace(
    patches=(Patch(4),), embed_dim=(16, 32), depth=(1, 2), mlp_ratio=(1.0, 2.0)
)
_TARGET = ("--sram=65536",)


def _network(base: Path, folder: Path) -> None:
    _NETWORK.save(str(folder / "tiny.json"))


def _space(base: Path, folder: Path) -> None:
    _SPACE.save(str(folder / "space.json"))


def _epochs(folder: Path) -> list[str]:
    """Figures of the epochs that are over, by the checkpoint or by the record of the training."""
    found = []
    for path in sorted(folder.rglob(CHECKPOINT_FILE)):
        found += read_progress(str(path)).history
    for path in sorted(folder.rglob(TRAIN_FILE)):
        found += json.loads(path.read_text())["history"]
    timed = ("steps_per_second",)
    return [json.dumps({k: v for k, v in f.items() if k not in timed}) for f in found]


def _trials(folder: Path) -> list[str]:
    """Values of the finished trials of a study."""
    import optuna

    path = folder / OUT / "study.log"
    if not path.exists() or not path.stat().st_size:
        return []
    whole = path.with_name("copy.log")
    text = path.read_bytes()
    whole.write_bytes(text[: text.rfind(b"\n") + 1])  # a kill may have cut the last line
    try:
        summaries = open_storage(str(whole)).get_all_studies()
        if not summaries:
            return []
        study = optuna.load_study(study_name=None, storage=open_storage(str(whole)))
        done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
        return [json.dumps([t.params, t.values], sort_keys=True) for t in done]
    finally:
        whole.unlink()
        whole.with_name("copy.log.lock").unlink(missing_ok=True)


def _measured(folder: Path) -> list[str]:
    lines = []
    for path in sorted(folder.rglob(MEASURED_FILE)):
        text = path.read_bytes()
        lines += text[: text.rfind(b"\n") + 1].decode().splitlines()
    return lines + _epochs(folder)


def _old_project(base: Path, folder: Path) -> None:
    """A project of another name, which the export replaces."""
    shutil.copytree(base / "old_export" / OUT, folder / OUT)


def _fused(base: Path) -> str:
    return f"--model={base}/fuse/{OUT}/fused.tflite"


CASES = (
    Case(
        "train", "keras_models.train",
        lambda base, folder: [
            f"--network={folder}/tiny.json", f"--out={folder}/{OUT}", "--jit=off", *_RECIPE,
        ],
        finished=_epochs, ignored=(_TENSORBOARD,), prepare=_network,
    ),
    Case(
        "quantize", "converter.quantize",
        lambda base, folder: [
            f"--network={base}/train/{OUT}", "--calibration_count=16",
            f"--out={folder}/{OUT}/plain.tflite", f"--json={folder}/{OUT}/report.json",
        ],
        again=(),
    ),
    Case(
        "fuse", "converter.fuse",
        lambda base, folder: [
            f"--model={base}/quantize/{OUT}/plain.tflite", f"--out={folder}/{OUT}/fused.tflite",
            f"--json={folder}/{OUT}/report.json",
        ],
        again=(),
    ),
    Case(
        "old_export", "firmware.export",
        lambda base, folder: [_fused(base), f"--out={folder}/{OUT}", "--name=old", "--nocheck"],
        again=("--overwrite",),
    ),
    Case(
        "export", "firmware.export",
        lambda base, folder: [_fused(base), f"--out={folder}/{OUT}", "--overwrite"],
        again=(), prepare=_old_project, always_whole=True, own_cache=True,
    ),
    Case(
        "train_supernet", "nas.train_supernet",
        lambda base, folder: [
            f"--space={folder}/space.json", "--dataset=digits", f"--out={folder}/{OUT}", *_RECIPE,
            *_TARGET,
        ],
        finished=_epochs, ignored=(_TENSORBOARD,), prepare=_space,
    ),
    Case(
        "search", "nas.search",
        lambda base, folder: [
            f"--supernet={base}/train_supernet/{OUT}", f"--out={folder}/{OUT}", "--trials=12",
            "--population=6", "--count=100", "--seed=1", *_TARGET,
        ],
        finished=_trials,
        ignored=("study.log", "study.log.lock", "front.csv", "front.png"),
        dropped=("trial", "name", "rejected_over_budget"),
    ),
    Case(
        "evolve_space", "nas.evolve_space",
        lambda base, folder: [
            f"--supernet={base}/train_supernet/{OUT}", f"--out={folder}/{OUT}", "--samples=8",
            "--top=3", "--count=100", *_RECIPE, "--epochs=1", *_TARGET,
        ],
        finished=_measured, ignored=(_TENSORBOARD,),
    ),
    Case(
        "retrain", "nas.retrain",
        lambda base, folder: [
            f"--supernet={base}/train_supernet/{OUT}", f"--front={base}/search/{OUT}/front.json",
            f"--out={folder}/{OUT}", *_RECIPE,
        ],
        finished=_epochs, ignored=(_TENSORBOARD,),
    ),
)  # fmt: skip

# Cases whose results a case takes.
_TAKES = {
    "quantize": ("train",),
    "fuse": ("quantize",),
    "old_export": ("fuse",),
    "export": ("fuse", "old_export"),
    "search": ("train_supernet",),
    "evolve_space": ("train_supernet",),
    "retrain": ("train_supernet", "search"),
}


def needed_for(names: Sequence[str]) -> list[Case]:
    """The named cases and those whose results they take, in order.

    Raises:
      ValueError: no such case.
    """
    if unknown := set(names) - {case.name for case in CASES}:
        known = ", ".join(case.name for case in CASES)
        raise ValueError(f"--only: no case {', '.join(sorted(unknown))}, expected some of {known}")
    wanted, before = set[str](), set(names)
    while before != wanted:
        wanted = before
        before = wanted.union(*(_TAKES.get(name, ()) for name in wanted))
    return [case for case in CASES if case.name in wanted]
