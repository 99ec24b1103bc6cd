#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs all Bazel tests offline with Debian's bazel-bootstrap, and ends its server afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
trap 'bazel shutdown >/dev/null 2>&1' EXIT
bazel test //...
