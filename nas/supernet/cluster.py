# SPDX-License-Identifier: Apache-2.0
"""The processes of a training on several machines, as TF_CONFIG lists them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class DistributionError(ValueError):
    """Devices or machines are described wrongly, differ, or stopped; the message says which."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What TF_CONFIG says.

    Attributes:
      workers: addresses, host:port, of all processes; the chief's is the first.
      position: of this process among them.
    """

    workers: tuple[str, ...]
    position: int

    @property
    def chief(self) -> bool:
        return self.position == 0

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(a for i, a in enumerate(self.workers) if i != self.position)


def read_cluster(text: str | None) -> Cluster:
    """The cluster of a TF_CONFIG.

    Raises:
      DistributionError: unset, no JSON, or not a cluster of workers that has this process.
    """
    if not text:
        raise DistributionError(f"TF_CONFIG: not set, expected {EXAMPLE}")
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs, workers = list(cluster.get("chief", [])), list(cluster.get("worker", []))
        kind, index = str(task["type"]), task["index"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DistributionError(f"TF_CONFIG: got {text!r}, expected {EXAMPLE}") from error
    others = set(cluster) - {"chief", "worker"}
    addresses = [*chiefs, *workers]
    if others or len(chiefs) > 1 or not all(_is_address(a) for a in addresses):
        raise DistributionError(
            f"TF_CONFIG: got cluster {json.dumps(cluster)}, expected lists of host:port for "
            '"worker" and at most one for "chief"'
        )
    if len(set(addresses)) != len(addresses):
        raise DistributionError(f"TF_CONFIG: got {addresses}, expected different addresses")
    count = {"chief": len(chiefs), "worker": len(workers)}.get(kind, 0)
    if type(index) is not int or not 0 <= index < count:
        raise DistributionError(
            f'TF_CONFIG: got task {json.dumps(task)}, expected "type" worker or chief and "index" '
            "of a process in the cluster"
        )
    return Cluster(tuple(addresses), index + (len(chiefs) if kind == "worker" else 0))


def _is_address(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdigit() and 0 < int(port) < 65536
