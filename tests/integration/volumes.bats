#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The server of volumes: locks that others see, its end, its place beside the VM's process. What volumes give to a
# program is in run.bats and user.bats, the server's jail in jail.bats.

load common

setup_file() {
  arrow_setup_file
  guest lock
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  B=$BUSYBOX
  arrow info | grep -q 'built for Arrow' || skip "Arrow's QEMU is not built; run: sudo make hypervisor"
  mkdir vol
}

teardown() {
  local name
  for name in $("$BARE" ps -aq 2>/dev/null); do "$BARE" rm -f "$name" >/dev/null; done
  [ -z "${HOLDER-}" ] || kill "$HOLDER" 2>/dev/null || true
  assert_no_leftovers
}

said() {
  "$BARE" logs "$1" 2>&1 | grep -q "$2"
}

# lock KIND HOW: in an Arrow of its own.
lock() {
  arrow run -v ./vol:/v "$G/lock" "$1" /v/file "$2"
}

# The server of the only Arrow that runs.
server() {
  pgrep -P "$(state keeper_pid)" -f '^arrow-fs'
}

# bats test_tags=start
@test "volumes: a lock is seen by other Arrows and by the host, and is free once its Arrow is killed" {
  for kind in flock posix ofd; do
    "$BARE" run -d --name holder -v ./vol:/v "$G/lock" $kind /v/file hold >/dev/null
    wait_for 60 said holder locked
    [ "$("$G/lock" $kind vol/file try)" = busy ]
    [ "$(lock $kind try)" = busy ]
    "$BARE" kill holder >/dev/null
    "$BARE" wait holder >/dev/null
    wait_for 30 eval '[ "$("$G/lock" $kind vol/file try)" = free ]'
    [ "$(lock $kind try)" = free ]
    "$BARE" rm holder >/dev/null
  done
}

# caches ARROW...: how each one's guest reads its volume.
caches() {
  "$BARE" inspect "$@" | jq -r '.[].Mounts[0].Cache' | xargs
}

in_arrow() {
  "$BARE" exec -i "$1" "$B" sh -c "$2"
}

@test "volumes: one by name is kept by its only Arrow, and coherent before a second one has it" {
  "$BARE" run -d --name one -v data:/v "$B" sleep 1000 >/dev/null
  [ "$(caches one)" = exclusive ]
  # It keeps what it saw.
  in_arrow one 'echo first >/v/text; cat /v/text; exec 3</v/text; stat -c %a /v/text
    read line; dd <&3 2>/dev/null; stat -c %a /v/text; cat /v/text' >out < <(
    wait_for 60 grep -q 644 out
    "$BARE" run -d --name two -v data:/v -v ./vol:/w "$B" sleep 1000 >/dev/null
    in_arrow two 'echo the second >/v/text; chmod 600 /v/text'
    echo
  )
  [ "$(xargs <out)" = 'first 644 the second 600 the second' ]
  [ "$(caches one two)" = 'coherent coherent' ]
  in_arrow one 'i=0; while [ $i -lt 100 ]; do echo one >>/v/log; i=$((i + 1)); done' </dev/null 3>&- &
  in_arrow two 'i=0; while [ $i -lt 100 ]; do echo two >>/v/log; i=$((i + 1)); done'
  wait $!
  [ "$(in_arrow one 'sort /v/log | uniq -c' | xargs)" = '100 one 100 two' ]
  # Alone again, from its next start on; with a directory of the host it never is.
  "$BARE" rm -f two >/dev/null
  "$BARE" restart -t 0 one >/dev/null
  [ "$(caches one)" = exclusive ]
  "$BARE" rm -f one >/dev/null
  "$BARE" run -d --name both -v data:/v -v ./vol:/w "$B" sleep 1000 >/dev/null
  [ "$(caches both)" = coherent ]
  "$BARE" rm -f both >/dev/null
  # What was written is there, though nobody had time to bring it there.
  "$BARE" run -d --name killed -v data:/v "$B" sh -c 'echo kept >/v/kept; echo written; sleep 1000' >/dev/null
  wait_for 60 said killed written
  kill -KILL "$(state vm_pid)"
  "$BARE" wait killed >/dev/null
  [ "$(arrow run -v data:/v "$B" cat /v/kept)" = kept ]
}

# bats test_tags=start
@test "volumes: a program that waits for a lock is interrupted, and killed" {
  "$G/lock" posix vol/file hold >out 3>&- &
  HOLDER=$!
  wait_for 30 grep -q locked out
  [ "$(lock posix alarm)" = $'waits\ninterrupted' ]
  [ "$(lock ofd threads)" = $'waits\ninterrupted\nthe other waits' ]
  for kind in posix ofd; do
    "$BARE" run -d --name waiter -v ./vol:/v "$G/lock" $kind /v/file hold >/dev/null
    wait_for 60 said waiter waits
    "$BARE" kill waiter >/dev/null
    # Not by the keeper, which ends a VM that does not answer, and says so.
    [ "$(timeout 60 "$BARE" wait waiter)" -eq 137 ]
    [ -z "$("$BARE" inspect -f '{{.State.Error}}' waiter)" ]
    "$BARE" rm waiter >/dev/null
  done
}

# bats test_tags=start
@test "volumes: without their server they give errors, nothing hangs, and the Arrow can be stopped and started" {
  echo one >vol/file
  "$BARE" run -d --name one -v ./vol:/v "$B" sh -c '
    trap "exit 3" TERM
    while :; do cat /v/file >/dev/null 2>&1 && echo reads || cat /v/file; sleep 0.2; done' >/dev/null
  wait_for 60 said one reads
  kill -9 "$(server)"
  wait_for 60 said one 'Input/output error'
  run ! server
  "$BARE" stop -t 60 one >/dev/null
  [ "$("$BARE" inspect -f '{{.State.ExitCode}}' one)" -eq 3 ]
  "$BARE" start one >/dev/null
  wait_for 60 eval '"$BARE" logs --tail 1 one | grep -qx reads'
  [ "$(server | wc -l)" -eq 1 ]
  local pid
  pid=$(server)
  "$BARE" rm -f one >/dev/null
  gone "$pid"
}

@test "volumes: they make no other template, and an Arrow with them is forked; its VM has no file of the host" {
  unset ARROW_START
  arrow template prune --all
  arrow run -v ./vol:/v "$B" touch /v/x
  arrow run "$B" true
  [ "$(arrow template ls --format json | jq length)" -eq 1 ]
  "$BARE" run -d --name one "$B" sleep 1000 >/dev/null
  if [ "$(arrow info --format json | jq -r .engine.accel)" = tcg ]; then
    wait_for 90 eval 'test -S "$(echo "$ARROW_DATA_DIR"/templates/*/zygote)"'
  fi
  "$BARE" rm -f one >/dev/null
  "$BARE" run -d --name one -v ./vol:/v "$B" sh -c 'echo two >/v/two; sleep 1000' >/dev/null
  wait_for 60 test -s vol/two
  local vm
  vm=$(state vm_pid)
  if [ "$(arrow info --format json | jq -r .engine.accel)" = tcg ]; then
    [ "$(sed -n 's/^PPid:\t//p' "/proc/$vm/status")" != "$(state keeper_pid)" ]
  fi
  run ! grep -q volumes "/proc/$vm/mountinfo"
  [ "$(awk '/^CapEff/ {print $2}' "/proc/$vm/status")" = 0000000000000000 ]
  grep -q volumes "/proc/$(server)/mountinfo"
}
