#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# tests/crash: random commands, kills and full disks. ARROW_CRASH_STEPS says how many steps,
# ARROW_CRASH_SEED which.

load common

setup_file() {
  arrow_setup_file
}

@test "crash: nothing is lost, whatever is killed and whenever the disk is full" {
  [ "$(id -u)" = 0 ] || skip "needs root to mount small file systems"
  mkdir -p "$ARROW_DATA_DIR/arrows" "$ARROW_RUN_DIR/arrows"
  chmod 700 "$ARROW_RUN_DIR"
  # Image and template are made outside, where there is room.
  "$BARE" run --rm --network none "$BUSYBOX" true
  run timeout -k 10 900 unshare -m sh -c '
    mount -t tmpfs -o size=3m,mode=700 data "$ARROW_DATA_DIR/arrows" &&
    mount -t tmpfs -o size=256k,mode=700 run "$ARROW_RUN_DIR/arrows" &&
    exec "$SOURCE/tests/crash" "$BARE" "$0" '"${ARROW_CRASH_STEPS:-120} ${ARROW_CRASH_SEED:-}" \
    "$BATS_FILE_TMPDIR"
  echo "$output"
  [ "$status" -eq 0 ]
}
