#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many Arrows and a long log: prints tables in markdown.

  tests/bench/manage.py [BUILD [ROUNDS [LOG_MIB]]]

200 Arrows are listed, 50 are started at once, a log of LOG_MIB is followed while it is written, and
keepers are weighed. Nothing is asserted but that each command did its work: every Arrow started, no
byte of the log is missing.
"""
import concurrent.futures
import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUSYBOX = "/bin/busybox"
DEADLINE = 900  # s for one command: far above what the slowest machine needs
MIB = 1 << 20
CREATED, RUNNING, AT_ONCE = 190, 10, 50
PART = 4000000  # bytes of whole lines
LINE = "a line of a program's log, as long as such lines are: one hundred characters with its newline, done"


def run(argv, env, **options):
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=DEADLINE, check=False, **options)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(argv[:4]), done.stderr.decode(errors="replace").strip()))
    return done.stdout


def ms_of(work):
    begin = time.monotonic()
    work()
    return (time.monotonic() - begin) * 1000


def table(head, rows):
    lines = [head, "|" + "---|" + "---:|" * (head.count("|") - 2)]
    return "\n".join(lines + ["| %s |" % row for row in rows]) + "\n"


def at_once(work, count):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def private_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid) as f:
        kib = {line.split()[0][:-1]: int(line.split()[1]) for line in f.readlines()[1:]}
    return kib["Private_Clean"] + kib["Private_Dirty"]


def listing(arrow, env, rounds):
    for i in range(CREATED):
        run([arrow, "create", "-l", "n=%d" % i, BUSYBOX, "true"], env)
    for _ in range(RUNNING):
        run([arrow, "run", "-d", BUSYBOX, "sleep", "100000"], env)
    total = CREATED + RUNNING
    rows = []
    for words, want in (([], RUNNING), (["-a"], total), (["-a", "--filter", "label=n=7"], 1)):
        argv = [arrow, "ps", "-q", *words]
        if len(run(argv, env).split()) != want:
            raise RuntimeError("%s did not show %d" % (" ".join(argv), want))
        argv = [arrow, "ps", *words]
        times = [ms_of(lambda: run(argv, env)) for _ in range(rounds)]
        rows.append("`%s` | %.1f | %.1f–%.1f" % (
            " ".join(["arrow ps", *words]), statistics.median(times), min(times), max(times)))
    print("%d Arrows, of which %d run; whole commands, %d each:\n" % (total, RUNNING, rounds))
    print(table("| ms | median | least–most |", rows))
    states = json.loads(run([arrow, "inspect", *run([arrow, "ps", "-q"], env).decode().split()], env))
    return [private_kib(state["Arrow"]["KeeperPid"]) for state in states]


def starts(arrow, env, build):
    hello = os.path.join(build, "hello")

    def start(_):
        begin = time.monotonic()
        if b"Hello from Arrow" not in run([arrow, "run", "--rm", hello], env):
            raise RuntimeError("an Arrow did not say hello")
        return (time.monotonic() - begin) * 1000

    start(0)  # the template is made
    alone = statistics.median(start(0) for _ in range(5))
    begin = time.monotonic()
    times = at_once(start, AT_ONCE)
    total = (time.monotonic() - begin) * 1000
    print("%d whole `arrow run hello` begun at once, on %d CPUs:\n" % (AT_ONCE, os.cpu_count()))
    print(table("| ms | |", ["until the last has ended | %.0f" % total,
                             "for each, of that | %.1f" % (total / AT_ONCE),
                             "the median one | %.0f" % statistics.median(times),
                             "one alone | %.0f" % alone]))


def logs(arrow, env, mib):
    parts = mib * MIB // PART
    size = parts * PART
    begin = time.monotonic()
    name = run([arrow, "run", "-d", BUSYBOX, "sh", "-c",
                "B=%s; $B yes \"$1\" | $B head -c %d >/tmp/part; i=0; while [ $i -lt %d ]; do "
                "$B cat /tmp/part; i=$((i + 1)); done" % (BUSYBOX, PART, parts),
                "sh", LINE], env).decode().strip()
    follower = subprocess.Popen([arrow, "logs", "-f", name], env=env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE)
    keeper = json.loads(run([arrow, "inspect", name], env))[0]["Arrow"]["KeeperPid"]
    digest, got, weight, weighed = hashlib.sha256(), 0, private_kib(keeper), 0
    while True:
        data = follower.stdout.read(MIB)
        if not data:
            break
        digest.update(data)
        got += len(data)
        with contextlib.suppress(OSError):  # it ends before its log is read
            weight = max(weight, private_kib(keeper)) if got // (16 * MIB) != weighed else weight
            weighed = got // (16 * MIB)
    seconds = time.monotonic() - begin
    if follower.wait(DEADLINE):
        raise RuntimeError("arrow logs -f failed")
    line, want = (LINE + "\n").encode(), hashlib.sha256()
    block = line * 10000
    for _ in range(size // len(block)):
        want.update(block)
    want.update(block[:size % len(block)])
    if got != size or digest.digest() != want.digest():
        raise RuntimeError("of %d bytes of the log %d came, and not all as they were" % (size, got))
    again = ms_of(lambda: subprocess.run([arrow, "logs", name], env=env, check=True,
                                         stdout=subprocess.DEVNULL, timeout=DEADLINE)) / 1000
    run([arrow, "rm", name], env)
    print("A log of %d MiB in lines of %d bytes, followed by `arrow logs -f` while it is written, from the"
          "\nstart of the Arrow to the end of the log; no byte was lost:\n" % (mib, len(line)))
    print(table("| MiB/s | |", ["written and followed | %.0f" % (mib / seconds),
                                "read again by `arrow logs` | %.0f" % (mib / again)]))
    return weight


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(SOURCE, "build"))
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 21
    mib = int(sys.argv[3]) if len(sys.argv) > 3 else 1024
    arrow = os.path.join(build, "arrow")
    with tempfile.TemporaryDirectory(prefix="arrow-bench-") as folder:
        kernel = json.loads(run([arrow, "kernel", "inspect", "micro"], dict(os.environ)))[0]["path"]
        store = os.path.dirname(os.path.dirname(os.path.dirname(kernel)))
        os.mkdir(folder + "/data")
        for name in "kernels", "hypervisor":
            if os.path.exists(store + "/" + name):
                os.symlink(store + "/" + name, folder + "/data/" + name)
        env = dict(os.environ, ARROW_DATA_DIR=folder + "/data", ARROW_RUN_DIR=folder + "/run",
                   ARROW_NETWORK="none")
        try:
            keepers = listing(arrow, env, rounds)
            starts(arrow, env, build)
            busy = logs(arrow, env, mib)
            print("Private memory of keepers, beside QEMU:\n")
            print(table("| KiB | |", [
                "of Arrows that sleep, median of %d | %d" % (len(keepers), statistics.median(keepers)),
                "the largest of them | %d" % max(keepers),
                "while it writes that log | %d" % busy]))
        finally:
            ids = run([arrow, "ps", "-aq", "--no-trunc"], env).decode().split()
            if ids:
                run([arrow, "rm", "-f", *ids], env)


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, subprocess.SubprocessError) as why:
        sys.exit("tests/bench/manage.py: %s" % why)
