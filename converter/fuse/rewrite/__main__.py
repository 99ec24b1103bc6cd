# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.fuse.rewrite`: the rules and what each does."""

from __future__ import annotations

from collections.abc import Sequence

from converter.fuse.rewrite import RULES
from tflm_vit import flags
from tflm_vit.run import run

FLAGS = flags.FlagSet("rewrite", __doc__)


def _body() -> None:
    for rule in RULES:
        print(f"{rule.name:20} {rule.summary}")


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
