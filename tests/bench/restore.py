#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time to the first answer of a Python program with imports: restored, started, and with podman.

    sudo tests/bench/restore.py [BUILD [ROUNDS]]

Prints Markdown: the median and the fastest of whole commands, each from its start to its end. podman
is left out where there is none, or where it does not run here.
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ULIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else SOURCE + "/build")
arrow = build + "/arrow"
count = int(sys.argv[2]) if len(sys.argv) > 2 else 11
rootfs = subprocess.run([SOURCE + "/tests/rootfs", SOURCE + "/build/test-rootfs"], check=True, text=True,
                        stdout=subprocess.PIPE).stdout.strip()
program = """
import argparse, hashlib, random, re, subprocess, threading
table = {n: hashlib.sha256(str(n).encode()).hexdigest() for n in range(20000)}
print("warm", flush=True)
print(table[int(input())], flush=True)
"""


def measure(command):
    times = []
    for _ in range(count):
        begin = time.monotonic()
        out = subprocess.run(command, input=b"7\n", stdout=subprocess.PIPE, check=True).stdout
        times.append((time.monotonic() - begin) * 1000)
        assert b"7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451" in out
    return f"{statistics.median(times):.0f} | {min(times):.0f}"


with tempfile.TemporaryDirectory(prefix="arrow-bench-", ignore_cleanup_errors=True) as work:
    os.environ.update(ARROW_RUN_DIR=work + "/run", ARROW_DATA_DIR=work + "/data", ARROW_NETWORK="none")
    start = [arrow, "run", "--rm", "-i", "--rootfs", rootfs]
    subprocess.run(start + ["true"], check=True, stdin=subprocess.DEVNULL)
    subprocess.run([arrow, "run", "-di", "--name", "warm", "--rootfs", rootfs, "python3", "-c", program],
                   check=True, stdout=subprocess.DEVNULL)
    while "warm" not in subprocess.run([arrow, "logs", "warm"], capture_output=True, text=True).stdout:
        time.sleep(0.05)
    subprocess.run([arrow, "save", "--stop", "warm", work + "/saved"], check=True, stdout=subprocess.DEVNULL)
    print("| to the first answer | median, ms | fastest, ms |\n|---|---|---|")
    print("| `arrow run --from` |", measure([arrow, "run", "--rm", "-i", "--from", work + "/saved"]), "|")
    print("| `arrow run` |", measure(start + ["python3", "-c", program]), "|")
    podman = ["podman", "run", "--rm", "-i", "--network", "none", *ULIMITS,
              "--rootfs", rootfs, "python3", "-c", program]
    if shutil.which("podman") and subprocess.run(podman, input=b"7\n", capture_output=True).returncode == 0:
        print("| `podman run` |", measure(podman), "|")
    subprocess.run([arrow, "rm", "-f", "warm"], stdout=subprocess.DEVNULL)
