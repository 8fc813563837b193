"""Two questions about places in the tree."""

from chain.tree import Entry


def between(base: Entry, top: Entry) -> list[Entry]:
    """The blocks above `base` up to `top`, lowest first. `base` is an ancestor of `top`."""
    found = []
    while top is not base:
        found.append(top)
        assert top.parent is not None
        top = top.parent
    return found[::-1]
