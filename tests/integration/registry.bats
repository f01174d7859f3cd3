#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pull, push and log in, against Debian's docker-registry with TLS and a password, and with images of
# docker, podman and skopeo.

# The variables in what guests run are theirs.
# shellcheck disable=SC2016

load common
load registry

setup_file() {
  arrow_setup_file
  registry_up
  docker_up
  image_dir "$R/image"
  export DOCKER_BUILDKIT=0
  docker build -q -t "$HOST/team/docker:1" "$R/image"
  docker login -u user -p secret "$HOST"
  docker push -q "$HOST/team/docker:1"
  rm "$DOCKER_CONFIG/config.json"
}

teardown_file() {
  docker_down
  registry_down
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  export ARROW_DATA_DIR=$BATS_TEST_TMPDIR/data
  rm -rf "$DOCKER_CONFIG"
  mkdir -p "$DOCKER_CONFIG"
}

@test "registry: an image pushed by docker is pulled and run; the next pull finds it there" {
  login
  run arrow pull "$HOST/team/docker:1"
  [ "$status" -eq 0 ]
  [[ ${lines[0]} == '1: Pulling from team/docker' ]]
  [[ $output == *': Pull complete'* ]]
  [[ $output == *'Digest: sha256:'* ]]
  [[ $output == *"Status: Downloaded newer image for $HOST/team/docker:1"* ]]
  run arrow pull "$HOST/team/docker:1"
  [[ $output == *': Already exists'* ]]
  [[ $output == *'Status: Image is up to date'* ]]
  run arrow pull -q "$HOST/team/docker:1"
  [ "$output" = "$HOST/team/docker:1" ]
  ARROW_DATA_DIR=$ARROW_DATA_DIR run arrow run "$HOST/team/docker:1"
  [ "$status" -eq 0 ]
  [ "$output" = $'hello\n3000000' ]
}

@test "registry: arrow run pulls what is missing" {
  login
  run arrow run "$HOST/team/docker:1" echo pulled
  [ "$status" -eq 0 ]
  [ "${lines[0]}" = "arrow: Unable to find image '$HOST/team/docker:1' locally" ]
  [ "${lines[-1]}" = pulled ]
  # Quietly: nothing but what the program says.
  arrow rmi "$HOST/team/docker:1"
  run -0 arrow run -q "$HOST/team/docker:1" echo pulled
  [ "$output" = pulled ]
  run -125 arrow run --pull never "$HOST/team/none:1"
  [[ $output != *Unable* ]]
}

@test "registry: an image pushed by skopeo, by digest" {
  login
  skopeo copy -q --src-daemon-host "$DOCKER_HOST" "docker-daemon:$HOST/team/docker:1" "oci:$PWD/layout:x"
  skopeo copy -q --dest-creds user:secret --dest-cert-dir "$CERTS" "oci:$PWD/layout:x" \
    "docker://$HOST/team/skopeo:2"
  digest=$(skopeo inspect --creds user:secret --cert-dir "$CERTS" --format '{{.Digest}}' \
    "docker://$HOST/team/skopeo:2")
  arrow pull "$HOST/team/skopeo@$digest" | grep -qx "Digest: $digest"
  arrow run "$HOST/team/skopeo@$digest" echo by digest | grep -qx 'by digest'
}

@test "registry: an image pushed by podman, and the same pulled back by all three" {
  login
  docker save -o saved.tar "$HOST/team/docker:1"
  podman_ load -q -i saved.tar
  podman_ push -q --creds user:secret --cert-dir "$CERTS" "$HOST/team/docker:1" \
    "docker://$HOST/team/podman:3"
  arrow pull "$HOST/team/podman:3"
  arrow run "$HOST/team/podman:3" echo podman | grep -qx podman

  # Under another name and to another repository by arrow, then by the others.
  arrow tag "$HOST/team/podman:3" "$HOST/arrow/pushed:4"
  run arrow push "$HOST/arrow/pushed:4"
  [ "$status" -eq 0 ]
  [[ ${lines[0]} == "The push refers to repository [$HOST/arrow/pushed]" ]]
  [[ $output == *'Mounted from another repository'* ]]
  [[ $output =~ '4: digest: '(sha256:[0-9a-f]{64})' size: ' ]]
  digest=${BASH_REMATCH[1]}
  docker login -u user -p secret "$HOST"
  docker pull "$HOST/arrow/pushed:4" | grep -q "$digest"
  podman_ pull -q --creds user:secret --cert-dir "$CERTS" "$HOST/arrow/pushed:4"
  skopeo copy -q --src-creds user:secret --src-cert-dir "$CERTS" "docker://$HOST/arrow/pushed:4" \
    "dir:$PWD/dir"
  [ "$(sha256sum <dir/manifest.json)" = "${digest#sha256:}  -" ]
  docker run --rm --network none "$HOST/arrow/pushed:4" echo docker runs it | grep -qx 'docker runs it'
}

@test "registry: docker and podman load what save and export write, and run the same" {
  mkdir -p root/bin root/data
  cp "$BUSYBOX" root/bin/busybox
  ln -s busybox root/bin/sh
  ln root/bin/busybox root/bin/id
  echo content >root/data/file
  arrow build -q -t made:1 --env GREETING=hello --user 12:34 --workdir /data --label a=b --entrypoint /bin/sh \
    --cmd -c --cmd 'echo $GREETING; /bin/id; read line <file; echo $line' ./root
  said=$(arrow run made:1 | sed 's/ groups=.*//')
  echo "$said"
  [ "$said" = $'hello\nuid=12 gid=34\ncontent' ]
  id=$(arrow images --no-trunc -q made:1)
  echo '{}' >"$DOCKER_CONFIG/config.json" # podman wants one
  arrow save -o save.tar made:1
  arrow export --as docker made:1 export.tar
  for archive in save export; do
    [[ $(docker load -i $archive.tar) == *'Loaded image: made:1'* ]]
    [ "$(docker image inspect -f '{{.Id}} {{.Config.Labels.a}}' made:1)" = "$id b" ]
    [ "$(docker run --rm --network none made:1 | sed 's/ groups=.*//')" = "$said" ]
    arrow import docker-daemon:made:1 from-docker:1
    [ "$(arrow images --no-trunc -q from-docker:1)" = "$id" ]
    docker rmi -f made:1
    podman_ load -q -i $archive.tar
    [ "$(podman_ image inspect -f '{{.Id}}' docker.io/library/made:1)" = "${id#sha256:}" ]
    [ "$(podman_ run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 docker.io/library/made:1 |
      sed 's/ groups=.*//')" = "$said" ]
    podman_ rmi -f made:1
  done
}

@test "registry: a push sends what is missing only, also in chunks" {
  login
  head -c 150000000 /dev/urandom >big
  mkdir -p root && mv big root/
  tar -C root -cf - . | docker import - "$HOST/big:1"
  docker save "$HOST/big:1" -o big.tar
  mkdir -p "$ARROW_DATA_DIR"
  skopeo copy -q docker-archive:big.tar "oci:$ARROW_DATA_DIR/oci:$HOST/chunked/big:1"
  run arrow push "$HOST/chunked/big:1"
  [ "$status" -eq 0 ]
  [[ $output == *': Pushed'* ]]
  run arrow push "$HOST/chunked/big:1"
  [[ $output != *': Pushed'* ]]
  [[ $output == *'Layer already exists'* ]]
  # Another repository of the registry takes it from there.
  arrow tag "$HOST/chunked/big:1" "$HOST/mounted/big:1"
  [[ $(arrow push "$HOST/mounted/big:1") == *': Mounted from another repository'* ]]
  skopeo copy -q --src-creds user:secret --src-cert-dir "$CERTS" "docker://$HOST/mounted/big:1" \
    "dir:$PWD/dir"
}

@test "registry: all tags, pulled and pushed" {
  login
  arrow pull -q "$HOST/team/docker:1"
  for tag in a b c; do
    arrow tag "$HOST/team/docker:1" "$HOST/many/tags:$tag"
  done
  arrow push -a "$HOST/many/tags"
  rm -rf "$ARROW_DATA_DIR"
  arrow pull -a "$HOST/many/tags"
  for tag in a b c; do
    arrow run --pull never "$HOST/many/tags:$tag" true
  done
  run arrow pull -a "$HOST/many/tags:a"
  [ "$status" -eq 1 ]
}

@test "registry: an index gives the image of the platform" {
  login
  docker save -o saved.tar "$HOST/team/docker:1"
  for arch in amd64 arm64; do
    podman_ load -q -i saved.tar
    podman_ create --name "c$arch" "$HOST/team/docker:1"
    podman_ commit -q --change "LABEL arch=$arch" "c$arch" "made:$arch"
    podman_ rm "c$arch"
    podman_ save -q --format oci-dir -o "dir$arch" "made:$arch"
  done
  podman_ manifest create list
  podman_ manifest add --arch amd64 list containers-storage:localhost/made:amd64
  podman_ manifest add --arch arm64 list containers-storage:localhost/made:arm64
  podman_ manifest push --all --creds user:secret --cert-dir "$CERTS" list "docker://$HOST/multi/arch:1"
  arrow pull "$HOST/multi/arch:1"
  arrow run "$HOST/multi/arch:1" echo index | grep -qx index
  top=$(arrow pull "$HOST/multi/arch:1" | sed -n 's/^Digest: //p')
  [ "$(skopeo inspect --raw --creds user:secret --cert-dir "$CERTS" "docker://$HOST/multi/arch:1" |
    sha256sum)" = "${top#sha256:}  -" ]
  run arrow pull --platform linux/riscv64 "$HOST/multi/arch:1"
  [ "$status" -eq 1 ]
  [[ $output == *'no image for linux/riscv64'* ]]
  arrow pull -q --platform linux/arm64 "$HOST/multi/arch:1"
  podman_ rmi -af >/dev/null
}

@test "registry: login tries the password, and docker reads what it writes" {
  run arrow pull "$HOST/team/docker:1"
  [ "$status" -eq 1 ]
  [[ $output == *"arrow login $HOST"* ]]
  run arrow login -u user --password-stdin "$HOST" <<<wrong
  [ "$status" -eq 1 ]
  [ ! -e "$DOCKER_CONFIG/config.json" ]
  echo '{"currentContext": "x", "auths": {"other": {"auth": "YTpi"}}}' >"$DOCKER_CONFIG/config.json"
  login
  [ "$(stat -c %a "$DOCKER_CONFIG/config.json")" = 600 ]
  [ "$(jq -r .currentContext "$DOCKER_CONFIG/config.json")" = x ]
  [ "$(jq -r .auths.other.auth "$DOCKER_CONFIG/config.json")" = YTpi ]
  jq 'del(.currentContext)' "$DOCKER_CONFIG/config.json" >changed.json
  cp changed.json "$DOCKER_CONFIG/config.json"
  docker pull -q "$HOST/team/docker:1"
  run arrow logout "$HOST"
  [ "$output" = "Removing login credentials for $HOST" ]
  run arrow logout "$HOST"
  [ "$output" = "Not logged in to $HOST" ]
  [ "$(jq -r .auths.other.auth "$DOCKER_CONFIG/config.json")" = YTpi ]
  run arrow pull "$HOST/team/docker:1"
  [ "$status" -eq 1 ]
}

@test "registry: podman's login and docker's count" {
  echo secret | podman_ login -u user --password-stdin --cert-dir "$CERTS" "$HOST"
  arrow pull -q "$HOST/team/docker:1"
  arrow logout "$HOST"
  run arrow pull -q "$HOST/team/docker:1"
  [ "$status" -eq 1 ]
  docker login -u user -p secret "$HOST"
  arrow pull -q "$HOST/team/docker:1"
}

@test "registry: a credential helper is asked, told and made to forget" {
  mkdir bin
  cat >bin/docker-credential-testhelper <<END
#!/bin/sh
echo "\$1" >>"$PWD/calls"
case \$1 in
get) cat >/dev/null; [ -e "$PWD/secret" ] || { echo 'credentials not found in native keychain'; exit 1; }; cat "$PWD/secret" ;;
store) cat >"$PWD/secret" ;;
erase) cat >/dev/null; rm -f "$PWD/secret" ;;
esac
END
  chmod +x bin/docker-credential-testhelper
  export PATH=$PWD/bin:$PATH
  echo '{"credsStore": "testhelper"}' >"$DOCKER_CONFIG/config.json"
  run arrow pull -q "$HOST/team/docker:1"
  [[ $output == *"arrow login $HOST"* ]]
  login
  [ "$(jq -r ".auths[\"$HOST\"].auth" "$DOCKER_CONFIG/config.json")" = null ]
  [ "$(jq -r .Username secret)" = user ]
  arrow pull -q "$HOST/team/docker:1"
  arrow logout "$HOST"
  [ ! -e secret ]
  [ "$(tr '\n' ' ' <calls)" = 'get store get erase ' ]
  echo '{"credsStore": "nosuchhelper"}' >"$DOCKER_CONFIG/config.json"
  run arrow pull -q "$HOST/team/docker:1"
  [ "$status" -eq 1 ]
  [[ $output == *docker-credential-nosuchhelper* ]]
}

@test "registry: an unknown authority is refused, with the place where it is to be put" {
  login
  mv "$CERTS/ca.crt" ca.crt
  run arrow pull "$HOST/team/docker:1"
  mv ca.crt "$CERTS/ca.crt"
  [ "$status" -eq 1 ]
  [[ $output == *"/etc/docker/certs.d/$HOST/ca.crt"* ]]
  arrow pull -q "$HOST/team/docker:1"
  mv "$CERTS/ca.crt" ca.crt
  run arrow pull -q --tls-verify=false "$HOST/team/docker:1"
  mv ca.crt "$CERTS/ca.crt"
  [ "$status" -eq 0 ]
}

@test "registry: clear words for what is not there" {
  login
  run arrow pull "$HOST/team/docker:none"
  [ "$status" -eq 1 ]
  [[ $output == *"there is no image team/docker:none in the registry $HOST"* ]]
  run arrow pull "127.0.0.1:1/x"
  [[ $output == *'cannot connect to 127.0.0.1:1'* ]]
  run arrow pull no.such.host.invalid/x
  [[ $output == *'cannot find the host no.such.host.invalid'* ]]
  run arrow push "$HOST/not/here:1"
  [[ $output == *'no such image'* ]]
}

@test "registry: killed at any moment, the next pull goes on and ends well" {
  login
  tries=0
  for _ in 1 2 3 4 5 6 7 8; do
    arrow pull -q "$HOST/team/docker:1" >/dev/null 2>&1 &
    pid=$!
    sleep "0.0$((RANDOM % 90 + 10))"
    # The command is timeout's child; both get it.
    pkill -KILL -P $pid 2>/dev/null && tries=$((tries + 1))
    wait $pid || true
    assert_store_whole
  done
  [ $tries -gt 0 ]
  arrow pull -q "$HOST/team/docker:1"
  assert_store_whole
  arrow run "$HOST/team/docker:1" echo whole | grep -qx whole
}

@test "registry: two pulls at once both succeed" {
  login
  arrow pull -q "$HOST/team/docker:1" &
  one=$!
  arrow pull -q "$HOST/team/docker:1"
  wait $one
  assert_store_whole
  arrow run "$HOST/team/docker:1" true
}

@test "registry: a full disk is one clear line, and nothing half stays" {
  login
  mkdir small
  mount -t tmpfs -o size=2m tmpfs small
  export ARROW_DATA_DIR=$PWD/small
  run arrow pull -q "$HOST/team/docker:1"
  left=$(find small/oci/blobs -type f | wc -l)
  named=$(jq '.manifests | length' small/oci/index.json 2>/dev/null || echo 0)
  umount small
  [ "$status" -eq 1 ]
  [[ $output == *'no space left'* ]]
  [ "$named" -eq 0 ]
  [ "$left" -le 1 ]
}

@test "registry: bars on a terminal, in place" {
  login
  run script -qec "stty cols 100; $ARROW pull $HOST/team/docker:1" /dev/null
  [ "$status" -eq 0 ]
  [[ $output == *$'\033[K'*': Pull complete'* ]]
  [[ $output == *'Downloaded newer image'* ]]
}
