#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Asks a guest for the time through its stdin and stdout, `probe clock`, as NTP asks a server:

    clock_error.py N COMMAND...

COMMAND answers each byte with its time of day in nanoseconds. Each answer lies between two times of
this host, so it bounds the error of the guest's clock from both sides; the tightest bounds of N
questions are printed, in microseconds: how far it is behind and ahead at least. Both are 0 for a clock
that no question has shown to be wrong.
"""
import subprocess
import sys
import time

count, command = int(sys.argv[1]), sys.argv[2:]
behind = ahead = 0
best = None
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as guest:
    for _ in range(count):
        before = time.time_ns()
        guest.stdin.write(b"?")
        guest.stdin.flush()
        guests = int(guest.stdout.readline())
        after = time.time_ns()
        behind = max(behind, before - guests)
        ahead = max(ahead, guests - after)
        best = min(best or after - before, after - before)
    guest.stdin.close()
print(f"behind {behind // 1000} ahead {ahead // 1000} round {best // 1000}")
