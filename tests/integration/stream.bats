#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bytes between a program and its Arrow's client: all of them, in order, whoever is slow.

load common

setup_file() {
  arrow_setup_file
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  B=$BUSYBOX
}

teardown() {
  # A test that failed half-way leaves processes; they are this test's own.
  for pid in ${pids-}; do kill -CONT "$pid" && kill -KILL "$pid"; done 2>/dev/null || true
  wait_for 30 assert_no_leftovers
}

# Private memory of a process in KiB.
private_kib() {
  awk '/^Private_/ { sum += $2 } END { print sum }' "/proc/$1/smaps_rollup"
}

# 256 MiB, or with ARROW_TEST_BLOCKS more, in which no two places look the same: a block of random bytes, numbered.
much() {
  for i in $(seq "${ARROW_TEST_BLOCKS:-16}"); do
    echo "block $i"
    cat block
  done
}

@test "stream: hundreds of megabytes each way at once arrives whole, and the keeper does not grow" {
  head -c $((16 << 20)) /dev/urandom >block
  much | "$ARROW" run -i "$B" cat | cmp - <(much) >cmp.out 2>&1 3>&- &
  pid=$!
  pids=$pid
  wait_for 60 running
  keeper=$(state keeper_pid)
  samples=0 most=0
  while kill -0 $pid 2>/dev/null; do
    now=$(private_kib "$keeper" 2>/dev/null) || break
    if [ "${now:-0}" -gt 0 ]; then
      samples=$((samples + 1))
      [ "$now" -le $most ] || most=$now
    fi
    sleep 0.1
  done
  wait $pid
  pids=
  echo "# the keeper's private memory: at most $most KiB in $samples samples" >&3
  [ ! -s cmp.out ]
  [ $samples -ge 5 ]
  [ $most -lt 3072 ]
}

@test "stream: a reader that sleeps through the program's end gets all of it" {
  seq 1000000 >want
  arrow run -i "$B" cat <want | (sleep 13; cat) | cmp - want
  # Small enough to wait in pipes and windows altogether: the program ends long before.
  head -n 40000 want >less
  arrow run -i "$B" cat <less | (sleep 3; cat) | cmp - less
}

# bats test_tags=start
@test "stream: a blocked stdout does not hold up stderr" {
  mkfifo out
  sleep 600 3>&- <>out & # keeps it open and does not read
  holder=$!
  "$ARROW" run "$B" sh -c 'seq 200000 & for i in $(seq 500); do echo "line $i" >&2; done; sleep 2; echo waits >&2; wait' \
    >out 2>err 3>&- &
  pid=$!
  pids="$pid $holder"
  wait_for 60 grep -q waits err
  [ "$(wc -l <err)" -eq 501 ]
  kill -0 $pid
  seq 200000 | cmp <(head -n 200000 out) -
  wait $pid
  kill $holder
  wait $holder || true
  pids=
}

@test "stream: a blocked stderr does not hold up stdout" {
  mkfifo err
  sleep 600 3>&- <>err &
  holder=$!
  "$ARROW" run "$B" sh -c 'seq 200000 >&2 & seq 100000; wait' 2>err >out 3>&- &
  pid=$!
  pids="$pid $holder"
  seq 100000 >want
  wait_for 60 cmp -s out want
  kill -0 $pid
  seq 200000 | cmp <(head -n 200000 err) -
  wait $pid
  kill $holder
  wait $holder || true
  pids=
}

@test "stream: stopping and continuing the client loses nothing" {
  seq 3000000 >want
  # With pauses, so that it lasts longer than two stops on any machine.
  "$ARROW" run -i "$B" sh -c \
    'for i in 1 2 3 4 5 6 7 8; do dd bs=4096 count=500 2>/dev/null; sleep 0.5; done; cat' \
    <want >have 3>&- &
  pid=$!
  pids=$pid
  stops=0
  wait_for 60 test -s have
  while kill -STOP $pid 2>/dev/null; do
    stops=$((stops + 1))
    sleep 0.5
    before=$(stat -c %s have)
    sleep 0.5
    [ "$(stat -c %s have)" -eq "$before" ]
    kill -CONT $pid
    sleep 0.3
  done
  wait $pid
  pids=
  [ $stops -ge 2 ]
  cmp have want
}

@test "stream: a client that is stopped as its program ends finds all output and the status later" {
  # As much as the windows hold, so that the guest is done while nobody reads.
  "$ARROW" run "$B" sh -c 'echo ready; sleep 2; seq 44000; seq 44000 >&2; exit 9' >have 2>err 3>&- &
  pid=$!
  pids=$pid
  wait_for 60 grep -q ready have
  kill -STOP $pid
  # Longer than anybody may wait for a farewell.
  sleep 16
  kill -CONT $pid
  status=0
  wait $pid || status=$?
  pids=
  tail -n 2 err
  [ "$status" -eq 9 ]
  (echo ready; seq 44000) | cmp - have
  seq 44000 | cmp - err
}

@test "stream: stdin beyond the window waits for a slow program" {
  seq 1000000 >in
  run arrow run -i "$B" sh -c 'sleep 3; wc -c; echo end' <in
  [ "$status" -eq 0 ]
  [ "$output" = "$(wc -c <in)"$'\nend' ]
  # A program that takes little sips: the shell reads byte by byte.
  head -n 2000 in | arrow run -i "$B" sh -c 'n=0; while read -r x; do n=$((n + x)); done; echo $n' >out
  [ "$(cat out)" = 2001000 ]
  # One that stops reading half-way and goes on with other things.
  run arrow run -i "$B" sh -c 'head -c 5000 >/dev/null; exec <&-; sleep 1; echo done' <in
  [ "$output" = done ]
}

@test "stream: a full disk is told, and ends the output" {
  run arrow run "$B" sh -c 'seq 1000000' >/dev/null
  "$ARROW" run "$B" sh -c 'seq 1000000' >/dev/full 2>err || status=$?
  grep -q 'arrow: cannot write to stdout: No space left on device' err
  [ "${status:-0}" -ne 0 ]
}
