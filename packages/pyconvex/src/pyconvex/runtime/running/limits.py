"""What one run may use, and how much of it at once.

Owns the numbers, with their units and where they come from. Never enforces one. One invariant: the
same limit reads the same in an isolate, in the server and in an error.
"""

from __future__ import annotations

#: What a query or mutation may use of a processor, in seconds (Convex's limit).
PURE_CPU_LIMIT_S = 1.0
#: How long it may take on the clock, whatever it waits for, in seconds (Convex's limit).
PURE_WALL_LIMIT_S = 15.0
#: How long an action may take, in seconds (Convex's limit for its Node.js actions).
ACTION_WALL_LIMIT_S = 600.0

#: How long a call of a query or mutation may wait for an isolate, in seconds (Convex's limit).
PURE_WAIT_LIMIT_S = 5.0
#: The same for an action.
ACTION_WAIT_LIMIT_S = 10.0

_MB = 1 << 20
#: What a query or mutation may add to its isolate's memory. Convex gives 64 MB for JavaScript and
#: as much for buffers; the 16 MB that one may read take up to ten times as much as Python objects.
PURE_MEMORY_LIMIT_BYTES = 256 * _MB
#: The same for all actions of one isolate (Convex's limit for its Node.js actions).
ACTION_MEMORY_LIMIT_BYTES = 512 * _MB
#: What threads of actions may have as stacks besides; eight megabytes each, most of it never used.
ACTION_STACKS_BYTES = 512 * _MB
#: An isolate that has grown by so much is replaced between two runs.
MAX_GROWTH_BYTES = 64 * _MB
#: Runs of one isolate, so that what modules collect doesn't stay for ever.
RUNS_PER_ISOLATE = 10_000

#: Actions that one isolate runs side by side; a stalled one must not hold up too many others.
ACTIONS_PER_ISOLATE = 8
#: An action isolate that doesn't answer for so long is stalled: an action blocks its loop.
STALL_S = 0.5


def out_of_memory(*, actions: bool) -> str:
    """What callers are told of a run that used too much memory."""
    what, limit = ("Action", ACTION_MEMORY_LIMIT_BYTES) if actions else (
        "Function", PURE_MEMORY_LIMIT_BYTES)  # fmt: skip
    return f"{what} execution ran out of memory (maximum memory usage: {limit // _MB} MB)"
