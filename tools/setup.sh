#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Brings a fresh Debian machine to the point where every command of this repository works.
#
#   tools/setup.sh         what training, conversion and firmware need
#   tools/setup.sh test    Bazel, GoogleTest, QEMU and PostgreSQL too, which `make test` alone needs
#
# Installs missing Debian packages when root or password-less sudo allows it, else names them in
# one line; makes .venv with the exact Python packages of tools/locks. Does nothing when all of
# that is there. Debian 12 and 13; the packages have the same names in Ubuntu 22.04 (with
# python3.11 and python3.11-venv of its universe) and 24.04, where nobody tried it.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(gcc g++ make cmake ninja-build clang-format gcc-arm-none-eabi libnewlib-arm-none-eabi
  libstdc++-arm-none-eabi-newlib binutils-arm-none-eabi)
for_tests=(bazel-bootstrap bazel-rules-cc bazel-rules-java bazel-rules-proto bazel-platforms
  bazel-skylib libgtest-dev postgresql qemu-system-arm)
if [[ ${1:-} == test ]]; then
  packages+=("${for_tests[@]}")
fi

# A Python that there is a lock for, the system's own first.
python=
find_python() {
  local candidate version
  for candidate in python3 python3.11 python3.13 python3.12; do
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if [[ -f tools/locks/python$version.txt ]]; then
      python=$candidate
      lock=tools/locks/python$version.txt
      return
    fi
  done
}
find_python
if [[ -n $python ]]; then
  "$python" -c 'import ensurepip' 2>/dev/null || packages+=("$python-venv")
else
  packages+=(python3 python3-venv)
fi

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
  find_python
fi

if [[ -z $python ]]; then
  echo "setup: got $(python3 --version 2>&1), expected Python 3.11 (Debian 12), 3.12 or 3.13" \
    "(Debian 13); install one of them with its venv module" >&2
  exit 1
fi

stamp=.venv/.installed
want=$(cat pyproject.toml "$lock" | sha256sum | cut -d' ' -f1)
if [[ ! -f $stamp || $(<"$stamp") != "$want" ]]; then
  echo "setup: installing Python packages into .venv (about 3 GB, a few minutes)"
  # Of another Python than the lock's: made anew.
  [[ ! -e .venv || $(readlink -f .venv/bin/python) == $(readlink -f "$(command -v "$python")") ]] || rm -rf .venv
  [[ -x .venv/bin/python ]] || "$python" -m venv .venv
  # The lock is complete. Without --no-deps pip would refuse two packages that work together but
  # say otherwise (CONTRIBUTING.md, Locks).
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r "$lock"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
  echo "$want" >"$stamp"
fi
