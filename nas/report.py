# SPDX-License-Identifier: Apache-2.0
"""`python -m nas.report --space=mcuformer_t --board=stm32f746g_disco`: what of a space fits.

Prints the size of the space, the exact share of its networks that fits SRAM and flash with the
image streamed and resident, and the largest network that fits. `--srams` names several sizes. Of a
space of stages the shares are those of random networks, with their interval.

`python -m nas.report --search=found --html=search.html`: what a search found, also while it runs:
the front, all trials, what each dimension matters, and with `--evolved` the steps of the space.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from converter.page import expect_charts
from nas import command as shared
from nas.cost import published
from nas.cost.census import constant_room, take_census
from nas.cost.census_figures import Census
from nas.cost.model import CostModel
from nas.search.storage import STUDY_FILE
from nas.space import SearchSpace, SubnetConfig
from nas.space.any_space import AnySubnet, Searchable
from nas.space.describe import describe
from nas.space.presets import get_space
from tflm_vit import flags
from tflm_vit.files import expect_writable, write_atomic, write_json
from tflm_vit.run import run, typed_command

FLAGS = flags.FlagSet("report", __doc__)
shared.space(FLAGS)
FLAGS.words("srams", [], "Several SRAM sizes in bytes, each as --sram.")
FLAGS.string("search", "", "Folder of nas.search: reports what it found instead of a space.")
shared.storage(FLAGS, "Without it study.log in --search.")
FLAGS.string("evolved", "", "Folder of nas.evolve_space, whose steps are shown beside --search.")
flags.json(FLAGS)
flags.html(FLAGS)
shared.define_target_flags(FLAGS)


EXTERNAL_FLASH_BYTES = 16 * 1024 * 1024  # of the option that is shown where nothing fits


def share(part: int, total: int) -> str:
    """A share of a count in percent; a part that is not all or nothing is never shown as such."""
    if part in (0, total):
        return f"{100 * part // total} %"
    return f"{min(99.99, max(0.01, 100 * part / total)):.2f} %"


def as_dict(space: Searchable, model: CostModel, census: Census) -> dict[str, Any]:
    """One row as plain data."""

    def network(config: AnySubnet | None) -> dict[str, Any] | None:
        if config is None:
            return None
        figures = dataclasses.asdict(model.cost(space.arch(config)))
        return {"config": config.to_dict(), **figures}

    total = census.total
    estimated = {"drawn": census.drawn, "share_both_within": census.interval}
    return {
        **(estimated if census.drawn else {}),
        "target": model.target.to_dict(),
        "streamed": model.streamed,
        "networks": total,
        "fit_sram": census.fit_sram,
        "fit_flash": census.fit_flash,
        "fit_both": census.fit_both,
        "share_sram": census.fit_sram / total,
        "share_flash": census.fit_flash / total,
        "share_both": census.fit_both / total,
        "largest": network(census.largest),
        "least_sram": network(census.least_sram),
        "least_flash": network(census.least_flash),
    }


def _print_row(space: Searchable, model: CostModel, census: Census) -> None:
    total, target = census.total, model.target
    mode = "streamed" if model.streamed else "resident"
    print(f"SRAM {target.describe_sram()}, image {mode}")
    if census.drawn:
        print(
            f"  shares of {census.drawn} random networks, within {100 * census.interval:.1f} points"
        )
    print(f"  fits SRAM      {share(census.fit_sram, total)} of the networks")
    room = constant_room(space, model, census.largest or census.least_flash)
    if room is not None:
        where = "external" if target.external_flash_bytes is not None else "internal"
        print(
            f"  fits flash     {share(census.fit_flash, total)} ({room:,} bytes for constants, "
            f"{where})"
        )
        print(f"  fits both      {share(census.fit_both, total)}")
    if census.largest is not None:
        print(f"  largest        {describe(space, census.largest)}")
        print(f"                 {model.cost(space.arch(census.largest)).describe()}")
        return
    for name, config in (("SRAM", census.least_sram), ("flash", census.least_flash)):
        cost = model.cost(space.arch(config))
        print(f"  least {name:<8} {describe(space, config)}")
        print(f"                 {cost.describe()}")


def _print_flash_option(space: Searchable, model: CostModel, census: Census) -> None:
    """What external flash would change, where internal flash holds no network of the space."""
    if census.fit_flash or model.target.external_flash_bytes is not None:
        return
    lightest = model.cost(space.arch(census.least_flash))
    print(
        f"\nNo network of {space.name} fits the {model.target.flash_bytes:,} bytes of internal "
        f"flash: the smallest has {lightest.params:,} parameters, {lightest.constant_bytes:,} "
        "bytes of constants."
    )
    if isinstance(census.least_flash, SubnetConfig) and _published(space):
        count = published.parameters(space, census.least_flash)  # type: ignore[arg-type]
        print(f"As published, three matrices for each layer, it has {count:,} parameters.")
    target = dataclasses.replace(model.target, external_flash_bytes=EXTERNAL_FLASH_BYTES)
    option = take_census(space, dataclasses.replace(model, target=target))
    print(
        f"With the weights in {EXTERNAL_FLASH_BYTES // 2**20} MB of QSPI flash (--external_flash="
        f"{EXTERNAL_FLASH_BYTES}) {share(option.fit_both, option.total)} of the networks fit."
    )


def _published(space: Searchable) -> bool:
    """Whether it is one of MCUFormer's."""
    if not isinstance(space, SearchSpace) or space.ranks is None:
        return False
    return not space.ranks.dense_when_smaller


def _print_published(space: Searchable, limits: list[int | None]) -> None:
    """The published memory model beside the planner's figures, for MCUFormer's spaces."""
    if not isinstance(space, SearchSpace) or space.ranks is None:
        return
    if space.ranks.per_block or 0.9 not in space.ranks.ratios:
        return
    for limit in limits:
        if limit is not None:
            part = published.legal_share(space, 0.9, 16, limit)
            print(
                f"Published memory model, {limit:,} bytes, rank ratio 0.9, patch 16: "
                f"{100 * float(part):.1f} % of the networks"
            )


def _bytes(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise ValueError(f"--srams: got {text!r}, expected bytes")
    return int(text)


def _report_search() -> None:
    """What a search found."""
    from nas.found.evolution_steps import read_evolution
    from nas.found.results import read_search

    if FLAGS.html:
        expect_charts("--html")
    expect_writable(FLAGS.json, FLAGS.html)
    found = read_search(FLAGS.storage or os.path.join(FLAGS.search, STUDY_FILE))
    if FLAGS.evolved:
        found = dataclasses.replace(found, evolution=read_evolution(FLAGS.evolved))
    print(f"{found.space}: {len(found.trials)} networks evaluated, {len(found.front)} on the front")
    for trial in found.members():
        print(f"{100 * trial.accuracy:>6.2f} % {trial.latency_ms:>9.1f} ms (estimate)  "
              f"{trial.network}")  # fmt: skip
    for each in found.importances:
        print(f"{100 * each.share:>6.1f} % of the variance of the accuracy: {each.dimension}")
    if FLAGS.json:
        write_json(
            FLAGS.json, {"command": typed_command("nas.report"), **dataclasses.asdict(found)}
        )
    if FLAGS.html:
        from nas.found.page import search_page  # the charts' library

        write_atomic(FLAGS.html, search_page(found).encode())


def _body() -> None:
    if FLAGS.search or FLAGS.storage:
        _report_search()
        return
    for name in ("html", "evolved"):
        if FLAGS[name].value:
            raise ValueError(f"--{name}: expected --search, a folder of nas.search, to report on")
    _report_space()


def _report_space() -> None:
    expect_writable(FLAGS.json)
    space = get_space(FLAGS.space)
    limits: list[int | None] = [_bytes(text) for text in FLAGS.srams] or [None]
    base = shared.cost_model(FLAGS)
    if limits == [None]:
        limits = [base.target.sram_bytes]
    modes = [True, False] if not FLAGS["streamed"].given else [FLAGS.streamed]
    print(f"{space.name}: {space.size:,} networks")
    rows = []
    model, census = base, None
    for limit in limits:
        for streamed in modes:
            target = dataclasses.replace(base.target, sram_bytes=limit)
            model = dataclasses.replace(base, target=target, streamed=streamed)
            census = take_census(space, model)
            _print_row(space, model, census)
            rows.append(as_dict(space, model, census))
    assert census is not None
    _print_flash_option(space, model, census)
    _print_published(space, limits)
    if FLAGS.json:
        figures = {"space": space.name, "networks": space.size, "rows": rows}
        write_json(FLAGS.json, {"command": typed_command("nas.report"), **figures})


def main(argv: Sequence[str] | None = None) -> None:
    run(FLAGS, _body, argv)


if __name__ == "__main__":
    main()
