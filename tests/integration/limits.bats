#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits: by the host's control groups around the VM, and in the guest.

load common

setup_file() {
  arrow_setup_file
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  B=$BUSYBOX
}

teardown() {
  assert_no_leftovers
  [ -z "$(own_groups)" ]
}

# The control groups of this file's Arrows: by the ids that it ever had.
own_groups() {
  local id
  for id in $(cat "$BATS_FILE_TMPDIR/ids" 2>/dev/null); do
    find /sys/fs/cgroup -maxdepth 6 -type d -name "arrow-$id" 2>/dev/null
  done
}

# has CONTROLLER: whether `arrow info` says that we may make groups for it.
has() {
  arrow info --format json | jq -e --arg c "$1" \
    'any(.limits.groups[]; .controller == $c and .group != null)' >/dev/null
}

need() {
  has "$1" || skip "no control group for $1 can be made here"
}

# start ARG...: an Arrow in the background; its id and the process of its VM.
start() {
  arrow run "$@" >out 2>&1 3>&- &
  CLIENT=$!
  wait_for 60 running
  ID=$(basename "$(dirname "$(states | head -n 1)")")
  echo "$ID" >>"$BATS_FILE_TMPDIR/ids"
  VM=$(state vm_pid)
}

finish() {
  kill "$(state keeper_pid)"
  wait $CLIENT || true
}

# group CONTROLLER: the directory of the Arrow's group.
group() {
  local base
  base=$(arrow info --format json | jq -r --arg c "$1" '.limits.groups[] | select(.controller == $c) | .group')
  echo "$base/arrow-$ID"
}

# of GROUP FILE_V1 FILE_V2: the value.
of() {
  if [ -e "$1/$2" ]; then cat "$1/$2"; else cat "$1/$3"; fi
}

# bats test_tags=smoke, start
@test "limits: the VM's process is in a group that has its memory and what QEMU takes" {
  need memory
  start -m 64m "$B" sleep 60
  local dir max
  dir=$(group memory)
  grep -qx "$VM" "$dir/cgroup.procs"
  max=$(of "$dir" memory.limit_in_bytes memory.max)
  [ "$max" -gt $((64 << 20)) ]
  [ "$max" -lt $((2 << 30)) ]
  finish
  [ ! -e "$dir" ]
}

# bats test_tags=start
@test "limits: --cpus and --cpu-shares" {
  need cpu
  start --cpus 0.5 --cpu-shares 512 "$B" sleep 60
  local dir
  dir=$(group cpu)
  grep -qx "$VM" "$dir/cgroup.procs"
  if [ -e "$dir/cpu.max" ]; then
    [ "$(cat "$dir/cpu.max")" = '50000 100000' ]
    [ "$(cat "$dir/cpu.weight")" = 20 ]
  else
    [ "$(cat "$dir/cpu.cfs_quota_us")" = 50000 ]
    [ "$(cat "$dir/cpu.shares")" = 512 ]
  fi
  # What it causes in its keeper counts there, too, also after the limit has changed.
  wait_for 20 grep -qx "$(state keeper_pid)" "$dir/cgroup.procs"
  arrow update --cpus 0.25 "$ID"
  [ ! -e "$dir/arrow-$ID" ]
  grep -q '^25000' "$dir/cpu.max" || grep -qx 25000 "$dir/cpu.cfs_quota_us"
  wait_for 20 grep -qx "$(state keeper_pid)" "$dir/cgroup.procs"
  finish
  [ ! -e "$dir" ]
}

@test "limits: rates of a device and the weight of I/O" {
  need blkio
  local device dir
  device=$(lsblk -dnpo NAME | head -n 1)
  [ -b "$device" ] || skip 'no block device here'
  start --device-read-bps "$device:1mb" --device-write-iops "$device:100" --blkio-weight 500 "$B" sleep 60
  dir=$(group blkio)
  grep -qx "$VM" "$dir/cgroup.procs"
  if [ -e "$dir/io.max" ]; then
    grep -q 'rbps=1048576' "$dir/io.max"
  else
    grep -q ' 1048576$' "$dir/blkio.throttle.read_bps_device"
    grep -q ' 100$' "$dir/blkio.throttle.write_iops_device"
  fi
  finish
  run arrow run --device-read-bps /dev/null:1mb "$B" true
  [ "$status" -eq 125 ]
  [[ "$output" == *'/dev/null: it is not a block device'* ]]
}

@test "limits: CPUs of the host, and the OOM score" {
  start --cpuset-cpus 0 --oom-score-adj 300 "$B" sleep 60
  local task
  for task in /proc/"$VM"/task/*; do
    [ "$(awk '/^Cpus_allowed_list/ {print $2}' "$task/status")" = 0 ]
  done
  [ "$(cat "/proc/$VM/oom_score_adj")" = 300 ]
  finish
}

# bats test_tags=start
@test "limits: --pids-limit counts the processes of the guest" {
  run arrow run --pids-limit 5 "$B" sh -c 'for i in 1 2 3 4 5 6 7; do sleep 1 & done; wait'
  [[ "$output" == *"can't fork"* ]]
  run arrow run --pids-limit 20 "$B" sh -c 'for i in 1 2 3 4 5 6 7; do sleep 1 & done; wait; echo fine'
  [ "$output" = fine ]
  run arrow run --pids-limit -1 "$B" echo fine
  [ "$output" = fine ]
}

@test "limits: a VM that the host ends for want of memory is told as that" {
  need memory
  guest hog
  ARROW_QEMU=$G/hog run arrow run --cold -m 32m "$B" true
  echo "$output"
  [ "$status" -eq 137 ]
  [[ "$output" == *'out of memory: the VM took all that the host allows for a guest of 32 MiB'* ]]
}

# bats test_tags=start
@test "limits: groups go with their Arrow, whoever is killed" {
  need memory
  local victim dir
  for victim in keeper_pid vm_pid; do
    start "$B" sleep 60
    dir=$(group memory)
    [ -d "$dir" ]
    kill -KILL "$(state $victim)"
    wait $CLIENT || true
    # What a killed keeper left is removed by the next command.
    [ $victim = vm_pid ] || arrow ps
    wait_for 20 test ! -e "$dir"
  done
}

@test "limits: groups and run folder of a killed keeper go with ps, inspect and logs, also on a full disk" {
  need memory
  [ "$(id -u)" = 0 ] || skip "needs root to mount a small file system"
  arrow run "$B" true # the image and the template are made outside
  unshare -m bash -e -c '
    mkdir -p "$ARROW_DATA_DIR/arrows"
    mount -t tmpfs -o size=400k small "$ARROW_DATA_DIR/arrows"
    # groups ID: how many there are of this Arrow.
    groups() { find /sys/fs/cgroup -maxdepth 6 -type d -name "arrow-$1" | wc -l; }
    for command in "ps -a" "inspect one" "logs one" "ps --filter name=one"; do
      removed=
      [ "$command" != "ps --filter name=one" ] || removed=--rm
      id=$("$BARE" run -d $removed --name one "$0" sleep 1000)
      echo "$id" >>"$1"
      [ "$(groups "$id")" -gt 0 ]
      kill -KILL "$(jq .keeper_pid "$ARROW_DATA_DIR/arrows/$id/state.json")"
      dd if=/dev/zero of="$ARROW_DATA_DIR/arrows/fill" bs=1k 2>/dev/null || true
      "$BARE" $command >/dev/null
      echo "after $command"
      [ "$(groups "$id")" -eq 0 ]
      [ ! -e "$ARROW_RUN_DIR/arrows/$id" ]
      [ -n "$removed" ] || [ "$("$BARE" inspect -f "{{.State.ExitCode}}" one)" = 137 ]
      rm "$ARROW_DATA_DIR/arrows/fill"
      [ -n "$removed" ] || "$BARE" rm one
      [ ! -e "$ARROW_DATA_DIR/arrows/$id" ]
    done' "$B" "$BATS_FILE_TMPDIR/ids"
}

@test "limits: bad values are told before anything starts" {
  local option
  for option in --cpu-shares=1 --cpuset-cpus=99 --cpuset-cpus=x --pids-limit=x --blkio-weight=5 \
    --oom-score-adj=2000 --device-read-bps=x --memory-swap=1m --device-write-iops=/dev/sda:0; do
    run arrow run "$option" "$B" echo started
    [ "$status" -eq 125 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" != *started* ]]
  done
}

@test "limits: under cgroup v2 the kernel kills the VM, not the keeper, whose work counts as the Arrow's" {
  # As this host may have version 1, in an Arrow: its kernel has version 2.
  run arrow run --privileged --kernel general -e CMOCKA_MESSAGE_OUTPUT=TAP "$(dirname "$BARE")/tests/unit/guest_limits_v2"
  [ "$status" -eq 0 ]
  [ "$(grep -c '^ok ' <<<"$output")" -eq 2 ]
  [[ $output != *SKIP* ]]
}
