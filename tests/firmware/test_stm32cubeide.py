# SPDX-License-Identifier: Apache-2.0
"""STM32CubeIDE projects: complete, relative, and buildable from the .cproject alone."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from boards import board_names, get_board
from converter.runtimes.host import HostModel
from firmware.emulator.emulator import Emulator
from firmware.export import export_project
from firmware.formats.xml import Element, document
from firmware.model import project_from_model
from firmware.project import make_project
from tests.converter.compile import fused_models
from tests.firmware import cproject_build, fake_model
from tests.firmware.fake_model import FakeModel

P = cproject_build.P


def export(tmp_path, board="stm32f746g_disco", model=FakeModel()):  # noqa: B008
    directory, kernels = fake_model.write(tmp_path / "generated", model)
    project = make_project(get_board(board), directory, kernels, name="digits")
    out = tmp_path / "out"
    export_project(project, "stm32cubeide", out, check=False)
    shutil.rmtree(tmp_path / "generated")
    return out


@pytest.mark.parametrize("configuration", ["Debug", "Release"])
@pytest.mark.parametrize("board", board_names())
def test_builds_from_the_cproject_alone_and_runs(tmp_path, board, configuration):
    out = export(tmp_path, board)
    elf = cproject_build.build(out, configuration)
    emulator = Emulator(get_board(board), elf)
    image = fake_model.images(1)[0]
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))


@pytest.mark.parametrize("configuration", ["Debug", "Release"])
def test_real_kernels_in_both_configurations(tmp_path, configuration):
    """-Og must neither change a logit nor overflow the stack."""
    ops = fused_models.vit_ops(bits=16, rank=4)
    model, plan = fused_models.model_bytes(ops), fused_models.stacked_plan(ops)
    board = get_board("stm32f746g_disco")
    project = project_from_model(model, board, tmp_path, plan=plan, name="digits")
    export_project(project, "stm32cubeide", tmp_path / "out", check=False)
    emulator = Emulator(board, cproject_build.build(tmp_path / "out", configuration))
    shape = (3, *emulator.model.image_shape)
    images = np.random.default_rng(5).integers(-128, 128, shape, np.int8)
    got = np.stack([emulator.classify(image).logits for image in images])
    np.testing.assert_array_equal(got, HostModel(model, plan).run(images))
    assert emulator.stack_high_water_bytes() < board.stack_bytes * 7 // 8


def test_weights_in_external_flash(tmp_path):
    out = export(tmp_path, model=FakeModel(section=".extflash.vit_weights"))
    elf = cproject_build.build(out, "Release")
    assert (out / "Release" / "digits_external.bin").read_bytes() == fake_model.weights().tobytes()
    image = fake_model.images(1)[0]
    emulator = Emulator(get_board("stm32f746g_disco"), elf)
    np.testing.assert_array_equal(emulator.classify(image).logits, fake_model.reference(image))
    (loader,) = loaders(out)
    assert loader == {
        "fLoaderPath": "N25Q128A_STM32F746G-DISCO.stldr", "fInitialize": False, "fIsEnabled": True
    }  # fmt: skip


def loaders(out):
    """As CubeIDE 1.17 reads them; the key of earlier ones would go before it."""
    root = ET.parse(out / "digits Release.launch").getroot()
    keys = {e.get("key"): e.get("value") for e in root}
    assert "com.st.stm32cube.ide.mcu.debug.stlink.external_loader" not in keys
    return json.loads(keys["com.st.stm32cube.ide.mcu.debug.launch.cubeprog_external_loaders"])


def test_without_weights_outside_no_loader_is_named(tmp_path):
    assert loaders(export(tmp_path)) == []


def test_defaults_say_what_the_options_say(tmp_path):
    """The 28 fields of ST's projects: a setting that is reset in CubeIDE gets these values."""
    root = ET.parse(export(tmp_path) / ".cproject").getroot()
    for name, symbols in (("Debug", ["DEBUG"]), ("Release", [])):
        read = cproject_build.Configuration(root, name)
        fields = read.value("option.defaults").split(" || ")
        assert len(fields) == 28
        assert fields[0].startswith("com.st.stm32cube.ide.common.services.build.inputs.revA.")
        assert fields[1:4] == [name, "true", "Executable"]
        assert fields[5] == read.value("option.target_board")
        assert fields[10].split(" | ") == read.values("tool.c.compiler.option.includepaths")
        assert fields[13] == ""  # DEBUG belongs to the configuration
        assert fields[15].split(" | ") == read.source_folders()
        assert fields[18] == read.value("tool.c.linker.option.script")
        for tool in ("assembler", "c.compiler"):
            assert read.defines(f"tool.{tool}") == [f"-D{s}" for s in symbols]


def test_sources_are_utf_8_wherever_they_are_opened(tmp_path):
    settings = export(tmp_path) / ".settings" / "org.eclipse.core.resources.prefs"
    assert "encoding/<project>=UTF-8" in settings.read_text().splitlines()


def test_project_file_has_builders_and_natures(tmp_path):
    out = export(tmp_path)
    root = ET.parse(out / ".project").getroot()
    assert root.findtext("name") == "digits"
    natures = [n.text for n in root.iter("nature")]
    assert natures[0] == "com.st.stm32cube.ide.mcu.MCUProjectNature"
    assert natures[-1] == "org.eclipse.cdt.managedbuilder.core.ScannerConfigNature"
    assert "org.eclipse.cdt.core.cnature" in natures
    # Without a .ioc file the project must not claim to be a CubeMX one; it is C only.
    assert not any("MCUCubeProjectNature" in n or "ccnature" in n for n in natures)
    assert not list(out.glob("*.ioc"))
    builders = [b.findtext("name") for b in root.iter("buildCommand")]
    assert [b.split(".")[-1] for b in builders] == ["genmakebuilder", "ScannerConfigBuilder"]


def test_cproject_has_what_cubeide_writes(tmp_path):
    out = export(tmp_path)
    text = (out / ".cproject").read_text()
    assert text.startswith(
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<?fileVersion 4.0.0?><cproject '
        'storage_type_id="org.eclipse.cdt.core.XmlProjectDescriptionStorage">'
    )
    root = ET.fromstring(text)
    modules = [m.get("moduleId").split(".")[-1] for m in root.findall("storageModule")]
    assert modules == ["settings", "pathentry", "cdtBuildSystem", "LanguageSettingsProviders",
                       "scannerConfiguration", "refreshScope"]  # fmt: skip
    identifiers = [e.get("id") for e in root.iter() if e.get("superClass")]
    assert len(identifiers) == len(set(identifiers))
    for element in root.iter():
        superclass, identifier = element.get("superClass"), element.get("id")
        if superclass:
            prefix, number = identifier.rsplit(".", 1)
            assert prefix == superclass
            assert number.isdigit()
    for configuration in ("Debug", "Release"):
        read = cproject_build.Configuration(root, configuration)
        key = configuration.lower()
        assert read.configuration.get("parent") == f"{P}.config.exe.{key}"
        assert read.configuration.find("folderInfo").get("id") == read.element.get("id") + "."
        assert read.value("option.target_mcu") == "STM32F746NGHx"
        assert read.value("option.target_board") == "STM32F746G-DISCO"
        assert read.enumerated("option.fpu") == "fpv5-sp-d16"
        assert read.enumerated("option.floatabi") == "hard"
        tools = [t.get("superClass").removeprefix(f"{P}.tool.") for t in read.element.iter("tool")]
        assert tools[:6] == [
            "assembler", "c.compiler", "cpp.compiler", "c.linker", "cpp.linker", "archiver"
        ]  # fmt: skip
    scanners = [s.get("instanceId").split(";") for s in root.iter("scannerConfigBuildInfo")]
    known = {e.get("id") for e in root.iter()}
    for parts in scanners:
        assert len(parts) == 4
        assert all(part in known for part in parts)


def test_paths_are_relative_and_files_exist(tmp_path):
    out = export(tmp_path)
    for path in (".project", ".cproject", "digits Debug.launch", "digits Release.launch"):
        text = (out / path).read_text()
        ET.fromstring(text)
        assert str(tmp_path) not in text
        assert ":\\" not in text
    root = ET.parse(out / ".cproject").getroot()
    for configuration in ("Debug", "Release"):
        read = cproject_build.Configuration(root, configuration)
        for folder in read.source_folders():
            assert (out / folder).is_dir()
        for tool in ("assembler", "c.compiler"):
            for path in read.values(f"tool.{tool}.option.includepaths"):
                assert path.startswith("../")
                assert (out / configuration / ".." / path.removeprefix("../")).resolve()
                assert (out / path.removeprefix("../")).is_dir()


def test_exports_are_reproducible(tmp_path):
    first, second = export(tmp_path / "a"), export(tmp_path / "b")
    for path in sorted(p.relative_to(first) for p in first.rglob("*") if p.is_file()):
        assert (first / path).read_bytes() == (second / path).read_bytes()


def test_kernels_that_share_a_stem_get_different_objects(tmp_path):
    directory, kernels = fake_model.write(tmp_path / "generated")
    extra = tmp_path / "fake_kernel.S"
    extra.write_text("// SPDX-License-Identifier: Apache-2.0\n")
    project = make_project(get_board("stm32f746g_disco"), directory, [*kernels, extra])
    names = sorted(f.path.name for f in project.files if f.path.parent.name == "kernels")
    assert names == ["fake_kernel.c", "fake_kernel.h", "fake_kernel_asm.S"]


def test_xml_escapes():
    element = Element("a", Element("b", text="<&>"), k="\"'<&")
    parsed = ET.fromstring(document(element))
    assert parsed.find("b").text == "<&>"
    assert parsed.get("k") == "\"'<&"
