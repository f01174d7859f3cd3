# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A registry with TLS and a password on loopback, for tests: Debian's docker-registry. Everything is
# below $R, and registry_down ends what registry_up started.

R=$BATS_FILE_TMPDIR/registry

# free_port: one that nobody listens on, of this machine.
free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# registry_up: sets HOST; the user is "user", the password "secret". Arrow trusts its certificate and
# is not logged in.
# shellcheck disable=SC2094 # server.crt is written once, and only named afterwards
registry_up() {
  local port
  mkdir -p "$R/xdg" "$R/docker" "$R/run"
  port=$(free_port)
  export HOST=127.0.0.1:$port
  # What arrow, docker and skopeo read of a user is the test's own.
  export XDG_CONFIG_HOME=$R/xdg DOCKER_CONFIG=$R/docker XDG_RUNTIME_DIR=$R/run
  export CERTS=$R/xdg/containers/certs.d/$HOST
  mkdir -p "$CERTS"
  (
    cd "$R" || exit 1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
      -keyout ca.key -out ca.crt -subj /CN=arrow-test
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key \
      -out server.csr -subj /CN=127.0.0.1
    echo 'subjectAltName=IP:127.0.0.1,DNS:localhost' >names
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 \
      -extfile names -out server.crt
    htpasswd -Bbn -C 4 user secret >htpasswd
    cat >config.yml <<END
version: 0.1
log: {level: error}
http:
  addr: $HOST
  secret: test
  tls: {certificate: $R/server.crt, key: $R/server.key}
storage: {filesystem: {rootdirectory: $R/blobs}, delete: {enabled: true}}
auth: {htpasswd: {realm: test, path: $R/htpasswd}}
END
  ) 2>/dev/null
  cp "$R/ca.crt" "$CERTS/ca.crt"
  docker-registry serve "$R/config.yml" >"$R/log" 2>&1 3>&- 4>&- &
  echo $! >"$R/pid"
  wait_for 30 curl -sf --cacert "$R/ca.crt" -u user:secret "https://$HOST/v2/"
}

registry_down() {
  [ ! -e "$R/pid" ] || end "$(cat "$R/pid")"
}

# end PID: until it is gone.
end() {
  kill "$1" 2>/dev/null || return 0
  wait_for 30 gone "$1"
}

# docker_up: a dockerd of our own, without networks. Sets DOCKER_HOST.
docker_up() {
  mkdir -p "$R/dockerd"
  export DOCKER_HOST=unix://$R/dockerd/socket
  dockerd --data-root "$R/dockerd/data" --exec-root "$R/dockerd/exec" --host "$DOCKER_HOST" \
    --pidfile "$R/dockerd/pid" --bridge=none --iptables=false --ip6tables=false \
    >"$R/dockerd/log" 2>&1 3>&- 4>&- &
  echo $! >"$R/dockerd.pid"
  wait_for 60 docker version >/dev/null
}

docker_down() {
  [ ! -e "$R/dockerd.pid" ] || end "$(cat "$R/dockerd.pid")"
}

# podman_ ARGS...: with a storage of our own.
podman_() {
  podman --root "$R/podman" --runroot "$R/podman-run" --storage-driver vfs --cgroup-manager cgroupfs \
    "$@"
}

# image_dir DIR: a small Dockerfile with a layer of busybox and one of random bytes, and a command.
image_dir() {
  mkdir -p "$1"
  cp "$BUSYBOX" "$1/busybox"
  head -c 3000000 /dev/urandom >"$1/random"
  cat >"$1/Dockerfile" <<'END'
FROM scratch
COPY busybox /bin/busybox
COPY random /random
ENV GREETING=hello
ENTRYPOINT ["/bin/busybox"]
CMD ["sh", "-c", "echo $GREETING; /bin/busybox wc -c </random"]
END
}

login() {
  echo secret | arrow login -u user --password-stdin "$HOST" 2>/dev/null
}

# Nothing in the store but whole blobs, each of the digest that it is named by.
assert_store_whole() {
  local blob
  for blob in "$ARROW_DATA_DIR"/oci/blobs/sha256/*; do
    [ -e "$blob" ] || continue
    [ "$(sha256sum <"$blob")" = "${blob##*/}  -" ]
  done
}
