#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings a fresh Debian machine to the point where every command of this repository works.
#
# Installs missing Debian packages when root or password-less sudo allows it, else names them in
# one line; makes .venv with the pinned Python packages. Does nothing when all of that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(python3 python3-venv gcc g++ make cmake ninja-build clang-format gcc-arm-none-eabi
  libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib binutils-arm-none-eabi bazel-bootstrap
  bazel-rules-cc bazel-rules-java bazel-rules-proto bazel-platforms bazel-skylib libgtest-dev)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  if [[ $(id -u) == 0 ]]; then
    root=()
  elif sudo -n true 2>/dev/null; then
    root=(sudo -n)
  else
    echo "setup: missing Debian packages, please run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${root[@]}" apt-get update -qq
  "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The interpreter must be the version that the pins were tested with.
python=
for candidate in python3.11 python3; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [[ -z $python ]]; then
  echo "setup: got $(python3 --version 2>&1), expected Python 3.11 (Debian 12); install python3.11" >&2
  exit 1
fi

stamp=.venv/.installed
want=$(sha256sum pyproject.toml | cut -d' ' -f1)
if [[ ! -f $stamp || $(<"$stamp") != "$want" ]]; then
  echo "setup: installing Python packages into .venv (about 3 GB, a few minutes)"
  [[ -x .venv/bin/python ]] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
  echo "$want" >"$stamp"
fi
