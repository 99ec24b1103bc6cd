# SPDX-License-Identifier: Apache-2.0
"""The locks of tools/locks are whole: `make setup` installs them with --no-deps."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCKS = {
    path.stem.removeprefix("python"): path for path in (ROOT / "tools/locks").glob("python*.txt")
}
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
# Pairs of which one states a bound that the other's does not meet, and that work together: the
# reason for --no-deps (CONTRIBUTING.md, Locks).
DISAGREE = {("tensorflow-model-optimization", "absl-py")}


def pins(version: str) -> dict[str, str]:
    lines = LOCKS[version].read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {str(canonicalize_name(name)): number for name, number in pairs}


def wanted(version: str, requirements: list[str], extra: str = "") -> list[Requirement]:
    """Those that hold for that Python."""
    found = map(Requirement, requirements)
    environment = {"python_version": version, "python_full_version": f"{version}.0", "extra": extra}
    return [r for r in found if r.marker is None or r.marker.evaluate(environment)]


def unmet(version: str, owner: str, requirements: list[Requirement]) -> list[str]:
    have, found = pins(version), []
    for requirement in requirements:
        name = str(canonicalize_name(requirement.name))
        fits = name in have and requirement.specifier.contains(have[name], prereleases=True)
        if not fits and (owner, name) not in DISAGREE:
            found.append(f"{owner} asks for {requirement}, the lock has {have.get(name)}")
    return found


@pytest.mark.parametrize("version", sorted(LOCKS))
def test_a_lock_has_what_the_wheel_and_its_extras_ask_for(version: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {k: v for k, v in project["optional-dependencies"].items() if k != "docs"}  # its own
    asked = [project["dependencies"], *extras.values()]
    flat = [r for group in asked for r in group if not r.startswith("tflm-vit[")]
    assert unmet(version, "tflm-vit", wanted(version, flat)) == []
    assert re.fullmatch(r"3\.1[123]", version)


def test_the_lock_of_this_python_is_whole_and_installed() -> None:
    if HERE not in LOCKS:
        pytest.skip(f"no lock for Python {HERE}")
    missing = []
    for name, number in pins(HERE).items():
        found = importlib.metadata.distribution(name)
        if name != "setuptools":  # of a checkout that was set up before it was locked
            assert found.version == number, name
        missing += unmet(HERE, name, wanted(HERE, found.requires or []))
    assert missing == []
