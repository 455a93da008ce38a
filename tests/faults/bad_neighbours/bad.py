import ctypes
import os
import subprocess
import time

from pyconvex import ActionCtx, QueryCtx, action, query


@query
async def loop(ctx: QueryCtx, n: int) -> None:
    while True:
        pass


@query
async def hoard(ctx: QueryCtx, n: int) -> None:
    kept = []
    while True:
        kept.append(b"x" * (1 << 26))  # written to, so that it is memory


@query
async def leave(ctx: QueryCtx, n: int) -> None:
    os._exit(7)


@query
async def crash(ctx: QueryCtx, n: int) -> None:
    ctypes.string_at(0)


@query
async def fork(ctx: QueryCtx, n: int) -> None:
    while True:
        os.fork()


@query
async def talk(ctx: QueryCtx, n: int) -> str:
    for line in range(10_000):
        print(line)
    return "x" * (10 << 20)


@action
async def block(ctx: ActionCtx, n: int) -> None:
    subprocess.Popen(["sleep", "1000"])
    time.sleep(1000)
