"""Rename the tensors of a published checkpoint to mmps's names and back, bit for bit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True)
class Rule:
    """Keys that start with ``theirs`` are called ``ours`` here.

    Attributes:
        theirs: prefix of the authors' keys.
        ours: prefix of mmps's keys.
        rows: what happens to the first axis. ``'same'``: nothing. ``'swap'``: (background,
            person) becomes (person, background), MMDet's order of classes. ``'person'``: of the
            rows of both classes only the second half, the person's, is ever read and kept; on the
            way back the first half is zero.
    """

    theirs: str
    ours: str
    rows: Literal['same', 'swap', 'person'] = 'same'


@dataclass(frozen=True)
class Unread:
    """Keys of the authors that their code never reads; they are not carried.

    Attributes:
        theirs: prefix of the keys.
        like: prefix of keys that are read and have the same shapes: on the way back every one of
            them has a counterpart of zeros under ``theirs``.
    """

    theirs: str
    like: str


@dataclass(frozen=True)
class Converted:
    """A converted checkpoint.

    Attributes:
        state_dict: the tensors under their new names.
        unread: ``key: number of values`` of what the authors' code carries and never reads, and
            which is therefore not carried here.
    """

    state_dict: dict[str, Tensor]
    unread: dict[str, int]


def to_mmps(
    state_dict: StateDict, rules: Sequence[Rule], unread: Sequence[Unread] = ()
) -> Converted:
    """Convert the authors' ``state_dict``.

    A key is converted, or left out, by the longest prefix among ``rules`` and ``unread`` that it
    starts with.

    Raises:
        KeyError: naming a key that no rule covers.
        ValueError: naming two keys that are the same tensor here.
    """
    converted: dict[str, Tensor] = {}
    left_out: dict[str, int] = {}
    known: list[Rule | Unread] = [*rules, *unread]
    prefixes = [(rule.theirs, rule) for rule in known]
    for key, value in state_dict.items():
        rule = _find(key, prefixes, 'the published checkpoint')
        if isinstance(rule, Unread):
            left_out[key] = value.numel()
            continue
        name = rule.ours + key[len(rule.theirs) :]
        if name in converted:
            raise ValueError(f'{key}: another key of the published checkpoint is also {name}.')
        if rule.rows == 'swap':
            value = value.flip(0)
        elif rule.rows == 'person' and value.dim() > 0:
            background, value = value.chunk(2)
            left_out[key] = background.numel()
        converted[name] = value.clone()
    return Converted(converted, left_out)


def from_mmps(
    state_dict: StateDict, rules: Sequence[Rule], unread: Sequence[Unread] = ()
) -> dict[str, Tensor]:
    """Convert a ``state_dict`` of mmps to the authors' keys; unread keys and rows are zero.

    Where several rules give the same name of ours, the last spelling of theirs is written.

    Raises:
        KeyError: naming a key that no rule covers.
    """
    converted: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        rule = _find(key, [(rule.ours, rule) for rule in rules], 'the checkpoint of mmps')
        if rule.rows == 'swap':
            value = value.flip(0)
        elif rule.rows == 'person' and value.dim() > 0:
            value = torch.cat([torch.zeros_like(value), value])
        converted[rule.theirs + key[len(rule.ours) :]] = value.clone()
    for rest in unread:
        for key, value in list(converted.items()):
            if key.startswith(rest.like):
                converted[rest.theirs + key[len(rest.like) :]] = torch.zeros_like(value)
    return converted


def check_names(state_dict: StateDict, names: Collection[str]) -> None:
    """Check that a checkpoint of mmps has every tensor of its model and no other.

    Args:
        state_dict: the checkpoint.
        names: the keys of the model's own ``state_dict``.

    Raises:
        KeyError: naming what is missing, or left over.
    """
    missing = [name for name in names if name not in state_dict]
    if missing:
        raise KeyError(f'nothing is there for {", ".join(missing)} of the model.')
    left_over = [key for key in state_dict if key not in names]
    if left_over:
        raise KeyError(f'the model has no {", ".join(left_over)}.')


_AnyRule = TypeVar('_AnyRule', Rule, Rule | Unread)


def _find(key: str, prefixes: Sequence[tuple[str, _AnyRule]], where: str) -> _AnyRule:
    matching = [
        (len(prefix), i) for i, (prefix, _) in enumerate(prefixes) if key.startswith(prefix)
    ]
    if not matching:
        raise KeyError(f'{where} has the key {key!r}, which no rule of this method covers.')
    return prefixes[max(matching)[1]][1]
