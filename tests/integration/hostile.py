#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A registry that misbehaves, on loopback and without TLS, for hostile.bats.

hostile.py PORTFILE LOG: listens on two free ports, writes both to PORTFILE, and each request as a line
"PORT METHOD PATH [Range] [Authorization]" to LOG. The name of the repository says what goes wrong.
"""
import hashlib
import http.client
import http.server
import json
import os
import re
import socket
import socketserver
import struct
import sys
import threading
import time

LAYER = bytes((i * i >> 3) & 0xFF for i in range(3_000_000))
CONFIG = json.dumps({
    "architecture": "amd64", "os": "linux", "config": {},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(LAYER).hexdigest()]},
}).encode()
OCI = "application/vnd.oci.image."
http.client._MAXLINE = 1 << 20  # of a header of a request: a token may have 64 KiB
breaks = {}  # how often a blob was cut off
ports = []


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def descriptor(kind, data, **more):
    return {"mediaType": OCI + kind, "digest": digest(data), "size": len(data), **more}


def manifest(**changes):
    return json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": descriptor("config.v1+json", CONFIG),
        "layers": [{**descriptor("layer.v1.tar", LAYER), **changes}],
    }).encode()


def index(inner):
    return json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "index.v1+json",
        "manifests": [descriptor("index.v1+json", inner,
                                 platform={"os": "linux", "architecture": "amd64"})],
    }).encode()


LOOP_INNER = index(b"{}")
MANIFESTS = {
    "wrongsize": manifest(size=len(LAYER) - 1000),
    "toolong": manifest(size=len(LAYER) - 1000),
    "short": manifest(size=len(LAYER) + 1000),
    "wrongdigest": manifest(digest="sha256:" + "0" * 64),
    "badpath": manifest(digest="sha256:../../../../etc/passwd"),
    "huge": b'{"schemaVersion": 2, "layers": [' + b" " * 9_000_000 + b"]}",
    "loop": index(LOOP_INNER),
    "notjson": b"<html>",
    "enormous": manifest(size=1 << 62),
    "manylayers": json.dumps({
        "schemaVersion": 2, "mediaType": OCI + "manifest.v1+json",
        "config": descriptor("config.v1+json", CONFIG),
        "layers": [descriptor("layer.v1.tar", LAYER)] * 10_000}).encode(),
}


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def note(self):
        with open(sys.argv[2], "a", encoding="utf-8") as log:
            print(self.server.server_port, self.command, self.path, self.headers.get("Range", "-"),
                  self.headers.get("Authorization", "-"), file=log)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def reset(self):
        """Ends the connection as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def do_HEAD(self):
        if "/odd/" in self.path:
            self.note()
            return self.answer(405)
        return self.do_GET()

    def do_POST(self):
        self.note()
        if "/odd/" in self.path:
            return self.answer(200, Location="/v2/odd/blobs/uploads/1?state=a")
        return self.answer(404)

    def do_PUT(self):
        """The repository "odd" takes what is pushed, and says so by 200 only."""
        self.note()
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200 if "/odd/" in self.path else 404)

    def do_GET(self):
        self.note()
        try:
            self.route()
        except (BrokenPipeError, ConnectionError, ValueError):
            self.close_connection = True

    def route(self):
        own, other = ports[0], ports[1]
        if self.server.server_port == other:
            # The other host: takes what comes, and gives the layer.
            return self.answer(200, LAYER if "blob" in self.path else b'{"token": "stolen"}')
        if self.path == "/v2/":
            return self.answer(200)
        if self.path.startswith("/token"):
            return self.token()
        _, _, name, what, reference = self.path.split("/", 4)
        if what == "manifests":
            return self.manifest(name, reference)
        if what == "tags":
            return self.tags(name)
        return self.blob(name, reference, own, other)

    def tags(self, name):
        """A list of some tags in one answer, or of one tag a page on some pages."""
        kind, number = name.split("-")
        number = int(number)
        if kind == "tags":
            return self.answer(200, json.dumps({"tags": [f"t{i}" for i in range(number)]}).encode())
        page = int(self.path.partition("?page=")[2] or 1)
        more = {"Link": f'</v2/{name}/tags/list?page={page + 1}>; rel="next"'} if page < number else {}
        return self.answer(200, json.dumps({"tags": [f"t{page}"]}).encode(), **more)

    def token(self):
        if "noise" in self.path:
            return self.answer(200, b"x" * 1_000_000)
        if "token-" in self.path:
            # As long as it says; the answer is always as long as it may be.
            body = json.dumps({"token": "a" * int(re.search(r"token-(\d+)", self.path)[1])}).encode()
            return self.answer(200, body.ljust(256 * 1024 + ("answer" in self.path)))
        if "odd" in self.path:
            return self.answer(202, b'{"token": null, "access_token": "a!b%c:d"}')
        if "inject" in self.path:
            return self.answer(200, json.dumps({"token": "a\r\nX-Evil: 1"}).encode())
        return self.answer(200, b'{"token": "good"}')

    def manifest(self, name, reference):
        here = f"http://127.0.0.1:{ports[0]}"
        there = f"http://127.0.0.1:{ports[1]}"
        authorized = self.headers.get("Authorization")
        realms = {"realmelsewhere": there + "/token", "loop401": here + "/token",
                  "noise": here + "/token?noise", "inject": here + "/token?inject",
                  "oddtoken": here + "/token?odd", "realmfile": "file:///etc/passwd", "tokenredirect": here + "/token",
                  "redirect": here + "/token"}
        if name.startswith(("token-", "answertoken-")):
            realms[name] = f"{here}/token?{name}"
        if name in realms and (not authorized or name == "loop401"):
            return self.answer(401, WWW_Authenticate=f'Bearer realm="{realms[name]}",service="s",'
                               f'scope="repository:{name}:pull"')
        if name == "basicloop":
            return self.answer(401, WWW_Authenticate='Basic realm="x"')
        if name == "stall":
            time.sleep(60)
        if name == "endless":
            return self.endless()
        if name == "headers":
            self.send_response(200)
            for i in range(100_000):
                self.send_header(f"X-{i}", "y" * 100)
            return self.end_headers()
        if name.startswith("hops-"):
            hops = int(self.path.partition("?hops=")[2] or 0)
            if hops < int(name.rpartition("-")[2]):
                return self.answer(307, Location=f"{self.path.partition('?')[0]}?hops={hops + 1}")
        if name.startswith(("tags-", "pages-")):
            return self.answer(404)
        if name.startswith("headers-"):
            # With the lines that are always there, and the ends of lines, so many bytes.
            self.send_response(200)
            self.send_header("Content-Length", str(len(manifest())))
            self.send_header("Content-Type", OCI + "manifest.v1+json")
            for _ in range(int(name.rpartition("-")[2]) // 1000):
                self.send_header("X-Y", "z" * 993)
            self.end_headers()
            return self.wfile.write(manifest())
        if name == "circle":
            return self.answer(307, Location=self.path)
        if name == "busy" and breaks.setdefault("busy", 0) < 2:
            breaks["busy"] += 1
            return self.answer(503, Retry_After="1")
        if name == "down":
            return self.answer(500)
        if name == "escape":
            return self.answer(404, json.dumps({"errors": [
                {"code": "X", "message": "\x1b[31mred\nline" + "z" * 10_000}]}).encode())
        body = MANIFESTS.get(name, manifest())
        if reference == digest(LOOP_INNER):
            body = LOOP_INNER
        return self.answer(200, body, Content_Type=json.loads(body)["mediaType"]
                           if body.startswith(b'{"schemaVersion": 2, "mediaType"') else "text/html")

    def blob(self, name, reference, own, other):
        data = CONFIG if reference == digest(CONFIG) else LAYER
        if data is CONFIG:
            return self.answer(200, data)
        if name == "redirect":
            return self.answer(307, Location=f"http://localhost:{other}/blob")
        if name == "redirectfile":
            return self.answer(307, Location="file:///etc/passwd")
        if name == "endlessblob":
            return self.endless()
        if name == "wrongrange":
            if self.headers.get("Range"):
                self.send_response(206)
                self.send_header("Content-Range", f"bytes 7-{len(LAYER) - 1}/{len(LAYER)}")
                self.send_header("Content-Length", str(len(LAYER) - 7))
                self.end_headers()
                return self.wfile.write(LAYER[7:])
            return self.cut(data, 0, 1_000_000)
        if name == "toolong":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            return self.wfile.write(data)
        if name in ("resets", "norange", "stallblob", "corrupt"):
            return self.breaking(name, data)
        if name == "short":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            return self.wfile.write(data)
        if name == "corrupt2":
            data = data[:-1] + b"!"
        return self.answer(200, data)

    def breaking(self, name, data):
        """Cuts off after a million bytes, twice."""
        start = 0
        if self.headers.get("Range") and name != "norange":
            start = int(self.headers["Range"].split("=")[1].split("-")[0])
        times = breaks.setdefault(name, 0)
        breaks[name] += 1
        if times < 2:
            return self.cut(data, start, 1_000_000, stall=name == "stallblob")
        if name == "corrupt":
            data = data[:-1] + b"!"
        return self.part(data, start)

    def part(self, data, start):
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:])

    def cut(self, data, start, size, stall=False):
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:start + size])
        self.wfile.flush()
        # What was sent is to arrive: a reset throws away what the kernel still holds.
        time.sleep(60 if stall else 0.3)
        self.reset()

    def endless(self):
        self.send_response(200)
        self.send_header("Content-Type", OCI + "manifest.v1+json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        while True:
            self.wfile.write(b" " * 65536)


servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
ports.extend(s.server_port for s in servers)
for s in servers:
    threading.Thread(target=s.serve_forever, daemon=True).start()
with open(sys.argv[1] + ".new", "w", encoding="utf-8") as f:
    print(*ports, file=f)
os.rename(sys.argv[1] + ".new", sys.argv[1])
threading.Event().wait()
