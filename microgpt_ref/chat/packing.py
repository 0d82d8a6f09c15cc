"""Encoded conversations as rows of one length: inputs, and as targets the assistant's tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microgpt_ref.chat.encoding import Encoded
from microgpt_ref.shards import Batch

LEFT_OUT = -1  # a target without a loss
PADDING = 0  # any id will do: it comes after all that counts, and no loss is taken there


def rows(encoded: Sequence[Encoded], context: int) -> Batch:
    """One conversation a row, in the order given, padded on the right.

    Returns:
        inputs and targets, both (n, T) int64 with T = `context`: targets[i, t] is the token after
        inputs[i, t] if it is the assistant's, and −1, left out of the loss, if not.

    Raises:
        ValueError: no conversation, or one longer than `context` + 1.
    """
    return _fill([[i] for i in range(len(_checked(encoded, context)))], encoded, context)


def pack(encoded: Sequence[Encoded], context: int) -> Batch:
    """Several conversations a row, so that less of it is padding: the longest first, each in the first row
    with room (first-fit decreasing). Rows come out sorted so; shuffle them to train.

    A conversation can attend to those before it in its row: there is no mask between them. To the model it is
    as if the talk had gone on with another subject. No token of a conversation is a target of one before.

    Returns and raises as `rows`, with fewer rows.
    """
    lengths = np.array([len(each.ids) for each in _checked(encoded, context)])
    free = np.full(len(encoded), context + 1)
    members: list[list[int]] = [[] for _ in encoded]
    for i in np.argsort(-lengths, kind="stable"):
        row = int((free >= lengths[i]).argmax())
        members[row].append(int(i))
        free[row] -= lengths[i]
    return _fill([each for each in members if each], encoded, context)


def _checked(encoded: Sequence[Encoded], context: int) -> Sequence[Encoded]:
    if not encoded:
        raise ValueError("encoded is empty; give at least one conversation (were all refused?)")
    longest = max(len(each.ids) for each in encoded)
    if longest > context + 1:
        raise ValueError(
            f"encoded has a conversation of {longest} tokens, more than context={context} and one; "
            "encode with the same context"
        )
    return encoded


def _fill(members: list[list[int]], encoded: Sequence[Encoded], context: int) -> Batch:
    ids = np.full((len(members), context + 1), PADDING, np.int64)
    counted = np.zeros(ids.shape, bool)
    for row, indices in enumerate(members):
        start = 0
        for i in indices:
            stop = start + len(encoded[i].ids)
            ids[row, start:stop] = encoded[i].ids
            # never the first: it would be predicted from the end of the conversation before
            counted[row, start + 1 : stop] = encoded[i].answers[1:]
            start = stop
    return ids[:, :-1], np.where(counted, ids, LEFT_OUT)[:, 1:]
