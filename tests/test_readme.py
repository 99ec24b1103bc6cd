# SPDX-License-Identifier: Apache-2.0
"""The README's figures are those of the recorded results, and its commands exist."""

import importlib.util
import re

from benchmarks import readme_tables


def test_figures_come_from_the_recorded_results():
    text = readme_tables.README.read_text()
    assert readme_tables.render(text) == text, "run: python -m benchmarks.readme_tables"


def test_every_command_exists():
    commands = set(re.findall(r"python -m ([a-z_.]+)", readme_tables.README.read_text()))
    assert len(commands) > 5
    for command in commands:
        assert importlib.util.find_spec(command), command
