#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Arrow's own QEMU: where it is, it is taken; where not, Debian's is; a build is never half seen.

load common
bats_require_minimum_version 1.5.0

setup_file() {
  arrow_setup_file
  unset ARROW_QEMU
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  B=$BUSYBOX
  DEBIAN=/usr/bin/qemu-system-x86_64
  # Where `make hypervisor` of this user, or of root, has put it.
  OWN=$(env -u ARROW_DATA_DIR "$SOURCE/tools/hypervisor" --path)/qemu-system-x86_64
  [ -x "$OWN" ] || OWN=/var/lib/arrow/hypervisor/current/qemu-system-x86_64
}

teardown() {
  assert_no_leftovers
}

needs_own() {
  [ -x "$OWN" ] || skip "Arrow's QEMU is not built; run: sudo make hypervisor"
}

@test "hypervisor: Arrow's own is taken where it is there, and told" {
  needs_own
  mkdir -p "$ARROW_DATA_DIR/hypervisor"
  cp -r "$(dirname "$(realpath "$OWN")")" "$ARROW_DATA_DIR/hypervisor/test"
  ln -s test "$ARROW_DATA_DIR/hypervisor/current"
  want=$ARROW_DATA_DIR/hypervisor/test/qemu-system-x86_64
  [ "$(arrow info --format json | jq -r '.engines[0].path')" = "$want" ]
  arrow info | grep -q 'built for Arrow'
  arrow doctor | grep 'qemu' | grep -q 'built for Arrow'
  "$ARROW" run "$B" sleep 60 &
  wait_for 60 running
  [ "$(realpath "/proc/$(state vm_pid)/exe")" = "$want" ]
  kill %1
  wait
  rm -r "$ARROW_DATA_DIR/hypervisor"
}

@test "hypervisor: ARROW_QEMU names another, which is told, too" {
  [ -x "$DEBIAN" ] || skip "no $DEBIAN"
  export ARROW_QEMU=$DEBIAN
  [ "$(arrow info --format json | jq -r '.engines[0].path')" = "$DEBIAN" ]
  run -1 grep 'built for Arrow' <<<"$(arrow info)"
  arrow doctor | grep 'qemu' | grep -q 'make hypervisor'
  arrow run "$B" echo ok | grep -qx ok
  export ARROW_QEMU=/nonexistent
  run -125 arrow run "$B" true
  [[ $output == *'/nonexistent is not there; correct ARROW_QEMU'* ]]
}

@test "hypervisor: the two share no template" {
  needs_own
  [ -x "$DEBIAN" ] || skip "no $DEBIAN"
  arrow template prune --all
  ARROW_QEMU=$(realpath "$OWN") arrow run "$B" true
  ARROW_QEMU=$DEBIAN arrow run "$B" true
  [ "$(arrow template ls --format json | jq length)" -eq 2 ]
}

@test "hypervisor: what was built is not built again, and another patch is another build" {
  cp -r "$SOURCE/hypervisor" "$SOURCE/tools" "$SOURCE/packages.txt" .
  first=$(tools/hypervisor --path)
  [ "$first" = "$("$SOURCE/tools/hypervisor" --path)" ]
  mkdir -p "$first"
  printf '#!/bin/sh\n' >"$first/qemu-system-x86_64"
  chmod +x "$first/qemu-system-x86_64"
  run tools/hypervisor # nothing is fetched, and nothing said
  [ "$status" -eq 0 ]
  [ -z "$output" ]
  [ "$(readlink "$ARROW_DATA_DIR/hypervisor/current")" = "${first##*/}" ]
  echo '# changed' >>hypervisor/options
  [ "$(tools/hypervisor --path)" != "$first" ]
  rm -r "$ARROW_DATA_DIR/hypervisor"
}
