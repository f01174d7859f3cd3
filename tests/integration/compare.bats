#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# One and the same script (compare.sh) under docker and under arrow, with the same image: what it
# prints and its exit statuses are the same.

load common
load registry

setup_file() {
  arrow_setup_file
  export ARROW=$BARE
  export DOCKER_CONFIG=$R/docker DOCKER_BUILDKIT=0
  docker_up
}

teardown_file() {
  docker_down
}

teardown() {
  local ids
  ids=$(arrow ps -aq --no-trunc)
  # shellcheck disable=SC2086
  [ -z "$ids" ] || arrow rm -f $ids >/dev/null
  assert_no_leftovers
}

@test "compare: a life, seen and managed by the same commands under docker and under arrow" {
  cd "$BATS_TEST_TMPDIR"
  mkdir -p context/root/bin context/root/etc context/root/tmp docker arrow tools
  cp "$BUSYBOX" context/root/bin/busybox
  for name in $("$BUSYBOX" --list); do
    [ "$name" = busybox ] || ln -s busybox "context/root/bin/$name"
  done
  echo 'root:x:0:0:root:/:/bin/sh' >context/root/etc/passwd
  printf 'FROM scratch\nCOPY root /\nENV PATH=/bin\nCMD ["sh"]\n' >context/Dockerfile
  docker build -q -t compare:1 context
  docker save -o image.tar compare:1
  arrow load -i image.tar
  # This docker has no bridge.
  cat >tools/docker <<'END'
#!/bin/sh
case $1 in
run | create) command=$1; shift; exec docker "$command" --network none "$@" ;;
esac
exec docker "$@"
END
  chmod +x tools/docker
  (cd docker && timeout 300 "$BATS_TEST_DIRNAME/compare.sh" "$BATS_TEST_TMPDIR/tools/docker" compare:1 >../of-docker)
  (cd arrow && timeout 300 "$BATS_TEST_DIRNAME/compare.sh" "$BARE" compare:1 >../of-arrow)
  [ "$(grep -c '^= ' of-docker)" -gt 100 ]
  [ "$(tail -n 1 of-docker)" = '= 0' ]
  diff -a of-docker of-arrow
}
