"""Impure things, as an author might write them in a query, by what becomes of each.

`docs/purity.md` shows the same names in the same order.
"""

from __future__ import annotations

import _thread
import asyncio
import atexit
import concurrent.futures
import ctypes
import datetime
import email.utils
import fcntl
import glob
import gzip
import http.client
import logging
import mmap
import multiprocessing
import os
import queue
import random
import resource
import secrets
import select
import shutil
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, date
from os import urandom as urandom_by_name
from pathlib import Path
from random import random as random_by_name
from random import shuffle
from time import monotonic as monotonic_by_name
from time import time as time_by_name
from typing import Any

import apsw
import httpx2

Thing = Callable[[], Any]

OPEN_SOCKET = socket.socket()
atexit.register(OPEN_SOCKET.close)
FILE = Path(__file__)
NEW_FILE = FILE.with_name("must_not_exist")
#: Nothing listens there.
ADDRESS = ("127.0.0.1", 9)
URL = "http://127.0.0.1:9/"


class OwnTime(datetime.datetime):
    """A class derived before anything is patched."""


def shuffled() -> list[int]:
    items = list(range(20))
    shuffle(items)
    return items


def set_variable() -> None:
    os.environ["PURITY"] = "x"


def delete_variable() -> None:
    del os.environ["PATH"]


def own_process() -> None:
    os.execv("/bin/true", ["true"])


def opens_to_write() -> None:
    with open(NEW_FILE, "w"):
        pass


def opens_to_read() -> None:
    with open(FILE):
        pass


async def connects() -> None:
    await asyncio.open_connection(*ADDRESS)


async def listens() -> None:
    await asyncio.start_server(print, *ADDRESS)


async def starts_a_program() -> None:
    await asyncio.create_subprocess_exec("true")


async def uses_a_thread() -> None:
    await asyncio.to_thread(print)


async def sleeps() -> None:
    await asyncio.sleep(0.01)


async def times_out() -> None:
    await asyncio.wait_for(asyncio.get_running_loop().create_future(), 1)


#: Names of the docs' table, what the refusal says, and the attempt.
REFUSED: list[tuple[str, str, Thing]] = [
    ("`socket.socket()`", "use socket.socket", lambda: socket.socket()),
    ("`connect` of an open socket", "use socket.connect", lambda: OPEN_SOCKET.connect(ADDRESS)),
    ("`bind` of an open socket", "use socket.bind", lambda: OPEN_SOCKET.bind(("127.0.0.1", 0))),
    (
        "`socket.create_connection`",
        "use socket.getaddrinfo",
        lambda: socket.create_connection(ADDRESS),
    ),
    ("`socket.getaddrinfo`", "use socket.getaddrinfo", lambda: socket.getaddrinfo("localhost", 80)),
    ("`socket.gethostname`", "use socket.gethostname", lambda: socket.gethostname()),
    (
        "`ssl.get_server_certificate`",
        "use socket.getaddrinfo",
        lambda: ssl.get_server_certificate(ADDRESS),
    ),
    ("`urllib.request`", "use urllib.request", lambda: urllib.request.urlopen(URL)),
    ("`http.client`", "use http.client", lambda: http.client.HTTPConnection(*ADDRESS).connect()),
    ("`httpx2`", "use os.stat", lambda: httpx2.get(URL, trust_env=False)),
    ("`smtplib`", "use smtplib.connect", lambda: smtplib.SMTP(*ADDRESS, local_hostname="x")),
    ("`asyncio.open_connection`", "use create_connection", connects),
    ("`asyncio.start_server`", "use create_server", listens),
    ("`asyncio.new_event_loop`", "use socket.socket", lambda: asyncio.new_event_loop()),
    ("`select.select`", "use select.select", lambda: select.select([], [], [], 0)),
    ("`subprocess`", "use subprocess.Popen", lambda: subprocess.run(["true"], check=True)),
    ("`asyncio.create_subprocess_exec`", "use subprocess_exec", starts_a_program),
    ("`os.system`", "use os.system", lambda: os.system("true")),
    ("`os.fork`", "use os.fork", lambda: os.fork()),
    ("`os.exec…`", "use os.exec", own_process),
    ("`os.posix_spawn`", "use os.posix_spawn", lambda: os.posix_spawn("/bin/true", ["true"], {})),
    ("`os.kill`", "use os.kill", lambda: os.kill(os.getpid(), 0)),
    # Which of the things that it needs is met first depends on how a Python starts processes.
    ("`multiprocessing`", "", lambda: multiprocessing.Process(target=print).start()),
    ("`threading.Thread`", "use threads", lambda: threading.Thread(target=print).start()),
    ("`threading.Timer`", "use threads", lambda: threading.Timer(0, print).start()),
    ("`_thread`", "use threads", lambda: _thread.start_new_thread(print, ())),
    (
        "`concurrent.futures`",
        "use threads",
        lambda: concurrent.futures.ThreadPoolExecutor().submit(print),
    ),
    ("`asyncio.to_thread`", "use threads", uses_a_thread),
    ("`threading.Event.wait`", "wait for other threads", lambda: threading.Event().wait(0.01)),
    ("`queue.Queue.get`", "wait for other threads", lambda: queue.Queue[int]().get()),
    ("`time.sleep`", "use time.sleep", lambda: time.sleep(0)),
    ("`asyncio.sleep` of some time", "wait for time to pass", sleeps),
    (
        "`asyncio.wait_for`, `asyncio.timeout`",
        "wait for time to pass",
        times_out,
    ),
    (
        "`call_later` of the event loop",
        "wait for time to pass",
        lambda: asyncio.get_running_loop().call_later(0, print),
    ),
    ("`signal.signal`", "use signal.signal", lambda: signal.signal(signal.SIGUSR1, print)),
    ("`signal.alarm`, `signal.setitimer`", "use signal.alarm", lambda: signal.alarm(0)),
    ("`open` for writing", "write files", opens_to_write),
    ("`open` for reading", "read files", opens_to_read),
    ("`pathlib`", "write files", lambda: NEW_FILE.write_text("x")),
    ("`os.open`", "write files", lambda: os.open(NEW_FILE, os.O_CREAT | os.O_WRONLY)),
    ("`os.read`, `os.write`", "use os.write", lambda: os.write(1, b"x")),
    ("`os.remove`, `os.unlink`", "use os.remove", lambda: os.unlink(NEW_FILE)),
    ("`os.rename`, `os.replace`", "use os.rename", lambda: os.replace(NEW_FILE, NEW_FILE)),
    ("`os.mkdir`, `os.makedirs`", "use os.mkdir", lambda: os.mkdir(NEW_FILE)),
    ("`os.symlink`, `os.link`", "use os.symlink", lambda: os.symlink(FILE, NEW_FILE)),
    ("`os.chmod`, `os.utime`", "use os.chmod", lambda: os.chmod(FILE, 0o644)),
    ("`os.listdir`, `os.scandir`", "use os.listdir", lambda: os.listdir(FILE.parent)),
    ("`os.stat`, `Path.exists`", "use os.stat", lambda: FILE.exists()),
    ("`glob`", "use os.", lambda: glob.glob(f"{FILE.parent}/*")),
    ("`tempfile`", "", lambda: tempfile.mkstemp()),
    ("`shutil`", "", lambda: shutil.copy(FILE, NEW_FILE)),
    ("`gzip.open`", "write files", lambda: gzip.compress(gzip.GzipFile(NEW_FILE, "wb").read())),
    ("`logging.FileHandler`", "write files", lambda: logging.FileHandler(NEW_FILE)),
    ("`mmap`", "use mmap", lambda: mmap.mmap(-1, 1)),
    ("`fcntl.flock`", "use fcntl.flock", lambda: fcntl.flock(OPEN_SOCKET, fcntl.LOCK_UN)),
    ("`sqlite3`", "use sqlite3.connect", lambda: sqlite3.connect(":memory:")),
    ("`apsw`", "open databases", lambda: apsw.Connection(":memory:")),
    ("`ctypes.CDLL`", "use ctypes to load a library", lambda: ctypes.CDLL(None)),
    ("`input()`", "use input()", lambda: input()),
    ("`os.environ[…] = …`", "use os.environ to set a variable", set_variable),
    ("`del os.environ[…]`", "use os.environ to delete a variable", delete_variable),
    ("`os.putenv`", "use os.environ to set a variable", lambda: os.putenv("PURITY", "x")),
    ("`os.times`", "use os.times", lambda: os.times()),
    (
        "`resource.getrusage`",
        "use resource.getrusage",
        lambda: resource.getrusage(resource.RUSAGE_SELF),
    ),
]

#: Drawn from the run's seed.
SEEDED: list[tuple[str, Thing]] = [
    ("`random.random`", lambda: random.random()),
    ("`random.randint`, `random.randrange`", lambda: random.randint(0, 10**9)),
    ("`random.choice`, `random.choices`", lambda: random.choices(range(1000), k=5)),
    ("`random.shuffle`, `random.sample`", shuffled),
    ("`random.gauss`", lambda: [random.gauss(0, 1) for _ in range(3)]),
    ("`random.getrandbits`, `random.randbytes`", lambda: random.randbytes(8)),
    ("`random.seed()` without a seed", lambda: (random.seed(), random.random())),
    ("`random.getstate`", lambda: random.getstate()),
    ("`random.Random()` without a seed", lambda: random.Random().random()),
    ("`random.SystemRandom`", lambda: random.SystemRandom().random()),
    ("a function of `random`, imported by name", lambda: random_by_name()),
    ("`secrets.token_hex`, `secrets.token_urlsafe`", lambda: secrets.token_hex()),
    ("`secrets.choice`, `secrets.randbelow`", lambda: secrets.randbelow(10**9)),
    ("`os.urandom`", lambda: os.urandom(8)),
    ("`os.urandom`, imported by name", lambda: urandom_by_name(8)),
    ("`os.getrandom`", lambda: os.getrandom(8)),
    ("`uuid.uuid4`", lambda: uuid.uuid4()),
    ("`uuid.uuid1`", lambda: uuid.uuid1()),
    ("`uuid.getnode`", lambda: uuid.getnode()),
]

#: Stand still, and make a query's result age.
FROZEN: list[tuple[str, Thing]] = [
    ("`time.time`, `time.time_ns`", lambda: (time.time(), time.time_ns())),
    ("`time.time`, imported by name", lambda: time_by_name()),
    ("`time.localtime`, `time.gmtime`", lambda: (time.localtime(), time.gmtime())),
    ("`time.strftime`, `time.ctime`, `time.asctime`", lambda: (time.strftime("%c"), time.ctime())),
    ("`time.clock_gettime`", lambda: time.clock_gettime(time.CLOCK_MONOTONIC)),
    ("`datetime.now`, `datetime.today`", lambda: datetime.datetime.now(UTC)),
    ("`datetime.utcnow`", lambda: datetime.datetime.utcnow()),
    ("`date.today`", lambda: (date.today(), datetime.datetime.today())),
    ("`now` of a class derived from `datetime`", lambda: OwnTime.now()),
    ("`email.utils.formatdate`", lambda: email.utils.formatdate()),
    ("`time.monotonic`, also imported by name", lambda: (time.monotonic_ns(), monotonic_by_name())),
    ("`time.perf_counter`", lambda: (time.perf_counter(), time.perf_counter_ns())),
]

#: Always the same, in queries.
CONSTANT: list[tuple[str, Thing]] = [
    ("`time.process_time`, `time.thread_time`", lambda: (time.process_time(), time.thread_time())),
]
