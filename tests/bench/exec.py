#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`arrow exec NAME true` beside `docker exec` and `podman exec`: prints a table in markdown.

  tests/bench/exec.py [BUILD [ROUNDS]]

Each runs the same static busybox. The cases run in turn, round by round, so that noise of the
machine hits all alike. A peer that is not there, or does not start, is told and left out.
"""
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUSYBOX = "/bin/busybox"
DEADLINE = 120  # s for one command: far above what the slowest machine needs
NAME = f"arrow-bench-exec-{os.getpid()}"


def run(argv, env=None, stdin=subprocess.DEVNULL):
    return subprocess.run(argv, env=env, stdin=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=DEADLINE)


def must(argv, **options):
    done = run(argv, **options)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(said[-1] if said else f"{argv[0]} failed")
    return done.stdout


def arrow(stack, folder, build):
    command = os.path.join(build, "arrow")
    env = dict(os.environ, ARROW_DATA_DIR=folder + "/data", ARROW_RUN_DIR=folder + "/run")
    must([command, "run", "-d", "--network", "none", "--name", NAME, BUSYBOX, "sleep", "3600"],
         env=env)
    stack.callback(run, [command, "rm", "-f", NAME], env=env)
    return [command, "exec", NAME, BUSYBOX, "true"], env


def end(process):
    process.terminate()
    process.wait(DEADLINE)


def docker_env(stack, folder):
    """Talks to the daemon that is there, else to one of our own, without networks."""
    if run(["docker", "info"]).returncode == 0:
        return None
    own = folder + "/dockerd"
    os.makedirs(own)
    env = dict(os.environ, DOCKER_HOST=f"unix://{own}/socket")
    log = stack.enter_context(open(own + "/log", "wb"))
    daemon = subprocess.Popen(
        ["dockerd", "--data-root", own + "/data", "--exec-root", own + "/exec", "--host",
         env["DOCKER_HOST"], "--pidfile", own + "/pid", "--bridge=none", "--iptables=false",
         "--ip6tables=false", "--storage-driver", "vfs"], stdout=log, stderr=log)
    stack.callback(end, daemon)
    until = time.monotonic() + 60
    while run(["docker", "info"], env=env).returncode:
        if daemon.poll() is not None or time.monotonic() > until:
            raise RuntimeError("no docker daemon runs, and none of our own starts")
        time.sleep(0.2)
    return env


def container(tool):
    def begin(stack, folder, build):
        if not shutil.which(tool):
            raise RuntimeError("not installed")
        command, env = [tool], None
        if tool == "docker":
            env = docker_env(stack, folder)
        else:
            command += ["--root", folder + "/podman", "--runroot", folder + "/podman.run",
                        "--tmpdir", folder + "/podman.tmp", "--cgroup-manager", "cgroupfs"]
        root = folder + "/root-" + tool
        os.makedirs(root + "/bin")
        shutil.copy(BUSYBOX, root + "/bin/busybox")
        tar = root + ".tar"
        must(["tar", "-C", root, "-cf", tar, "."])
        must(command + ["import", tar, NAME], env=env)
        stack.callback(run, command + ["rmi", "-f", NAME], env=env)
        must(command + ["run", "-d", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit",
                        "nproc=1000:1000", "--name",
                        NAME, NAME, "/bin/busybox", "sleep", "3600"], env=env)
        stack.callback(run, command + ["rm", "-f", NAME], env=env)
        return command + ["exec", NAME, "/bin/busybox", "true"], env
    return begin


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(SOURCE, "build")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 31
    cases, times = {}, {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="arrow-bench-"))
        for name, begin in (("arrow exec", arrow), ("docker exec", container("docker")),
                            ("podman exec", container("podman"))):
            try:
                cases[name] = begin(stack, folder, build)
                must(cases[name][0], env=cases[name][1])  # the first one finds cold caches
            except (RuntimeError, OSError, subprocess.SubprocessError) as e:
                cases.pop(name, None)
                print(f"{name} is not measured: {e}", file=sys.stderr)
        for _ in range(rounds):
            for name, (argv, env) in cases.items():
                start = time.monotonic()
                must(argv, env=env)
                times.setdefault(name, []).append((time.monotonic() - start) * 1000)
    print(f"Whole commands with `busybox true`, {rounds} each in turn, ms:\n")
    print("| | median | fastest | slowest |\n|---|---|---|---|")
    for name, values in times.items():
        print(f"| `{name}` | {statistics.median(values):.1f} | {min(values):.1f} | "
              f"{max(values):.1f} |")
    return 0 if "arrow exec" in times else 1


if __name__ == "__main__":
    sys.exit(main())
