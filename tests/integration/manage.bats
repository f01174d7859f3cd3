#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What is seen of Arrows and changed in them from outside: events, update, system df and prune.

load common

setup_file() {
  arrow_setup_file
  export ARROW=$BARE
  export ROOT=$BATS_FILE_TMPDIR/root
  mkdir -p "$ROOT/bin"
  cp "$BUSYBOX" "$ROOT/bin/busybox"
  for name in sh sleep cat; do ln -s busybox "$ROOT/bin/$name"; done
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  LOOP='trap "exit 3" TERM; while :; do sleep 0.1; done'
}

teardown() {
  local ids
  [ -z "${LISTENER:-}" ] || kill "$LISTENER" 2>/dev/null || true
  ids=$(arrow ps -aq --no-trunc)
  # shellcheck disable=SC2086
  [ -z "$ids" ] || arrow rm -f $ids >/dev/null
  assert_no_leftovers
  [ -z "${NS:-}" ] || {
    ip netns pids "$NS" | xargs -r kill -9
    ip netns del "$NS"
  }
}

# told ACTION...: what the listener has written is this, in this order.
told() {
  [ "$(cat live)" = "$(printf '%s\n' "$@")" ]
}

@test "events: each step is told as it happens, in Docker's lines, JSON and fields" {
  begin=$(date +%s.%N)
  arrow events --format '{{.Action}} {{.Actor.Attributes.name}}' -f label=part=one --since "$begin" \
    >live 3>&- 4>&- &
  LISTENER=$!
  arrow run -d --name aa -l part=one --health-cmd true --health-interval 1s --rootfs "$ROOT" sh -c "$LOOP"
  arrow exec aa sh -c 'exit 4' || [ $? -eq 4 ]
  arrow pause aa
  arrow unpause aa
  arrow rename aa bb
  arrow restart bb
  arrow stop bb
  arrow rm bb
  wait_for 30 grep -q 'destroy bb' live
  # Checks come when they come.
  grep -vE 'exec_(create|start): /bin/sh -c true|health_status|^exec_die' live >steps
  [ "$(cat steps)" = 'create aa
start aa
exec_create: sh -c exit 4 aa
exec_start: sh -c exit 4 aa
pause aa
unpause aa
rename bb
kill bb
die bb
stop bb
start bb
restart bb
kill bb
die bb
stop bb
destroy bb' ]

  run -0 arrow events --since "$begin" --until 0s -f container=bb -f event=die
  [[ ${lines[0]} =~ ^20[0-9-]{8}T[0-9:]{8}\.[0-9]{9}(Z|[+-][0-9:]{5})\ container\ die\ [0-9a-f]{64}\ \(exitCode=[0-9]+,\ image=.*root,\ name=bb,\ part=one\)$ ]]
  [ "${#lines[@]}" -eq 2 ]
  run -0 arrow events --since "$begin" --until 0s -f event=exec_die --format json
  [ "$(jq -r 'select(.Actor.Attributes.exitCode == "4") | .Type + .status + .scope' <<<"$output")" = containerexec_dielocal ]
  run -0 arrow events --since "$begin" --until 0s -f event=rename --format '{{.Actor.Attributes.oldName}} {{.Type}}'
  [ "$output" = '/aa container' ]
  run -1 arrow events -f nothing=1
  run -1 arrow events --until 0s --since 1h --format '{{.Nothing}}'
}

@test "events: networks, terminals and looks from outside have Docker's names and attributes" {
  [ "$(id -u)" = 0 ] || skip 'needs root, for networks'
  local id begin
  NS=arrow-events-$$
  ip netns add "$NS"
  ip -n "$NS" link set lo up
  host() { timeout -k 10 120 ip netns exec "$NS" "$BARE" "$@"; }
  told_of() { arrow events --since "$begin" --until 0s -f "type=$1" --format '{{.Action}}' | grep -q "^$2"; }
  begin=$(date +%s.%N)
  host network create one
  id=$(host run -dit --name aa --network one --rootfs "$ROOT" sh)
  mkfifo keys
  timeout -k 10 120 ip netns exec "$NS" script -qec "stty rows 33 cols 77; $BARE attach aa" /dev/null <keys >/dev/null 3>&- 4>&- &
  exec 5>keys
  wait_for 30 told_of container resize
  printf '\020\021' >&5
  wait_for 30 told_of container detach
  exec 5>&-
  host top aa
  host cp aa:/bin/busybox out
  host cp out aa:/tmp/in
  host update --pids-limit 90 aa
  host stop -t 0 aa
  host network disconnect one aa
  host rm aa
  host network prune -f
  run -0 arrow events --since "$begin" --until 0s --format '{{.Type}} {{.Action}}'
  echo "$output"
  [ "$output" = 'network create
container create
network connect
container start
container attach
container resize
container detach
container top
container archive-path
container extract-to-dir
container update
container kill
container kill
container die
network disconnect
container stop
network disconnect
container destroy
network destroy
network prune' ]
  run -0 arrow events --since "$begin" --until 0s -f network=one -f event=connect --format json
  [ "$(jq -c '[.Type, .Actor.Attributes, .scope, .status, .id, .from]' <<<"$output")" = \
    '["network",{"container":"'"$id"'","name":"one","type":"bridge"},"local",null,null,null]' ]
  run -0 arrow events --since "$begin" --until 0s -f type=network -f event=disconnect
  [[ ${lines[0]} =~ \ network\ disconnect\ [0-9a-f]{64}\ \(container=$id,\ name=one,\ type=bridge\)$ ]]
  run -0 arrow events --since "$begin" --until 0s -f event=resize --format '{{.Actor.Attributes.height}} {{.Actor.Attributes.width}}'
  [ "$output" = '33 77' ]
}

@test "events: the end of an Arrow whose keeper was killed, and lines that a full disk has cut" {
  arrow run -d --name aa --rootfs "$ROOT" sh -c "$LOOP"
  kill -KILL "$(arrow inspect -f '{{.Arrow.KeeperPid}}' aa)"
  printf '{"half' >>"$ARROW_DATA_DIR/events.json"
  arrow rm -f aa
  run -0 arrow events --since 1h --until 0s -f container=aa --format json
  [ "$(jq -r '.Action + .Actor.Attributes.exitCode' <<<"$output" | tail -n 2)" = $'die137\ndestroy' ]
}

@test "events: files are set aside by size, and a listener goes on" {
  begin=$(date +%s.%N)
  arrow events --format '{{.Action}} {{.Actor.Attributes.name}}' --since "$begin" >live 3>&- 4>&- &
  LISTENER=$!
  arrow create --name aa -l part=two "$BUSYBOX" true
  head -c 4200000 /dev/zero | tr '\0' '\n' >>"$ARROW_DATA_DIR/events.json"
  arrow rm aa
  [ -e "$ARROW_DATA_DIR/events.json.1" ]
  arrow create --name bb "$BUSYBOX" true
  arrow rm bb
  wait_for 30 told 'create aa' 'destroy aa' 'create bb' 'destroy bb'
  run -0 arrow events --since 1h --until 0s -f event=create --format '{{.Actor.Attributes.name}}'
  [ "$(tail -n 2 <<<"$output")" = $'aa\nbb' ]
}

@test "update: limits and policy of one that runs hold at once and after a restart; what cannot change is told" {
  arrow run -d --name aa --rootfs "$ROOT" sh -c "$LOOP"
  run -0 arrow update --pids-limit 12 --cpus 0.5 --restart on-failure:3 aa
  [ "$output" = aa ]
  [ "$(arrow exec aa sh -c 'cat /proc/self/cgroup /sys/fs/cgroup/arrow/pids.max /sys/fs/cgroup/arrow/cpu.max')" = '0::/arrow
12
50000 100000' ]
  # The program that ran before, too, and nothing of the kernel.
  arrow exec aa sh -c 'cat /sys/fs/cgroup/arrow/cgroup.procs' >procs
  [ "$(wc -l <procs)" -ge 2 ]
  [ "$(wc -l <procs)" -le 6 ]
  [ "$(arrow inspect -f '{{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.NanoCpus}}' aa)" = '12 on-failure 500000000' ]
  # As Docker, -1 takes the quota away: its vCPU is all its own.
  arrow update --cpu-quota -1 aa
  [ "$(arrow exec aa cat /sys/fs/cgroup/arrow/cpu.max)" = 'max 100000' ]
  [ "$(arrow inspect -f '{{.HostConfig.NanoCpus}}' aa)" = 1000000000 ]
  run -125 arrow update --cpu-quota -1 --cpus 1 aa
  run -1 arrow update -m 1g aa
  [[ $output == *'was started with 512 MiB of memory'*'stop it first'* ]]
  run -1 arrow update --cpus 2 --pids-limit 99 aa
  [[ $output == *'was started with 1 CPU'* ]]
  [ "$(arrow inspect -f '{{.HostConfig.PidsLimit}}' aa)" = 12 ]
  arrow restart -t 20 aa
  [ "$(arrow exec aa cat /sys/fs/cgroup/arrow/pids.max)" = 12 ]
  arrow stop aa
  arrow update -m 256m --cpus 1 aa
  [ "$(arrow inspect -f '{{.HostConfig.Memory}}' aa)" = 268435456 ]
  run -1 arrow update aa
  run -1 arrow update --pids-limit 1 nobody
  run -125 arrow update --pids-limit many aa
}

@test "update: memory of one that runs is lowered and given back, and lowered again after a restart" {
  "$BARE" info | grep -q 'built for Arrow' || skip "needs Arrow's own QEMU"
  total() { arrow exec aa awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo; }
  total_is() { [ "$(total)" -gt "$1" ] && [ "$(total)" -le "$2" ]; }
  ln -sf busybox "$ROOT/bin/awk"
  arrow run -d --name aa -m 256m --rootfs "$ROOT" sh -c "$LOOP"
  whole=$(total)
  [ "$whole" -gt 200 ]
  arrow update -m 160m aa
  [ "$(arrow inspect -f '{{.HostConfig.Memory}}' aa)" = 167772160 ]
  wait_for 60 total_is $((whole - 98)) $((whole - 96))
  run -1 arrow update -m 512m aa
  [[ $output == *'was started with 256 MiB of memory'*'stop it first'* ]]
  [ "${#lines[@]}" -eq 1 ]
  [ "$(arrow inspect -f '{{.HostConfig.Memory}}' aa)" = 167772160 ]
  run arrow save aa "$BATS_TEST_TMPDIR/saved"
  [ "$status" -ne 0 ]
  [[ $output == *'memory was lowered'* ]]
  arrow restart -t 20 aa
  wait_for 60 total_is $((whole - 98)) $((whole - 96))
  arrow update -m 256m aa
  wait_for 60 total_is $((whole - 1)) "$whole"
  # What is in use is not taken.
  arrow exec aa sh -c 'exec busybox dd if=/dev/zero of=/tmp/x bs=1M count=120 2>/dev/null'
  run -1 arrow update -m 100m aa
  [[ $output == *'MiB of memory are in use'* ]]
  [ "$(arrow inspect -f '{{.HostConfig.Memory}}' aa)" = 268435456 ]
  [ "$(arrow exec aa sh -c 'echo alive')" = alive ]
}

@test "update: a guest without control groups changes nothing, and says so" {
  arrow run -d --name aa --kernel micro "$BUSYBOX" sleep 1000
  run -1 arrow update --pids-limit 12 --restart always aa
  [[ $output == *'cannot be set in the guest'*'stop it first'* ]]
  [ "$(arrow inspect -f '{{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}' aa)" = '<nil> no' ]
}

@test "system: df counts what there is, prune asks and removes what nobody uses" {
  arrow create --name aa -l keep=1 "$BUSYBOX" true
  arrow create --name bb "$BUSYBOX" true
  arrow run -d --name cc --rootfs "$ROOT" sh -c "$LOOP"
  run -0 arrow system df
  [[ ${lines[0]} =~ ^TYPE\ +TOTAL\ +ACTIVE\ +SIZE\ +RECLAIMABLE$ ]]
  [[ ${lines[2]} =~ ^Arrows\ +3\ +1\  ]]
  run -0 arrow system df --format '{{.Type}}={{.Active}}'
  [[ $output == *'Arrows=1'* ]]
  run -0 arrow system df -v
  [[ $output == *'Arrows space usage:'*bb* ]]
  run -0 arrow system prune <<<n
  [[ $output == 'WARNING! This will remove:'* ]]
  [ "$(arrow ps -aq | wc -l)" -eq 3 ]
  run -0 arrow system prune -f --filter label!=keep
  [[ $output == *'Deleted Arrows:'*'Total reclaimed space: '* ]]
  [ "$(arrow ps -a --format '{{.Names}}' | sort | tr '\n' ' ')" = 'aa cc ' ]
  run -0 arrow system prune -f --filter until=1h
  [ "$(arrow ps -aq | wc -l)" -eq 2 ]
  run -0 arrow system prune -a <<<y
  [[ $output == *'Deleted Arrows:'*'Deleted Templates:'* ]]
  [ "$(arrow ps -a --format '{{.Names}}')" = cc ]
  run -125 arrow system prune --filter nothing
  run -1 arrow system prune --filter nothing=1
}

@test "not running: cp, diff and top say so, and what to do" {
  arrow create --name aa "$BUSYBOX" true
  for command in 'cp aa:/bin/busybox .' "cp $BUSYBOX aa:/tmp" 'diff aa' 'top aa'; do
    # shellcheck disable=SC2086
    run -1 arrow $command
    [[ $output == *'Arrow aa is not running'*'start it first'* ]]
  done
}

@test "killed: all of them, and the folder of this boot: the next command removes what is left" {
  arrow run -d --rm --name aa "$BUSYBOX" sleep 1000
  arrow run -d --name bb "$BUSYBOX" sleep 1000
  for name in aa bb; do
    IDS="${IDS:-} $(arrow inspect -f '{{.Id}}' $name)"
    PIDS="${PIDS:-} $(arrow inspect -f '{{.Arrow.KeeperPid}} {{.State.Pid}}' $name)"
  done
  # shellcheck disable=SC2086
  kill -KILL $PIDS
  for pid in $PIDS; do wait_for 30 gone "$pid"; done
  rm -rf "$ARROW_RUN_DIR"
  [ "$(arrow ps -a --format '{{.Names}} {{.State}}')" = 'bb exited' ]
  arrow create --name cc "$BUSYBOX" true
  for id in $IDS; do
    [ -z "$(find /sys/fs/cgroup -name "arrow-$id" 2>/dev/null)" ]
  done
  [ "$(ls "$ARROW_DATA_DIR/names")" = $'bb\ncc' ]
  [ "$(find "$ARROW_DATA_DIR/arrows" -mindepth 1 -maxdepth 1 -type d | wc -l)" -eq 2 ]
  [ "$(arrow inspect -f '{{.State.ExitCode}} {{.State.Error}}' bb)" = '137 the host went down while it ran' ]
}
