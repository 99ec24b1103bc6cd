# SPDX-License-Identifier: Apache-2.0
"""Looks for every pattern in a graph, the largest ones first; no operator is in two matches."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable

from converter.fuse.errors import NoMatchError
from converter.fuse.patterns.attention import is_attention, match_attention
from converter.fuse.patterns.attention_core import is_learnt_pooling, match_attention_core
from converter.fuse.patterns.bare_attention import match_bare_attention
from converter.fuse.patterns.float_island import match_float_island, starts_float_island
from converter.fuse.patterns.layer_norm_op import ANCHORS, match_layer_norm
from converter.fuse.patterns.linear import match_linear
from converter.fuse.patterns.match import Match
from converter.fuse.patterns.mlp import looks_like_mlp, match_mlp
from converter.fuse.patterns.mlp_core import looks_like_mlp_core, match_mlp_core
from converter.fuse.patterns.patch_embed import match_patch_embed
from converter.fuse.patterns.patch_merge import match_patch_merge
from converter.fuse.patterns.patches import cuts_patches
from converter.fuse.patterns.pointwise import match_activation, starts_activation
from converter.fuse.patterns.rms_norm import match_rms_norm
from converter.fuse.patterns.unmatched import explain_residual, residual_at
from converter.fuse.report import NotFused
from converter.tflite import GraphView


@dataclasses.dataclass(frozen=True, order=True)
class PatternPlace:
    """Where a pattern was looked for: its name and the anchor, an operator."""

    pattern: str
    anchor: int


Refused = dict[PatternPlace, str]  # why a match is not used, though it was found


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """A match at its place in the network."""

    label: str
    place: PatternPlace
    match: Match


@dataclasses.dataclass(frozen=True, eq=False)
class _Pattern:
    """One kind of operator to look for.

    Attributes:
      name: for labels.
      is_anchor: whether an operator is a place to look at.
      match: the match at an anchor; the set holds operators already in matches.
      numbered: label as "block N name" by the anchor's rank among its kind.
      quiet: what it misses the pattern before it has said.
      reverse: look at the last operators first.
    """

    name: str
    is_anchor: Callable[[GraphView, int], bool]
    match: Callable[[GraphView, int, set[int]], Match]
    numbered: bool = False
    quiet: bool = False
    reverse: bool = False


def _opcode(*names: str) -> Callable[[GraphView, int], bool]:
    return lambda view, op: view.op(op).opcode in names


_CORE = "attention core"
_MLP_CORE = "MLP core"
_BARE = "attention without a norm"
# What is fused where the block is not.
_ONLY_CORE = "only its core is fused"
_PARTS = {_CORE: _ONLY_CORE, _MLP_CORE: _ONLY_CORE, _BARE: "fused without its norm"}


def _is_attention(view: GraphView, op: int) -> bool:
    return view.op(op).opcode == "SOFTMAX" and is_attention(view, op)


def _reads_patches(view: GraphView, op: int) -> bool:
    return view.op(op).opcode == "CONV_2D" or cuts_patches(view, op)


_PATTERNS = (
    _Pattern(
        "attention",
        _is_attention,
        lambda view, op, _: match_attention(view, op),
        numbered=True,
    ),
    _Pattern(
        _BARE,
        _is_attention,
        lambda view, op, _: match_bare_attention(view, op),
        numbered=True,
        quiet=True,
    ),
    _Pattern(
        _CORE,
        lambda view, op: _is_attention(view, op) or is_learnt_pooling(view, op),
        lambda view, op, _: match_attention_core(view, op),
        numbered=True,
    ),
    _Pattern(
        "mlp",
        lambda view, op: view.op(op).opcode == "ADD" and looks_like_mlp(view, op),
        lambda view, op, _: match_mlp(view, op),
        numbered=True,
    ),
    _Pattern(_MLP_CORE, looks_like_mlp_core, match_mlp_core),
    _Pattern(
        "patch embedding of scaled pixels",
        _reads_patches,
        lambda view, op, _: match_patch_embed(view, op, scaled=True),
        quiet=True,
    ),
    _Pattern("patch embedding", _reads_patches, lambda view, op, _: match_patch_embed(view, op)),
    _Pattern(
        "patch merging",
        _opcode(*ANCHORS),
        lambda view, op, _: match_patch_merge(view, op),
        quiet=True,
    ),
    _Pattern("LayerNorm", _opcode(*ANCHORS), lambda view, op, _: match_layer_norm(view, op)),
    _Pattern("RMSNorm", _opcode(*ANCHORS), lambda view, op, _: match_rms_norm(view, op)),
    _Pattern("activation", starts_activation, lambda view, op, _: match_activation(view, op)),
    _Pattern("linear", _opcode("FULLY_CONNECTED"), match_linear, reverse=True),
    _Pattern(
        "float island",
        starts_float_island,
        lambda view, op, _: match_float_island(view, op),
    ),
)
PATTERN_NAMES = tuple(pattern.name for pattern in _PATTERNS)  # in the order of trying


# What evaluating an operator raises whose operands or options are not those of its kind.
_MALFORMED = (ValueError, IndexError, TypeError, AttributeError, KeyError)


def find_matches(
    view: GraphView, refused: Refused, carriers: Collection[int] = ()
) -> tuple[list[Found], list[NotFused]]:
    """All matches, and the anchors where a pattern was looked for in vain.

    Args:
      refused: matches that cannot be expressed in integers or did not pass the gate.
      carriers: operators that stay builtin, for they are to read and write int16.
    """
    taken = set(carriers)
    found: list[Found] = []
    not_fused: list[NotFused] = []
    for pattern in _PATTERNS:
        for label, anchor in _anchors(view, pattern, taken):
            if anchor in taken and anchor not in carriers:
                continue
            place = PatternPlace(pattern.name, anchor)
            try:
                if place in refused:
                    raise NoMatchError(refused[place])
                match = pattern.match(view, anchor, taken)
                _check_free(view, match.ops, taken)
            except NoMatchError as error:
                if not pattern.quiet or place in refused:
                    not_fused.append(NotFused(label, anchor, str(error)))
                continue
            except _MALFORMED as error:
                # Operators have their operands, but shapes, axes or options contradict each other.
                not_fused.append(NotFused(label, anchor, f"malformed operator: {error}"))
                continue
            taken.update(match.ops)
            found.append(Found(label, place, match))
    found.sort(key=lambda f: max(f.match.ops))
    given_back = {(place.anchor, reason) for place, reason in refused.items()}
    not_fused = [
        n for n in not_fused if (n.op, n.reason) in given_back or _worth_reporting(n, found, taken)
    ]
    parts = _fused_parts(view, found)
    not_fused = [dataclasses.replace(n, part=parts.get(n.op, n.part)) for n in not_fused]
    return found, not_fused + _residuals(
        view, taken.difference(carriers), {n.op for n in not_fused}
    )


def _fused_parts(view: GraphView, found: list[Found]) -> dict[int, str]:
    """What is fused, by the operators where a block was looked for of which that is a part."""
    parts: dict[int, str] = {}
    for f in found:
        pattern = f.place.pattern
        if pattern in _PARTS:
            parts[f.place.anchor] = _PARTS[pattern]
        if pattern == _MLP_CORE:  # the block's place is the residual ADD
            places = (*f.match.ops, *view.consumers(f.match.y))
            parts |= dict.fromkeys(places, _PARTS[pattern])
    return parts


def _residuals(view: GraphView, taken: set[int], reported: set[int]) -> list[NotFused]:
    """Every residual ADD that ends no block and that no pattern has looked at, with the reason."""
    entries: list[NotFused] = []
    for op, operator in enumerate(view.graph.operators):
        if operator.opcode != "ADD" or op in taken or op in reported:
            continue
        residual = residual_at(view, op)
        if residual is not None:
            try:
                reason = explain_residual(view, op, residual, taken)
            except _MALFORMED as error:
                reason = f"malformed operator: {error}"
            entries.append(NotFused(f"residual at {view.label(op)}", op, reason))
    return entries


def _worth_reporting(entry: NotFused, found: list[Found], taken: set[int]) -> bool:
    """Leaves out what is accounted for: anchors that another match took, a stem's convolutions."""
    if entry.label.startswith("block"):
        return True
    if entry.label.startswith("patch embedding"):
        return not any(f.match.WRITES_STREAM and not f.match.READS_STREAM for f in found)
    return entry.op not in taken


def _anchors(view: GraphView, pattern: _Pattern, taken: set[int]) -> Iterable[tuple[str, int]]:
    """Places to look at, with what they are called; numbers count those that are taken too."""
    skipped = set[int]() if pattern.numbered else taken
    places = (i for i in range(len(view.graph.operators)) if i not in skipped)
    ops = [i for i in places if pattern.is_anchor(view, i)]
    labels = [
        f"block {n} {pattern.name}" if pattern.numbered else f"{pattern.name} at {view.label(op)}"
        for n, op in enumerate(ops)
    ]
    pairs = list(zip(labels, ops, strict=True))
    return reversed(pairs) if pattern.reverse else pairs


def _check_free(view: GraphView, ops: Iterable[int], taken: set[int]) -> None:
    for op in ops:
        if op in taken:
            raise NoMatchError(f"{view.label(op)} belongs to another fused operator")
