#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a start costs: a static program, whole commands, each kind of Arrow beside its peers.

    tests/bench/start.py BUILD [--rounds N] [--idle N]

One run, the kinds in turn, medians. Kinds that this host lacks are left out and named. As root, with a
warm page cache and no network."""
import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

DEADLINE = 120
DEBIAN = "/usr/bin/qemu-system-x86_64"
BUSYBOX = "/bin/busybox"


def output(*argv, **options):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, timeout=DEADLINE, text=True,
                          **options).stdout


class Kinds:
    """Command lines and environments of whole commands that print hello's line."""

    def __init__(self, build, work):
        self.arrow, self.hello, self.work = build + "/arrow", build + "/hello", work
        self.env = dict(os.environ, ARROW_DATA_DIR=work + "/data", ARROW_RUN_DIR=work + "/run")
        self.env.pop("ARROW_QEMU", None)
        self.arrows, self.peers, self.missing = {}, {}, []
        os.mkdir(work + "/data")
        own = json.loads(output(self.arrow, "info", "--format", "json"))["engines"][0]["path"]
        if "/hypervisor/" in own:
            self.arrows["arrow, zygote"] = dict(self.env, ARROW_QEMU=own)
            self.arrows["arrow, own QEMU, no zygote"] = dict(
                self.env, ARROW_QEMU=own, ARROW_ZYGOTE="off")
        else:
            self.missing.append("Arrow's own QEMU (sudo make hypervisor)")
        if os.path.exists(DEBIAN):
            self.arrows["arrow, Debian's QEMU"] = dict(self.env, ARROW_QEMU=DEBIAN)
        for make in self.runc, self.podman, self.docker, self.ctr:
            try:
                self.peers[make.__name__ + " run"] = make()
            except (OSError, subprocess.SubprocessError):
                self.missing.append(make.__name__)

    def runc(self):
        bundle = self.work + "/bundle"
        os.makedirs(bundle + "/rootfs")
        shutil.copy(self.hello, bundle + "/rootfs/hello")
        output("runc", "spec", cwd=bundle)
        with open(bundle + "/config.json") as f:
            config = json.load(f)
        config["process"].update(terminal=False, args=["/hello"], rlimits=[])
        with open(bundle + "/config.json", "w") as f:
            json.dump(config, f)
        return self.tried(["runc", "--root", self.work + "/runc", "run", "-b", bundle, "bench"])

    def image(self):
        path = self.work + "/hello.tar"
        output("tar", "-C", os.path.dirname(self.hello), "-cf", path, "hello")
        return path

    def podman(self):
        podman = ["podman", "--root", self.work + "/podman", "--runroot", self.work + "/podman.run",
                  "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
        output(*podman, "import", self.image(), "arrow/hello", stderr=subprocess.DEVNULL)
        return self.tried(podman + ["run", "--rm", "--network", "none", "--ulimit",
                                    "nofile=1024:1024", "--ulimit", "nproc=1000:1000",
                                    "arrow/hello", "/hello"])

    def docker(self):
        output("docker", "import", self.image(), "arrow-bench/hello", stderr=subprocess.DEVNULL)
        return self.tried(["docker", "run", "--rm", "--network", "none", "arrow-bench/hello",
                           "/hello"])

    def ctr(self):
        output("ctr", "version", stderr=subprocess.DEVNULL)
        return self.tried(["ctr", "run", "--rm", "--rootfs", self.work + "/bundle/rootfs", "bench",
                           "/hello"])

    def tried(self, argv):
        output(*argv, stderr=subprocess.DEVNULL)
        return argv

    def all(self):
        for name, env in self.arrows.items():
            yield name, [self.arrow, "run", "--rm", self.hello], env
        for name, argv in self.peers.items():
            yield name, argv, dict(os.environ)

    def warm_up(self):
        """Templates, and the zygote."""
        for _, argv, env in self.all():
            output(*argv, env=env)
        end = time.monotonic() + DEADLINE
        while "arrow, zygote" in self.arrows and not self.zygotes():
            if time.monotonic() > end:
                raise RuntimeError("there is no zygote; see TEMPLATE/zygote.log")
            time.sleep(0.1)

    def zygotes(self):
        base = self.work + "/data/templates"
        return [d for d in os.listdir(base) if os.path.exists("%s/%s/zygote" % (base, d))]


def whole_commands(kinds, rounds):
    times = {name: [] for name, _, _ in kinds.all()}
    for _ in range(rounds):
        for name, argv, env in kinds.all():
            start = time.perf_counter()
            output(*argv, env=env, stderr=subprocess.DEVNULL)
            times[name].append((time.perf_counter() - start) * 1000)
    print("\nWhole commands, ms, %d rounds in turn:\n" % rounds)
    print("| | median | least |\n|---|---|---|")
    for name, values in times.items():
        print("| %s | %.1f | %.1f |" % (name, statistics.median(values), min(values)))


STEPS = ("the clone's process started", "the program started", "the program ended",
         "the VM is gone")
GUEST = ("job taken", "root entered", "program started")


def where(kinds, rounds):
    """Where the milliseconds go, by the notes of --verbose."""
    print("\nWhere they go, ms since the command began (guest: since its loader had the job):\n")
    print("| | %s |\n|%s" % (" | ".join(STEPS + tuple("guest: " + g for g in GUEST[1:])),
                              "---|" * (len(STEPS) + len(GUEST))))
    for name, env in kinds.arrows.items():
        samples = []
        for _ in range(rounds):
            notes = subprocess.run([kinds.arrow, "run", "--rm", "--verbose", kinds.hello], env=env,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                   timeout=DEADLINE, check=True).stderr.splitlines()
            host = [next(float(n.split()[1]) for n in notes if n.endswith(s)) for s in STEPS]
            guest = [next(float(n.split(" at ")[1].split()[0]) for n in notes
                          if n.startswith("arrow: %s at " % g)) for g in GUEST]
            samples.append(host + [g - guest[0] for g in guest[1:]])
        print("| %s | %s |" % (name, " | ".join(
            "%.1f" % statistics.median(column) for column in zip(*samples))))


@contextlib.contextmanager
def idle(kinds, env, count):
    argv = [kinds.arrow, "run", "--rm", "-i", BUSYBOX, "cat"]
    clients, starts = [], []
    try:
        for _ in range(count):
            start = time.perf_counter()
            clients.append(subprocess.Popen(argv, env=env, stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE))
            clients[-1].stdin.write(b"?\n")
            clients[-1].stdin.flush()
            if clients[-1].stdout.readline() != b"?\n":
                raise RuntimeError("Arrow %d of %d did not start" % (len(clients), count))
            starts.append((time.perf_counter() - start) * 1000)
        yield starts
    finally:
        for client in clients:
            with contextlib.suppress(BrokenPipeError):
                client.stdin.close()
        for client in clients:
            client.wait(DEADLINE)


def memory(kinds, count):
    print("\nIdle Arrows (`busybox cat`, 512 MiB each), MiB of each VM's process, one after another:\n")
    print("| | how many | PSS | anonymous | first start, ms | last start, ms |")
    print("|---|---|---|---|---|---|")
    for name, env in kinds.arrows.items():
        with idle(kinds, env, count) as starts:
            time.sleep(2)
            pss, own = [], []
            for entry in os.listdir(kinds.work + "/data/arrows"):
                try:
                    with open("%s/data/arrows/%s/state.json" % (kinds.work, entry)) as f:
                        pid = json.load(f).get("vm_pid")
                    with open("/proc/%d/smaps_rollup" % pid) as f:
                        kib = {line.split()[0]: int(line.split()[1]) for line in f.readlines()[1:]}
                except (OSError, TypeError):
                    continue
                pss.append(kib["Pss:"] / 1024)
                own.append(kib["Anonymous:"] / 1024)
            print("| %s | %d | %.1f | %.1f | %.0f | %.0f |" % (
                name, len(pss), statistics.median(pss), statistics.median(own), starts[0],
                starts[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--idle", type=int, default=20)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="arrow-bench-") as work:
        kinds = Kinds(os.path.abspath(args.build), work)
        kinds.warm_up()
        whole_commands(kinds, args.rounds)
        where(kinds, max(3, args.rounds // 3))
        if args.idle:
            memory(kinds, args.idle)
        for name in kinds.missing:
            print("\nNot measured: %s" % name)
        subprocess.run([kinds.arrow, "template", "prune", "--all"], env=kinds.env,
                       stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    sys.exit(main())
