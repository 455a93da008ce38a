"""Which of very many intervals hold a key.

Owns a map from points and half-open ranges to holders, with additions and removals in logarithmic
time. Never knows what holders are. One invariant: in the tree, every node's `reach` is the greatest
end below it, so a search leaves out whatever cannot hold the key.

The tree is a treap: a search tree by (start, end) that stays shallow because each node has a random
priority and parents have higher ones. Equal ranges share one node.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Generic, TypeVar

H = TypeVar("H")


class _Node(Generic[H]):
    __slots__ = ("end", "holders", "left", "priority", "reach", "right", "start")

    def __init__(self, start: bytes, end: bytes, priority: float) -> None:
        self.start = start
        self.end = end
        self.reach = end
        self.priority = priority
        self.left: _Node[H] | None = None
        self.right: _Node[H] | None = None
        self.holders: set[H] = set()

    def settle(self) -> None:
        reach = self.end
        if self.left is not None and self.left.reach > reach:
            reach = self.left.reach
        if self.right is not None and self.right.reach > reach:
            reach = self.right.reach
        self.reach = reach


class IntervalMap(Generic[H]):
    """Holders by the keys that concern them.

    >>> m = IntervalMap()
    >>> m.add_range(b"a", b"c", 1); m.add_point(b"b", 2); m.add_range(b"c", b"d", 3)
    >>> sorted(h for holders in m.holding(b"b") for h in holders)
    [1, 2]
    """

    def __init__(self) -> None:
        self._points: dict[bytes, set[H]] = {}
        self._ranges: dict[tuple[bytes, bytes], _Node[H]] = {}
        self._root: _Node[H] | None = None
        self._random = Random(0)  # noqa: S311  # balance, not secrecy

    def __bool__(self) -> bool:
        return bool(self._points or self._ranges)

    def add_point(self, key: bytes, holder: H) -> None:
        self._points.setdefault(key, set()).add(holder)

    def remove_point(self, key: bytes, holder: H) -> None:
        holders = self._points.get(key)
        if holders is not None:
            holders.discard(holder)
            if not holders:
                del self._points[key]

    def add_range(self, start: bytes, end: bytes, holder: H) -> None:
        node = self._ranges.get((start, end))
        if node is None:
            node = self._ranges[start, end] = _Node(start, end, self._random.random())
            self._root = _insert(self._root, node)
        node.holders.add(holder)

    def remove_range(self, start: bytes, end: bytes, holder: H) -> None:
        node = self._ranges.get((start, end))
        if node is not None:
            node.holders.discard(holder)
            if not node.holders:
                del self._ranges[start, end]
                self._root = _remove(self._root, node)

    def holding(self, key: bytes) -> Iterator[set[H]]:
        """The holders of every interval that holds the key; do not change the map meanwhile."""
        holders = self._points.get(key)
        if holders is not None:
            yield holders
        stack = [self._root]
        while stack:
            node = stack.pop()
            if node is None or node.reach <= key:
                continue
            stack.append(node.left)
            if node.start <= key:
                stack.append(node.right)
                if key < node.end:
                    yield node.holders


def _insert(root: _Node[H] | None, node: _Node[H]) -> _Node[H]:
    if root is None:
        return node
    if node.priority > root.priority:
        node.left, node.right = _split(root, node.start, node.end)
        node.settle()
        return node
    if (node.start, node.end) < (root.start, root.end):
        root.left = _insert(root.left, node)
    else:
        root.right = _insert(root.right, node)
    root.settle()
    return root


def _split(
    root: _Node[H] | None, start: bytes, end: bytes
) -> tuple[_Node[H] | None, _Node[H] | None]:
    """The parts of a tree before and behind a place."""
    if root is None:
        return None, None
    if (root.start, root.end) < (start, end):
        root.right, behind = _split(root.right, start, end)
        root.settle()
        return root, behind
    before, root.left = _split(root.left, start, end)
    root.settle()
    return before, root


def _merge(left: _Node[H] | None, right: _Node[H] | None) -> _Node[H] | None:
    """One tree of two, all of the left one standing before the right one."""
    if left is None or right is None:
        return left or right
    if left.priority > right.priority:
        left.right = _merge(left.right, right)
        left.settle()
        return left
    right.left = _merge(left, right.left)
    right.settle()
    return right


def _remove(root: _Node[H] | None, node: _Node[H]) -> _Node[H] | None:
    if root is None:
        return None
    if root is node:
        return _merge(root.left, root.right)
    if (node.start, node.end) < (root.start, root.end):
        root.left = _remove(root.left, node)
    else:
        root.right = _remove(root.right, node)
    root.settle()
    return root
