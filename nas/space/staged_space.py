# SPDX-License-Identifier: Apache-2.0
"""`StagedSpace`: a search space whose networks have stages, each with choices of its own."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_models.parts import ACTIVATIONS, ArchError, StemLayer, without_unused
from keras_models.staged import StagedConfig
from keras_models.stages import StageGrid
from nas.space.checks import SpaceError, fail, known, load_json, made
from nas.space.dimension import Dimension
from nas.space.stage_space import StageChoice, StageSpace, parse_stage_choice, parse_stage_space
from tflm_vit.files import parse_json, write_atomic

Form = tuple[tuple[str, int], ...]  # `StageChoice.form` of each stage


@dataclasses.dataclass(frozen=True)
class StagedSubnet:
    """One network of a staged space: what each of its stages is."""

    stages: tuple[StageChoice, ...]

    @property
    def depth(self) -> int:
        """Blocks of all stages."""
        return sum(stage.depth for stage in self.stages)

    @property
    def form(self) -> Form:
        """What the supernet computes otherwise, not only narrower or shallower."""
        return tuple(stage.form for stage in self.stages)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; without what was added later and the space does not have."""
        return {"stages": _later_left_out(dataclasses.asdict(self)["stages"], self.stages)}


def parse_staged_subnet(data: object) -> StagedSubnet:
    """A `StagedSubnet` from the plain data of `StagedSubnet.to_dict`.

    Raises:
      SpaceError: an unknown or missing key.
    """
    fields = known("StagedSubnet", data, StagedSubnet)
    stages = fields.get("stages")
    if not isinstance(stages, tuple):
        fail("StagedSubnet.stages", stages, "a list")
    return StagedSubnet(
        tuple(parse_stage_choice(f"StagedSubnet.stages[{i}]", s) for i, s in enumerate(stages))
    )


@dataclasses.dataclass(frozen=True)
class StageAxis:
    """A dimension of one stage, which evolution of the space may move.

    Attributes:
      name: e.g. "stage1.width".
    """

    stage: int
    dimension: Dimension

    @property
    def name(self) -> str:
        return f"stage{self.stage}.{self.dimension.name}"

    @property
    def limits(self) -> tuple[float, float] | None:
        """Least and largest choice that evolution may reach."""
        return self.dimension.limits

    def choices(self, space: Any) -> tuple[Any, ...]:
        """What moves: whether a stage may be left out does not."""
        found = self.dimension.choices(space.stages[self.stage])
        return tuple(choice for choice in found if choice != 0)  # of depth: may be left out

    def with_choices(self, space: Any, choices: Sequence[float]) -> Any:
        """The space with others; SpaceError where they make none."""
        stages = list(space.stages)
        stage = stages[self.stage]
        kept = [choice for choice in self.dimension.choices(stage) if choice == 0]
        stages[self.stage] = self.dimension.with_choices(stage, [*kept, *choices])
        return space.replace(stages=tuple(stages))


@dataclasses.dataclass(frozen=True)
class StagedSpace:
    """Choices of each stage.

    Attributes:
      name: after which its networks are called.
      image_size, channels, num_classes, stem, activation, norm_epsilon: as in `StagedConfig`.
      stages: choices of each.
    """

    name: str
    image_size: int
    stages: tuple[StageSpace, ...]
    channels: int = 3
    num_classes: int = 1000
    stem: tuple[StemLayer, ...] = ()
    activation: str = "gelu"
    norm_epsilon: float = 1e-6

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            fail("StagedSpace.name", self.name, "a non-empty string")
        if self.activation not in ACTIVATIONS:
            fail("StagedSpace.activation", self.activation, f"one of {', '.join(ACTIVATIONS)}")
        if not isinstance(self.stages, tuple) or not self.stages:
            fail("StagedSpace.stages", self.stages, "a non-empty list of stages")
        for i, stage in enumerate(self.stages):
            stage.validate(f"StagedSpace.stages[{i}]")
        if all(stage.optional for stage in self.stages):
            fail("StagedSpace.stages", "a depth of 0 in each", "a stage that no network leaves out")
        self._check_networks()

    def _check_networks(self) -> None:
        """Every combination of forms, and every width with every MLP ratio, is a network."""
        for form in self.forms():
            part = self.of_form(form)
            here = [i for i, stage in enumerate(part.stages) if stage.depths]
            for i in here:
                stage = part.stages[i]
                decides = max((j for j in here if j <= i and part.stages[j].width), default=0)
                choices = (part.stages[decides].width or (None,), stage.mlp_ratio or (0.0,))
                for width, ratio in itertools.product(*choices):
                    part.expect_network({(decides, "width"): width, (i, "mlp_ratio"): ratio})

    def expect_network(self, given: dict[tuple[int, str], Any]) -> None:
        """Raises SpaceError unless there is one with these values, by stage and dimension, and the
        first choices of all others."""
        chosen = []
        for i, stage in enumerate(self.stages):
            values = {d.name: d.choices(stage)[0] for d in stage.dimensions()}
            values |= {name: v for (place, name), v in given.items() if place == i and v}
            chosen.append(stage.uniform(stage.blocks[0], lambda d, v=values: v[d.name]))
        try:
            self.arch(StagedSubnet(tuple(chosen)))
        except ArchError as error:
            raise SpaceError(f"StagedSpace {self.name}: {error}") from error

    # ---- networks ------------------------------------------------------------------------------

    @property
    def first_grid(self) -> StageGrid:
        """What goes into the first stage."""
        side = self.image_size
        for layer in self.stem:
            side //= layer.stride
        return StageGrid(side, self.stem[-1].channels if self.stem else self.channels)

    def arch(self, config: StagedSubnet) -> StagedConfig:
        """The architecture of a network."""
        source, stages = self.first_grid, []
        for space, choice in zip(self.stages, config.stages, strict=True):
            if choice.depth:
                stages.append(space.stage(choice, source))
                source = stages[-1].output(source)
        return StagedConfig(
            name=self.name,
            image_size=self.image_size,
            channels=self.channels,
            num_classes=self.num_classes,
            stem=self.stem,
            stages=tuple(stages),
            activation=self.activation,
            norm_epsilon=self.norm_epsilon,
        )

    def check(self, config: StagedSubnet) -> None:
        """Raises SpaceError unless the network is one of this space."""
        if len(config.stages) != len(self.stages):
            fail("StagedSubnet.stages", len(config.stages), f"{len(self.stages)} of {self.name}")
        for i, (space, choice) in enumerate(zip(self.stages, config.stages, strict=True)):
            space.check(choice, f"StagedSubnet.stages[{i}]")

    def forms(self) -> Iterator[Form]:
        """Of `StagedSubnet.form`, all."""
        return itertools.product(*(stage.forms() for stage in self.stages))

    def of_form(self, form: Form) -> StagedSpace:
        """The part of the space with that form."""
        stages = zip(self.stages, form, strict=True)
        return _unchecked(self, tuple(stage.of_form(each) for stage, each in stages))

    @property
    def size(self) -> int:
        """Exact number of networks."""
        return math.prod(stage.size for stage in self.stages)

    def sample(self, rng: np.random.Generator) -> StagedSubnet:
        """Each dimension of each stage uniform among its choices."""
        return StagedSubnet(tuple(stage.sample(rng) for stage in self.stages))

    def _extreme(self, index: int) -> StagedSubnet:
        return StagedSubnet(
            tuple(
                stage.uniform(stage.blocks[0], lambda d, s=stage: d.choices(s)[index])
                for stage in self.stages
            )
        )

    def smallest(self, form: Form | None = None) -> StagedSubnet:
        """The least of every dimension; kinds and windows as of `form`, or the first ones."""
        return self._of(form)._extreme(0)

    def largest(self, form: Form | None = None) -> StagedSubnet:
        """The most of every dimension; kinds and windows as of `form`, or the first ones."""
        return self._of(form)._extreme(-1)

    def _of(self, form: Form | None) -> StagedSpace:
        return self.of_form(form or next(iter(self.forms())))

    def replace(self, **changes: Any) -> StagedSpace:
        """A copy with some attributes changed, validated."""
        return dataclasses.replace(self, **changes)

    def axes(self) -> tuple[StageAxis, ...]:
        """What evolution of the space may move: each stage's dimensions with limits and choices."""
        every = (StageAxis(i, d) for i, s in enumerate(self.stages) for d in s.dimensions())
        return tuple(a for a in every if a.limits is not None and len(a.choices(self)) > 1)

    # ---- parameters of a trial -----------------------------------------------------------------

    def parameters(self) -> dict[str, list[Any]]:
        """Choices by name, e.g. "stage1_heads0"; of blocks up to the greatest depth."""
        found = {}
        for i, stage in enumerate(self.stages):
            for d in stage.dimensions():
                for name in _names(i, stage, d):
                    found[name] = list(d.choices(stage))
        return found

    def seldom_parameters(self) -> frozenset[str]:
        """Those that a mutation draws again as it does depth and width."""
        return frozenset(
            name
            for i, stage in enumerate(self.stages)
            for d in stage.dimensions()
            if d.seldom
            for name in _names(i, stage, d)
        )

    def from_parameters(self, params: dict[str, Any]) -> StagedSubnet:
        """The network of a trial; what its kinds of blocks do not have has no effect."""
        stages = []
        for i, stage in enumerate(self.stages):
            blocks, depth = params[f"stage{i}_blocks"], params[f"stage{i}_depth"]
            values = {}
            for d in stage.dimensions(blocks):
                each = [params[name] for name in _names(i, stage, d)]
                values[d.name] = tuple(each[:depth]) if d.per_block else each[0]
            stages.append(stage.choice(values))
        return StagedSubnet(tuple(stages))

    def to_parameters(self, config: StagedSubnet) -> dict[str, Any]:
        """A trial of a network: blocks beyond its depth repeat the last one, and what it does not
        have is the first choice."""
        params = {}
        for i, (stage, choice) in enumerate(zip(self.stages, config.stages, strict=True)):
            own = stage.dimensions(choice.blocks)
            for d in stage.dimensions():
                value = getattr(choice, d.name) if d in own else d.choices(stage)[0]
                each = value if isinstance(value, tuple) else (value,)
                for b, name in enumerate(_names(i, stage, d)):
                    params[name] = each[min(b, len(each) - 1)]
        return params

    # ---- JSON ----------------------------------------------------------------------------------

    def to_json(self) -> str:
        """JSON text with one key per attribute, in the order of the class."""
        tree = dataclasses.asdict(self)
        tree["stages"] = _later_left_out(tree["stages"], self.stages)
        return json.dumps(tree, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> StagedSpace:
        """Parses what `to_json` wrote; keys left out take their defaults.

        Raises:
          SpaceError: not JSON, an unknown or missing key, or a wrong value.
        """
        try:
            data = parse_json(text)
        except ValueError as error:
            raise SpaceError(f"StagedSpace: {error}") from error
        fields = known("StagedSpace", data, cls)
        for key, parse in (("stem", _parse_stem_layer), ("stages", parse_stage_space)):
            items = fields.get(key, ())
            if not isinstance(items, tuple):
                fail(f"StagedSpace.{key}", items, "a list")
            fields[key] = tuple(
                parse(f"StagedSpace.{key}[{i}]", item) for i, item in enumerate(items)
            )
        found: StagedSpace = made("StagedSpace", cls, fields)
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON; the file appears whole or not at all."""
        write_atomic(path, self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> StagedSpace:
        """Reads a JSON file; errors name it."""
        return load_json(path, cls.from_json)


def _later_left_out(trees: Sequence[dict[str, Any]], stages: Sequence[Any]) -> tuple[Any, ...]:
    """Of stages or their choices: without fields that came later and have their default."""
    each = zip(trees, stages, strict=True)
    return tuple(without_unused(tree, type(stage)) for tree, stage in each)


def _names(place: int, stage: StageSpace, d: Dimension) -> list[str]:
    """Parameters of a stage's dimension, of blocks one for each."""
    if not d.per_block:
        return [f"stage{place}_{d.param}"]
    return [f"stage{place}_{d.param}{b}" for b in range(max(stage.depth))]


def _parse_stem_layer(where: str, data: object) -> StemLayer:
    found: StemLayer = made(where, StemLayer, known(where, data, StemLayer))
    return found


def _unchecked(space: StagedSpace, stages: tuple[StageSpace, ...]) -> StagedSpace:
    """With parts of its stages: they are networks of a space that was checked."""
    found = object.__new__(StagedSpace)
    for field in dataclasses.fields(StagedSpace):
        value = stages if field.name == "stages" else getattr(space, field.name)
        object.__setattr__(found, field.name, value)
    return found
