# SPDX-License-Identifier: Apache-2.0
"""What all commands share: one line for an error, and how a result was made."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Sequence

_INTERRUPTED = 130  # 128 + SIGINT, what a shell expects


def run(
    name: str,
    argv: Sequence[str],
    body: Callable[[], None],
    errors: tuple[type[Exception], ...] = (),
) -> None:
    """Runs the body of a command; bad input or Ctrl-C end it with one line on standard error.

    Args:
      name: what the line begins with.
      argv: of absl's `main`: only the program's name, as these commands take flags only.
      body: what the command does; has removed its temporary files when it raises.
      errors: exceptions that are bad input, besides ValueError and OSError.
    """
    if len(argv) > 1:
        sys.exit(f"{name}: unexpected argument {argv[1]!r}; expected flags only, --help lists them")
    bad_input: tuple[type[Exception], ...] = (ValueError, *errors)
    try:
        body()
    except OSError as error:
        path = error.filename2 or error.filename  # of a copy: the destination
        sys.exit(f"{name}: {path}: {error.strerror}" if path else f"{name}: {error}")
    except bad_input as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def typed_command(module: str) -> str:
    """This process as `python -m module flags`, for a record of how a result was made.

    Absolute paths are shortened to their last part: they say nothing on another machine.
    """
    words = [re.sub(r"(^|=)/(?:[^/]+/)*(?=[^/]+/*$)", r"\1", word) for word in sys.argv[1:]]
    return shlex.join(["python", "-m", module, *words])
