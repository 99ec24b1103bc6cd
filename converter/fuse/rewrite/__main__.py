# SPDX-License-Identifier: Apache-2.0
"""`python -m converter.fuse.rewrite`: the rules and what each does."""

from __future__ import annotations

from converter.fuse.rewrite import RULES


def main() -> None:
    """Prints one line a rule."""
    for rule in RULES:
        print(f"{rule.name:20} {rule.summary}")


if __name__ == "__main__":
    main()
