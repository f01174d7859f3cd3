#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Container images as people have them: redis, nginx, python3, nodejs and busybox, made with debootstrap
# from Debian's packages, pushed by docker, then pulled and run by Arrow and answering requests; the
# same images run unchanged under docker.

load common
load registry

APPS='busybox redis nginx python nodejs'

setup_file() {
  arrow_setup_file
  # Made once, and stays.
  IMAGES=$("$SOURCE/tests/images" "$SOURCE/build/test-images")
  registry_up
  docker_up
  export DOCKER_BUILDKIT=0
  docker login -u user -p secret "$HOST"
  docker build -q -t arrow-test/base:1 "$IMAGES/base"
  for app in $APPS; do
    docker build -q -t "$HOST/debian/$app:1" "$IMAGES/$app"
    docker push -q "$HOST/debian/$app:1"
  done
}

teardown_file() {
  docker_down
  registry_down
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  PORT=$(free_port)
}

teardown() {
  arrow rm -f app >/dev/null 2>&1 || true
  assert_no_leftovers
}

# serve APP PORT ARGS...: pulls and starts an image whose port is published on $PORT.
serve() {
  local app=$1 port=$2
  shift 2
  arrow run -d --name app --network user -p "127.0.0.1:$PORT:$port" "$HOST/debian/$app:1" "$@"
}

# answers PATTERN: an HTTP server on $PORT, with an answer like that.
answers() {
  curl -sf --max-time 20 "http://127.0.0.1:$PORT/" | grep -q "$1"
}

# Starts the same under docker, whose network has lo alone; sets ID, and PID to get there.
in_docker() {
  local app=$1
  shift
  ID=$(docker run -d --network none "$HOST/debian/$app:1" "$@")
  PID=$(docker inspect -f '{{.State.Pid}}' "$ID")
}

@test "packages: redis answers, in an Arrow and in docker" {
  serve redis 6379
  wait_for 60 redis-cli -p "$PORT" ping
  redis-cli -p "$PORT" set key value
  [ "$(redis-cli -p "$PORT" get key)" = value ]
  [[ $(redis-cli -p "$PORT" config get dir) == *'/tmp' ]]
  arrow stop app
  in_docker redis
  wait_for 60 nsenter -n -t "$PID" redis-cli ping
  docker rm -f "$ID"
}

@test "packages: nginx answers, in an Arrow and in docker" {
  serve nginx 80
  wait_for 60 answers nginx
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    wait_for 60 answers 'Welcome to nginx'
  done
  arrow stop -t 60 app
  in_docker nginx
  wait_for 60 nsenter -n -t "$PID" curl -sf http://127.0.0.1/
  docker rm -f "$ID"
}

PYTHON='import socket
s = socket.create_server(("0.0.0.0", 8000))
while True:
    c = s.accept()[0]
    c.recv(4096)
    c.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello from python\n")
    c.close()'

@test "packages: python3 answers, in an Arrow and in docker" {
  serve python 8000 -c "$PYTHON"
  wait_for 60 answers 'hello from python'
  run arrow run -i "$HOST/debian/python:1" - a <<<'import sys, os; print(sys.argv, os.environ["PYTHONUNBUFFERED"])'
  [ "$output" = "['-', 'a'] 1" ]
  in_docker python -c "$PYTHON"
  wait_for 60 nsenter -n -t "$PID" curl -sf http://127.0.0.1:8000/
  docker rm -f "$ID"
}

NODE='require("http").createServer((q, a) => a.end("hello from node " + process.version)).listen(8000)'

@test "packages: nodejs answers, in an Arrow and in docker" {
  serve nodejs 8000 -e "$NODE"
  wait_for 120 answers 'hello from node v'
  in_docker nodejs -e "$NODE"
  wait_for 60 nsenter -n -t "$PID" curl -sf http://127.0.0.1:8000/
  docker rm -f "$ID"
}

HTTPD='echo hello from busybox >/index.html; exec /bin/busybox httpd -f -p 8000 -h /'

@test "packages: busybox answers, in an Arrow and in docker" {
  serve busybox 8000 sh -c "$HTTPD"
  wait_for 60 answers 'hello from busybox'
  in_docker busybox sh -c "$HTTPD"
  wait_for 60 nsenter -n -t "$PID" curl -sf http://127.0.0.1:8000/
  docker rm -f "$ID"
}

@test "packages: images share the layers of their base" {
  [ "$(find "$ARROW_DATA_DIR/oci/blobs" -size +20M | wc -l)" -le 3 ]
}
