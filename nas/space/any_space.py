# SPDX-License-Identifier: Apache-2.0
"""Spaces of either kind, of one stage or of several: what searches and supernets take of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from keras_models.staged import Architecture
from nas.space.checks import SpaceError, load_json
from nas.space.search_space import SearchSpace
from nas.space.staged_space import StagedSpace, StagedSubnet, parse_staged_subnet
from nas.space.subnet import SubnetConfig, parse_subnet
from tflm_vit.files import parse_json


class AnySubnet(Protocol):
    """One network of a space: `SubnetConfig` or `StagedSubnet`."""

    @property
    def depth(self) -> int:
        """Its blocks."""
        ...

    @property
    def form(self) -> Any:
        """What the supernet computes otherwise, not only narrower or shallower."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        ...

    def __hash__(self) -> int: ...


class Searchable(Protocol):
    """A `SearchSpace` or a `StagedSpace`."""

    @property
    def name(self) -> str: ...

    @property
    def image_size(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def num_classes(self) -> int: ...

    @property
    def size(self) -> int:
        """Exact number of networks."""
        ...

    def arch(self, config: Any, /) -> Architecture:
        """The architecture of a network, as it is deployed."""
        ...

    def check(self, config: Any, /) -> None:
        """Raises SpaceError unless the network is one of this space."""
        ...

    def forms(self) -> Iterable[Any]:
        """Of `AnySubnet.form`, all."""
        ...

    def of_form(self, form: Any, /) -> Searchable:
        """The part of the space with that form."""
        ...

    def sample(self, rng: np.random.Generator) -> AnySubnet:
        """Each dimension uniform among its choices."""
        ...

    def smallest(self, form: Any = None, /) -> AnySubnet:
        """The least of every dimension."""
        ...

    def largest(self, form: Any = None, /) -> AnySubnet:
        """The most of every dimension."""
        ...

    def parameters(self) -> dict[str, list[Any]]:
        """Of a trial: choices by name."""
        ...

    def from_parameters(self, params: dict[str, Any]) -> AnySubnet:
        """The network of a trial."""
        ...

    def to_parameters(self, config: Any, /) -> dict[str, Any]:
        """The trial of a network."""
        ...

    def replace(self, **changes: Any) -> Searchable:
        """A copy with some attributes changed, validated."""
        ...

    def to_json(self) -> str: ...

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON; the file appears whole or not at all."""
        ...

    def __hash__(self) -> int: ...


def expect_one_stage(space: Searchable, whose: str) -> SearchSpace:
    """The space, for what knows one stage only.

    Raises:
      SpaceError: it has stages; the message names `whose`.
    """
    if not isinstance(space, SearchSpace):
        raise SpaceError(f"{whose}: {space.name} has stages, expected a space of one stage")
    return space


def expect_choice(config: AnySubnet) -> SubnetConfig:
    """The network of a space of one stage."""
    assert isinstance(config, SubnetConfig)
    return config


def expect_stages(config: AnySubnet) -> StagedSubnet:
    """The network of a staged space."""
    assert isinstance(config, StagedSubnet)
    return config


def parse_any_subnet(data: object) -> AnySubnet:
    """A network from the plain data of its `to_dict`; one with stages is of a staged space.

    Raises:
      SpaceError: an unknown or missing key.
    """
    found: AnySubnet
    if isinstance(data, dict) and "stages" in data:
        found = parse_staged_subnet(data)
    else:
        found = parse_subnet(data)
    return found


def parse_space(text: str) -> Searchable:
    """The space of a `to_json`; one with stages is a staged space.

    Raises:
      SpaceError: it is none.
    """
    try:
        staged = "stages" in parse_json(text)
    except (TypeError, ValueError) as error:
        raise SpaceError(f"space: {error}") from error
    return StagedSpace.from_json(text) if staged else SearchSpace.from_json(text)


def load_space(path: str | os.PathLike[str]) -> Searchable:
    """Reads a JSON file; see `parse_space`. Errors name the file."""
    return load_json(path, parse_space)
