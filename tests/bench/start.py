#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a start costs: a static program, whole commands, each kind of Arrow beside its peers.

    tests/bench/start.py BUILD [--rounds N] [--idle N] [--many N] [--json FILE]

One run, the kinds in turn, medians. Kinds that this host lacks are left out and named. As root, with a
warm page cache and no network. `make bench` runs it, and draws what it leaves in FILE."""
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

from exec import docker_env

DEADLINE = 120
DEBIAN = "/usr/bin/qemu-system-x86_64"
BUSYBOX = "/bin/busybox"
MANY_S = 90  # s for starting as many as fit


def output(*argv, **options):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, timeout=DEADLINE, text=True,
                          **options).stdout


def say(text):
    """At once, also where the output is no terminal."""
    print(text, flush=True)


class Kinds:
    """Command lines and environments of whole commands that print hello's line."""

    def __init__(self, build, work, stack):
        self.stack, self.docker_env = stack, dict(os.environ)
        self.arrow, self.hello, self.work = build + "/arrow", build + "/hello", work
        self.env = dict(os.environ, ARROW_DATA_DIR=work + "/data", ARROW_RUN_DIR=work + "/run",
                        ARROW_NETWORK="none")
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
            except (OSError, RuntimeError, subprocess.SubprocessError) as why:
                self.missing.append("%s: %s" % (make.__name__, str(why).split("\n")[0][:150]))

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
        self.docker_env = docker_env(self.stack, self.work) or self.docker_env
        output("docker", "import", self.image(), "arrow-bench/hello", env=self.docker_env,
               stderr=subprocess.DEVNULL)
        self.stack.callback(subprocess.run, ["docker", "rmi", "-f", "arrow-bench/hello"],
                            env=self.docker_env, check=False, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
        return self.tried(["docker", "run", "--rm", "--network", "none", "arrow-bench/hello",
                           "/hello"])

    def ctr(self):
        own = self.work + "/dockerd/exec/containerd/containerd.sock"
        ctr = ["ctr"] + (["--address", own] if os.path.exists(own) else [])
        output(*ctr, "version", stderr=subprocess.DEVNULL)
        return self.tried(ctr + ["run", "--rm", "--rootfs", self.work + "/bundle/rootfs",
                                 "arrow-bench", "/hello"])

    def tried(self, argv):
        output(*argv, env=self.docker_env, stderr=subprocess.DEVNULL)
        return argv

    def all(self):
        for name, env in self.arrows.items():
            yield name, [self.arrow, "run", "--rm", self.hello], env
            if name == "arrow, zygote":
                for kind, volume in (("a volume", self.work + ":/v"), ("a volume by name", "bench:/v")):
                    yield (name + ", " + kind, [self.arrow, "run", "--rm", "-v", volume, self.hello],
                           env)
        for name, argv in self.peers.items():
            yield name, argv, self.docker_env

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
    say("\nWhole commands, ms, %d rounds in turn:\n" % rounds)
    say("| | median | least |\n|---|---:|---:|")
    for name, values in times.items():
        say("| %s | %.1f | %.1f |" % (name, statistics.median(values), min(values)))
    return {name: statistics.median(values) for name, values in times.items()}


# Of `arrow run --verbose`, in order; the first output and the end are seen from outside.
STEPS = {
    "process": "the clone's process started",
    "resumed": "the guest runs",
    "program": "the program started",
    "first output": None,
    "VM gone": "the VM is gone",
    "whole command": None,
}


def one_start(kinds, env):
    """When each step was reached, ms since the command began."""
    start = time.perf_counter()
    with subprocess.Popen([kinds.arrow, "run", "--rm", "--verbose", kinds.hello], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as command:
        os.read(command.stdout.fileno(), 1)
        first = (time.perf_counter() - start) * 1000
        _, said = command.communicate(timeout=DEADLINE)
        times = {"first output": first, "whole command": (time.perf_counter() - start) * 1000}
    notes = said.decode(errors="replace").splitlines()
    for step, note in STEPS.items():
        if note:
            times[step] = next(float(n.split()[1]) for n in notes if n.endswith("  " + note))
    return times


def where(kinds, rounds):
    """Where the milliseconds go."""
    say("\nWhere they go, ms since the command began. *Resumed*: the guest's first question arrived:\n")
    say("| | %s |\n|---|%s" % (" | ".join(STEPS), "---:|" * len(STEPS)))
    found = {}
    for name, env in kinds.arrows.items():
        samples = [one_start(kinds, env) for _ in range(rounds)]
        found[name] = {s: statistics.median(sample[s] for sample in samples) for s in STEPS}
        say("| %s | %s |" % (name, " | ".join("%.1f" % ms for ms in found[name].values())))
    return found


@contextlib.contextmanager
def idle(kinds, env, count, go_on=lambda starts: True):
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
            if not go_on(starts):
                break
        yield starts
    finally:
        for client in clients:
            with contextlib.suppress(BrokenPipeError):
                client.stdin.close()
        for client in clients:
            client.wait(DEADLINE)


def memory(kinds, count):
    say("\nIdle Arrows (`busybox cat`, 512 MiB each), MiB of each VM's process, one after another:\n")
    say("| | how many | PSS | anonymous | first start, ms | last start, ms |")
    say("|---|---:|---:|---:|---:|---:|")
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
            say("| %s | %d | %.1f | %.1f | %.0f | %.0f |" % (
                name, len(pss), statistics.median(pss), statistics.median(own), starts[0],
                starts[-1]))


def available():
    with open("/proc/meminfo") as f:
        return {line.split(":")[0]: int(line.split()[1]) / 1024 for line in f}


def many(kinds, count):
    """As many idle ones as fit, of the fastest kind: until one fifth of the memory is left."""
    name, env = next(iter(kinds.arrows.items()))
    before, begin = available()["MemAvailable"], time.monotonic()
    marks = [n for n in (10, 100, 300, 1000) if n <= count]

    def go_on(starts):
        now = available()
        last = (now["MemAvailable"] < now["MemTotal"] / 5 or time.monotonic() - begin > MANY_S or
                len(starts) == count)
        if len(starts) in marks or last:
            ms = sum(starts) / len(starts)
            say("| %d | %.0f | %.1f | %.1f | %.0f | %.0f |" % (
                len(starts), before - now["MemAvailable"],
                (before - now["MemAvailable"]) / len(starts), 1000 / ms,
                statistics.median(starts[:10]), statistics.median(starts[-10:])))
        return not last

    say("\nAs many idle ones as fit, %s, started one after another; at most %d, %d s, four fifths of "
        "the memory:\n" % (name, count, MANY_S))
    say("| Arrows | fall of MemAvailable, MiB | for each | starts a second | first ten, ms | "
        "last ten, ms |\n|---:|---:|---:|---:|---:|---:|")
    with idle(kinds, env, count, go_on):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--idle", type=int, default=20)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--json")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        work = stack.enter_context(tempfile.TemporaryDirectory(
            prefix="arrow-bench-", ignore_cleanup_errors=True))
        kinds = Kinds(os.path.abspath(args.build), work, stack)
        stack.callback(subprocess.run, [kinds.arrow, "template", "prune", "--all"], env=kinds.env,
                       stdout=subprocess.DEVNULL, check=False)
        kinds.warm_up()
        found = {"whole": whole_commands(kinds, args.rounds),
                 "where": where(kinds, max(2, args.rounds // 3))}
        if args.idle:
            memory(kinds, args.idle)
        if args.many:
            many(kinds, args.many)
        for name in kinds.missing:
            say("\nNot measured: %s" % name)
        if args.json:
            with open(args.json, "w") as f:
                json.dump(found, f)


if __name__ == "__main__":
    sys.exit(main())
