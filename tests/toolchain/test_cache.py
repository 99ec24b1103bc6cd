# SPDX-License-Identifier: Apache-2.0
"""Damaged entries are made again, processes do not disturb each other, and nothing goes where it
does not belong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import toolchain
from tflm_custom_ops import host_library
from toolchain import ToolchainError, cached, digest
from toolchain.cache import OLD_VARIABLES, VARIABLE, folder

ROOT = Path(__file__).parents[2]
KEY = digest("key")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Maker:
    """Counts how often it is asked."""

    def __init__(self, content: bytes = b"content" * 100) -> None:
        self.content, self.calls = content, 0

    def __call__(self, work: Path) -> Path:
        self.calls += 1
        path = work / "made"
        path.write_bytes(self.content)
        return path


def files(cache: Path) -> list[Path]:
    return sorted(path for path in cache.rglob("*") if path.is_file())


def test_an_entry_is_made_once(cache: Path) -> None:
    make = Maker()
    first = cached("kind", "name", ".so", KEY, make)
    assert cached("kind", "name", ".so", KEY, make) == first
    assert make.calls == 1
    assert first.read_bytes() == make.content
    assert first.is_relative_to(cache / "kind")
    assert first.name.startswith(f"name-{KEY}-")
    assert files(cache) == [first]
    for other in (("else", "name", KEY), ("kind", "else", KEY), ("kind", "name", digest("other"))):
        kind, name, key = other
        assert cached(kind, name, ".so", key, make) != first
    assert make.calls == 4


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "longer"])
def test_a_damaged_entry_is_made_again(cache: Path, damage: str) -> None:
    make = Maker()
    path = cached("kind", "name", ".so", KEY, make)
    content = path.read_bytes()
    path.write_bytes({
        "truncated": content[: len(content) // 2],
        "empty": b"",
        "flipped": bytes([content[0] ^ 1]) + content[1:],
        "longer": content + b"\0",
    }[damage])  # fmt: skip
    assert cached("kind", "name", ".so", KEY, make).read_bytes() == content
    assert make.calls == 2
    assert len(files(cache)) == 1
    cached("kind", "name", ".so", KEY, make)
    assert make.calls == 2


@pytest.fixture(scope="module")
def objects() -> list[Path]:
    """The kernels' objects in the cache of this run: with them a new cache has only to link."""
    return sorted(host_library.build().parents[1].rglob("*.o"))


def copy_objects(objects: list[Path], cache: Path) -> None:
    for path in objects:
        target = cache / host_library.KIND / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


@pytest.mark.parametrize("damage", [b"", None], ids=["empty", "truncated"])
def test_a_damaged_library_is_made_again(
    objects: list[Path], cache: Path, damage: bytes | None
) -> None:
    """The real thing: loading a truncated one is a bus error, an empty one is no library."""
    copy_objects(objects, cache)
    script = "from tflm_custom_ops import host_library as h; h.library(); print(h.build())"
    environment = {**os.environ, VARIABLE: str(cache)}
    command = [sys.executable, "-c", script]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        library = Path(done.stdout.strip())
        content = library.read_bytes()
        assert len(content) > 10_000
        library.write_bytes(content[:5000] if damage is None else damage)


def test_what_fails_leaves_nothing(cache: Path) -> None:
    def fail(work: Path) -> Path:
        (work / "half").write_bytes(b"x")
        raise ToolchainError("no")

    with pytest.raises(ToolchainError, match="no"):
        cached("kind", "name", ".so", KEY, fail)
    assert not files(cache)
    assert not list(cache.rglob(".building-*"))


def test_what_a_killed_process_left_is_swept(cache: Path) -> None:
    path = cached("kind", "name", ".so", KEY, Maker())
    old, new = path.parent / ".building-old", path.parent / ".building-new"
    for left in (old, new):
        left.mkdir()
        (left / "half.o").write_bytes(b"x")
    long_ago = time.time() - 100_000
    os.utime(old, (long_ago, long_ago))
    path.unlink()
    cached("kind", "name", ".so", KEY, Maker())
    assert not old.exists()
    assert new.exists(), "somebody may be at work there"


WORKER = """
import sys, time
from pathlib import Path
from toolchain import cached
def make(work):
    time.sleep(0.3)
    path = work / "made"
    path.write_bytes(b"content" * 100_000)
    return path
for _ in range(5):
    path = cached("kind", "name", ".so", sys.argv[1], make)
    assert path.read_bytes() == b"content" * 100_000
print(path)
"""


def test_processes_at_the_same_entry(cache: Path) -> None:
    environment = {**os.environ, VARIABLE: str(cache)}
    command = [sys.executable, "-c", WORKER, KEY]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    paths = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(paths) == 1
    assert len(files(cache)) == 1


def test_a_folder_that_can_not_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(VARIABLE, str(blocked / "cache"))
    with pytest.raises(ToolchainError, match=rf"set \${VARIABLE} to a writable folder") as error:
        cached("kind", "name", ".so", KEY, Maker())
    assert "\n" not in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_serves_what_it_has(cache: Path) -> None:
    make = Maker()
    path = cached("kind", "name", ".so", KEY, make)
    for place in (cache, *cache.rglob("*")):
        place.chmod(0o555 if place.is_dir() else 0o444)
    try:
        assert cached("kind", "name", ".so", KEY, make) == path
        with pytest.raises(ToolchainError, match="cannot write compiled code there"):
            cached("kind", "name", ".so", digest("other"), make)
    finally:
        for place in (cache, *cache.rglob("*")):
            if place.is_dir():
                place.chmod(0o755)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_read_only_cache_serves_another_user(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = public / "cache"
    monkeypatch.setenv(VARIABLE, str(cache))
    path = cached("kind", "name", ".so", KEY, Maker())
    for place in (cache, *cache.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    script = (
        "import sys; sys.dont_write_bytecode = True; from pathlib import Path;"
        "from toolchain import cached, digest\n"
        "def make(work): raise SystemExit('asked to make it')\n"
        f"print(cached('kind', 'name', '.so', {KEY!r}, make))\n"
        "try: cached('kind', 'name', '.so', digest('other'), make)\n"
        "except Exception as error: print(error)\n"
    )
    python = "/usr/bin/python3"  # the tests' own may lie in a folder that others cannot read
    version = "import sys; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([python, "-c", version], check=False).returncode:
        pytest.skip(f"{python} is older than 3.11")
    package = public / "package"
    shutil.copytree(Path(toolchain.__file__).parent, package / "toolchain")
    for place in (package, *package.rglob("*")):
        place.chmod(0o755 if place.is_dir() else 0o644)
    command = ["setpriv", "--reuid=65534", "--clear-groups", python, "-c", script]
    environment = {"PATH": os.environ["PATH"], VARIABLE: str(cache), "PYTHONPATH": str(package)}
    done = subprocess.run(
        command, env=environment, cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    served, refused = done.stdout.splitlines()
    assert served == str(path)
    assert f"set ${VARIABLE} to a writable folder" in refused


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert folder() == ROOT / "build" / "cache"
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert folder() == tmp_path
    for old in OLD_VARIABLES:
        monkeypatch.setenv(old, str(tmp_path))
        with pytest.raises(ToolchainError, match=rf"{old} is not read any more; set \${VARIABLE}"):
            folder()
        monkeypatch.delenv(old)


@pytest.mark.parametrize("named", [True, False], ids=["XDG_CACHE_HOME", "HOME"])
def test_an_installed_package_is_not_written_into(
    objects: list[Path], tmp_path: Path, named: bool
) -> None:
    site = tmp_path / "site-packages"
    for package in ("toolchain", "tflm_custom_ops"):
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, site / package, ignore=skip)
    before = sorted(site.rglob("*"))
    environment = {k: v for k, v in os.environ.items() if k not in (VARIABLE, "XDG_CACHE_HOME")}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(site)}
    expected = tmp_path / "home" / ".cache" / "tflm-vit"
    if named:
        environment["XDG_CACHE_HOME"] = str(tmp_path / "xdg")
        expected = tmp_path / "xdg" / "tflm-vit"
    copy_objects(objects, expected)
    script = (
        "from tflm_custom_ops import host_library as h; h.library(); print(h.__file__, h.build())"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded, library = done.stdout.split()
    assert Path(loaded).is_relative_to(site)
    assert Path(library).is_relative_to(expected)
    assert sorted(site.rglob("*")) == before
