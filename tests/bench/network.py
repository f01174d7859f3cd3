#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""nginx and redis in an Arrow beside the same images in docker: prints tables in markdown.

  tests/bench/network.py [BUILD [ROUNDS]]

Needs root: all of it happens in a network namespace of its own, with a docker daemon of its own. Both
are asked from the host, by the address that each has on its bridge; in turn, round by round.
"""
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE = 600  # s for one command: images are made by one
CLIENTS = 8
SECONDS = 5  # of one run of wrk
REQUESTS = 5000  # of one run of redis-benchmark
APPS = {"nginx": 80, "redis": 6379}


def run(argv, env=None, **options):
    return subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=DEADLINE, text=True, **options)


def must(argv, **options):
    done = run(argv, **options)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError("%s: %s" % (argv[0], said[-1] if said else "failed"))
    return done.stdout.strip()


def until(seconds, what, test):
    end = time.monotonic() + seconds
    while not test():
        if time.monotonic() > end:
            raise RuntimeError(what)
        time.sleep(0.2)


def end(process):
    process.terminate()
    process.wait(DEADLINE)


def dockerd(stack, folder):
    own = folder + "/dockerd"
    os.makedirs(own)
    env = dict(os.environ, DOCKER_HOST=f"unix://{own}/socket", DOCKER_BUILDKIT="0")
    log = stack.enter_context(open(own + "/log", "wb"))
    daemon = subprocess.Popen(
        ["dockerd", "--data-root", own + "/data", "--exec-root", own + "/exec", "--host",
         env["DOCKER_HOST"], "--pidfile", own + "/pid", "--iptables=false", "--ip6tables=false",
         "--storage-driver", "vfs"], stdout=log, stderr=log)
    stack.callback(end, daemon)
    until(60, "no docker daemon of our own starts",
          lambda: daemon.poll() is not None or run(["docker", "info"], env=env).returncode == 0)
    if daemon.poll() is not None:
        raise RuntimeError("no docker daemon of our own starts")
    return env


def answers(app, address):
    if app == "redis":
        return run(["redis-cli", "-h", address, "ping"]).stdout.strip() == "PONG"
    return run(["curl", "-sf", "--max-time", "5", f"http://{address}/"]).returncode == 0


def milliseconds(text):
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def measure(app, address):
    """Requests a second, and the latency of half and of 99 of 100, in ms."""
    if app == "nginx":
        said = must(["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "--latency", "--timeout", "20s",
                     f"http://{address}/"])
        if "Socket errors" in said or "Non-2xx" in said:
            raise RuntimeError("wrk: " + said)
        return {"GET / of nginx": (
            float(re.search(r"Requests/sec: *([0-9.]+)", said)[1]),
            milliseconds(re.search(r"50% +(\S+)", said)[1]),
            milliseconds(re.search(r"99% +(\S+)", said)[1]))}
    said = must(["redis-benchmark", "-h", address, "-c", str(CLIENTS), "-n", str(REQUESTS), "-t",
                 "set,get", "--csv"])
    rows = [[cell.strip('"') for cell in line.split(",")] for line in said.splitlines()]
    at = [rows[0].index(name) for name in ("rps", "p50_latency_ms", "p99_latency_ms")]
    return {f"{row[0]} of redis": tuple(float(row[i]) for i in at) for row in rows[1:]}


def begin(stack, folder, build):
    """Starts all. Returns {(app, who): address}."""
    arrow = os.path.join(build, "arrow")
    env = dict(os.environ, ARROW_DATA_DIR=folder + "/data", ARROW_RUN_DIR=folder + "/run",
               ARROW_ZYGOTE_IDLE="1")
    env.pop("ARROW_NETWORK", None)
    # A network stays up for some seconds after its last Arrow.
    stack.callback(until, 60, "the network stays up",
                   lambda: not os.path.exists(folder + "/run/networks/bridge"))
    images = must([SOURCE + "/tests/images", os.path.join(build, "test-images")])
    docker = dockerd(stack, folder)
    must(["docker", "build", "-q", "-t", "arrow-test/base:1", images + "/base"], env=docker)
    found = {}
    for app in APPS:
        name, image = f"bench-{app}", f"arrow-bench/{app}:1"
        must(["docker", "build", "-q", "-t", image, f"{images}/{app}"], env=docker)
        must(["docker", "save", "-o", folder + "/image.tar", image], env=docker)
        must([arrow, "load", "-i", folder + "/image.tar"], env=env)
        for who, command, environ, options in (
                ("arrow", arrow, env, []),
                ("docker", "docker", docker, ["--ulimit", "nofile=1024:1024"])):
            must([command, "run", "-d", "--name", name, *options, image], env=environ)
            stack.callback(run, [command, "rm", "-f", name], env=environ)
            shown = json.loads(must([command, "inspect", name], env=environ))[0]
            found[app, who] = shown["NetworkSettings"]["IPAddress"]
            until(90, f"{app} in {who} does not answer",
                  lambda app=app, at=found[app, who]: answers(app, at))
    info = json.loads(must([arrow, "info", "--format", "json"], env=env))
    return found, info["engine"]["accel"]


def main():
    must(["ip", "link", "set", "lo", "up"])
    build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(SOURCE, "build")
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    if os.geteuid() != 0:
        sys.exit("nginx and redis are measured as root only")
    figures = {}
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(
            prefix="arrow-bench-", ignore_cleanup_errors=True))
        addresses, accel = begin(stack, folder, build)
        for _ in range(rounds):
            for (app, who), address in addresses.items():
                for what, row in measure(app, address).items():
                    figures.setdefault((what, who), []).append(row)
    print(f"""Servers in the same images, in an Arrow (accelerator: {accel}) and in docker, asked from the host by their
addresses on a bridge with {CLIENTS} connections: `wrk` for {SECONDS} s, `redis-benchmark` with {REQUESTS} requests, {rounds} runs each,
in turn. Medians.{" Without KVM the Arrow's kernel and server are translated by TCG; docker's run as they are." if accel == "tcg" else ""}

| | requests/s | least–most | half within, ms | 99 % within, ms |
|---|---:|---:|---:|---:|""")
    for (what, who), rows in sorted(figures.items()):
        rate, half, most = zip(*rows)
        print(f"| {what}, {who} | {statistics.median(rate):.0f} | {min(rate):.0f}–{max(rate):.0f} | "
              f"{statistics.median(half):.2f} | {statistics.median(most):.2f} |")
    return 0


if __name__ == "__main__":
    if os.geteuid() == 0 and os.environ.get("ARROW_BENCH_NETNS") != "1":
        # There is no way to Debian's mirror from a namespace of our own.
        build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(SOURCE, "build")
        if subprocess.run([SOURCE + "/tests/images", os.path.join(build, "test-images")],
                          stdout=subprocess.DEVNULL).returncode:
            sys.exit("tests/bench/network.py: the images cannot be made")
        os.environ["ARROW_BENCH_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, os.path.abspath(__file__),
                              *sys.argv[1:]])
    try:
        sys.exit(main())
    except (RuntimeError, OSError, subprocess.SubprocessError) as why:
        sys.exit(f"tests/bench/network.py: {why}")
