# SPDX-License-Identifier: Apache-2.0
"""What has to be in place before a command imports what it needs, which may take seconds."""

from __future__ import annotations

import os
import sys

from tflm_vit.interrupt import guard_command


def package_of_commands(package: str) -> None:
    """The first statement of a package whose modules run as `python -m PACKAGE.COMMAND`.

    Ctrl-C is one line from here on, and TensorFlow keeps its start-up messages for itself. Does
    nothing where the package is a library: runpy leaves "-m" in `sys.argv` only while it looks for
    the module that it is to run.
    """
    if sys.argv[:1] != ["-m"] or "-m" not in sys.orig_argv[:-1]:
        return
    module = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    if module.split(".")[0] == package:
        command(module.rpartition(".")[2])


def command(name: str) -> None:
    """The same for a process that is known to be the command `name`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    guard_command(name)
