#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/lock.sh PYTHON [CONSTRAINTS]: writes tools/locks/pythonX.Y.txt for that interpreter.
#
# What pip would install for `.[dev]` now; with a file of constraints (another lock) not newer
# packages than it has. tensorflow-model-optimization and what it needs are added where pip leaves
# them out because of absl-py: they work together (tests of quantize --qat).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:?usage: tools/lock.sh PYTHON [CONSTRAINTS]}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --dry-run --ignore-installed --quiet \
  --report "$work/report.json" ${2:+-c "$2"} '.[dev]'
"$work/venv/bin/python" - "$work/report.json" <<'EOF'
import json
import sys
from pathlib import Path

found = json.load(open(sys.argv[1], encoding="utf-8"))["install"]
pins = {p["metadata"]["name"].lower().replace("_", "-"): p["metadata"]["version"] for p in found}
del pins["tflm-vit"]
for name, version in (("tensorflow-model-optimization", "0.8.1"), ("mock", "5.2.0")):
    pins.setdefault(name, version)
version = "%d.%d" % sys.version_info[:2]
lines = [f"# Exact versions for a checkout with Python {version}; made by tools/lock.sh."]
lines += [f"{name}=={pins[name]}" for name in sorted(pins)]
Path(f"tools/locks/python{version}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
EOF
