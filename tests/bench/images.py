#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Container images by Arrow beside podman and skopeo with umoci: prints tables in markdown.

  sudo tests/bench/images.py [BUILD [ROUNDS]]

The image is Debian with python3 (tests/images), about 140 MB unpacked, pulled from Debian's
docker-registry on loopback without TLS. Every pull starts with an empty store. The cases run in
turn, round by round, so that noise of the machine hits all alike. No figure is asserted.
"""
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEADLINE = 600  # s for one command: far above what the slowest machine needs
ULIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
PYTHON = ["-c", "print('Hello from python')"]


def must(argv, env=None):
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=DEADLINE)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"{' '.join(argv[:4])}: {said[-1] if said else 'failed'}")
    return done.stdout.decode()


def timed(*commands, env=None):
    start = time.monotonic()
    for argv in commands:
        must(argv, env)
    return time.monotonic() - start


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def registry(folder):
    host = f"127.0.0.1:{free_port()}"
    with open(folder + "/registry.yml", "w", encoding="utf-8") as f:
        f.write(f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{host}', secret: bench}}\n"
                f"storage: {{filesystem: {{rootdirectory: {folder}/blobs}}}}\n")
    server = subprocess.Popen(["docker-registry", "serve", folder + "/registry.yml"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"http://{host}/v2/", timeout=5).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        yield host
    finally:
        server.terminate()
        server.wait()


class Bench:
    def __init__(self, folder, build, host):
        self.folder, self.host, self.name = folder, host, f"{host}/debian/python:1"
        self.command = os.path.join(build, "arrow")
        self.env = dict(os.environ, ARROW_DATA_DIR=folder + "/data", ARROW_RUN_DIR=folder + "/run",
                        DOCKER_CONFIG=folder, XDG_RUNTIME_DIR=folder)
        # The driver that podman has as root; its store is the bench's own.
        self.podman = ["podman", "--root", folder + "/podman", "--runroot", folder + "/podman-run",
                       "--cgroup-manager", "cgroupfs"]

    def build_image(self):
        images = must([SOURCE + "/tests/images", SOURCE + "/build/test-images"]).strip()
        must([*self.podman, "build", "-q", "-t", "arrow-test/base:1", images + "/base"])
        must([*self.podman, "build", "-q", "-t", self.name, images + "/python"])
        must([*self.podman, "push", "-q", "--tls-verify=false", self.name])
        must([*self.podman, "rmi", "-af"])

    def arrow(self, *args):
        return [self.command, *args]

    def pull_arrow(self):
        shutil.rmtree(self.folder + "/data", ignore_errors=True)
        return timed(self.arrow("pull", "-q", self.name), env=self.env)

    def pull_podman(self):
        must([*self.podman, "rmi", "-af"])
        return timed([*self.podman, "pull", "-q", "--tls-verify=false", self.name])

    def pull_umoci(self):
        for name in ("layout", "bundle"):
            shutil.rmtree(f"{self.folder}/{name}", ignore_errors=True)
        layout = self.folder + "/layout"
        return timed(["skopeo", "copy", "-q", "--src-tls-verify=false", "docker://" + self.name,
                      f"oci:{layout}:python"],
                     ["umoci", "unpack", "--image", layout + ":python", self.folder + "/bundle"])

    def first_arrow(self):
        """From nothing to the first output: pull, unpack, start."""
        shutil.rmtree(self.folder + "/data/oci", ignore_errors=True)
        shutil.rmtree(self.folder + "/data/images", ignore_errors=True)
        return timed(self.arrow("run", self.name, *PYTHON), env=self.env)

    def first_podman(self):
        must([*self.podman, "rmi", "-af"])
        return timed([*self.podman, "run", "--rm", "--tls-verify=false", "--network", "none",
                      *ULIMITS, self.name, *PYTHON])

    def run_arrow(self):
        return timed(self.arrow("run", self.name, *PYTHON), env=self.env)

    def run_podman(self):
        return timed([*self.podman, "run", "--rm", "--network", "none", *ULIMITS, self.name,
                      *PYTHON])


def rounds(cases, count):
    """Times of each case, in turn; a case that fails is told and left out."""
    times = {title: [] for title, _ in cases}
    failed = {}
    for _ in range(count):
        for title, case in cases:
            if title in failed:
                continue
            try:
                times[title].append(case())
            except (OSError, RuntimeError, subprocess.TimeoutExpired) as e:
                failed[title] = e
    for title, why in failed.items():
        print(f"{title}: not measured: {why}", file=sys.stderr)
    return [(title, t) for title, t in times.items() if t and title not in failed]


def table(head, results):
    print(f"| {head} | median | fastest | slowest |\n|---|---|---|---|")
    for title, t in results:
        print(f"| {title} | {statistics.median(t):.2f} s | {min(t):.2f} s | {max(t):.2f} s |")
    print()


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else SOURCE + "/build")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    if os.geteuid() != 0:
        sys.exit("images.py: podman and umoci keep owners only as root: use sudo")
    folder = tempfile.mkdtemp(prefix="arrow-bench-")
    try:
        with registry(folder) as host:
            bench = Bench(folder, build, host)
            bench.build_image()
            print(f"{os.cpu_count()} CPUs, medians of {count}, in turn.\n")
            table("from an empty store, Debian with python3", rounds([
                ("`arrow pull`", bench.pull_arrow),
                ("`podman pull`, with unpacking", bench.pull_podman),
                ("`skopeo copy` and `umoci unpack`", bench.pull_umoci),
                ("`arrow run`: pull, root image, VM, output", bench.first_arrow),
                ("`podman run`: pull, unpack, output", bench.first_podman),
            ], count))
            bench.run_arrow()
            bench.run_podman()
            table("the image is here: until python's output, whole command", rounds([
                ("`arrow run`", bench.run_arrow),
                ("`podman run`", bench.run_podman),
            ], count * 2))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
