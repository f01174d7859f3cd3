#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Templates and clones: made once, never half, set aside when damaged; no clone is like another.

load common

setup_file() {
  arrow_setup_file
  guest probe
  # One of its own with a place that the guest's kernel chooses.
  gcc -fPIE -pie -O1 -pthread -o "$G/pie" "$SOURCE/tests/guests/probe.c"
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  P=$G/probe
  B=$BUSYBOX
  T=$ARROW_DATA_DIR/templates
}

teardown() {
  assert_no_leftovers
}

templates() {
  arrow template ls --format json | jq length
}

# verbose ARGS...: the notes of a run that is to say "ok".
verbose() {
  run arrow run --verbose "$@" "$B" echo ok
  [ "$status" -eq 0 ]
  grep -qx ok <<<"$output"
}

# bats test_tags=smoke, qemu
@test "template: made at the first start, used by the next" {
  [ "$(templates)" -eq 0 ]
  # An error that needs no VM comes before it.
  note='arrow: preparing a template for this kind of VM, once; the next start is much faster'
  if [ "$(id -u)" -eq 0 ]; then
    run -125 arrow run --verbose --network bridge --network missing "$B" true
    [[ $output == *'network missing not found'* ]]
    [[ $output != *"$note"* ]]
    [ "$(templates)" -eq 0 ]
  fi
  verbose
  [ "${lines[0]}" = "$note" ]
  [ "$(templates)" -eq 1 ]
  verbose
  [[ $output != *"$note"* ]]
  [[ $output == *"the clone's process started"* ]]
  [[ $output != *'the loader waits for its job'* ]]
  [ "$(templates)" -eq 1 ]
}

@test "template: nothing of a job is in it" {
  arrow template prune --all
  mark=$(tr -dc a-z </dev/urandom | head -c 20)
  # Where stderr is no terminal, a script hears nothing of it; a person does.
  arrow run -e MARK="$mark" --hostname "$mark" "$B" echo "$mark" >out 2>err
  [ "$(cat out)" = "$mark" ]
  [ ! -s err ]
  run grep -q "$mark" "$T"/*/ram "$T"/*/state "$T"/*/template.json
  [ "$status" -eq 1 ]
}

@test "template: --cold boots and makes none" {
  arrow template prune --all
  script -qec "$(printf '%q ' "$ARROW" run "$B" echo ran)" /dev/null </dev/null | tr -d '\r' >out
  [ "$(cat out)" = $'arrow: preparing a template for this kind of VM, once; the next start is much faster\nran' ]
  arrow template prune --all
  verbose --cold
  [[ $output == *'the loader waits for its job'* ]]
  [ "$(templates)" -eq 0 ]
}

# bats test_tags=qemu
@test "template: another memory or other CPUs make another template, and volumes with Debian's QEMU, however many" {
  own=$(arrow info | grep -c 'built for Arrow') || true
  arrow run "$B" true
  before=$(templates)
  arrow run -m 100m "$B" true
  arrow run --cpus 2 "$B" nproc | grep -qx 2
  mkdir a b
  arrow run -v ./a:/a "$B" touch /a/x
  [ "$(templates)" -eq $((before + (own ? 2 : 3))) ]
  arrow run -v ./b:/a "$B" touch /a/x # the same kind
  [ -e a/x ]
  [ -e b/x ]
  arrow run -v ./a:/a -v ./b:/b:ro "$B" rm /a/x
  [ ! -e a/x ]
  [ "$(templates)" -eq $((before + (own ? 2 : 3))) ]
  want=$( ((own)) && echo '[true]' || echo '[false,true]')
  [ "$(arrow template ls --format json | jq -sc "flatten | map(.volumes) | unique")" = "$want" ]
}

# bats test_tags=smoke
@test "template: two starts at once make one" {
  arrow template prune --all
  for i in 1 2 3; do arrow run --verbose "$B" echo $i >out$i 2>err$i & done
  wait
  [ "$(cat out1 out2 out3)" = $'1\n2\n3' ]
  [ "$(templates)" -eq 1 ]
  [ "$(cat err1 err2 err3 | grep -c "the clone's process started")" -eq 3 ]
}

# bats test_tags=qemu
@test "template: the root image may be of any size" {
  cp "$P" big
  head -c 60000000 /dev/urandom >>big
  want=$(sha256sum <big | cut -d' ' -f1)
  mkdir root
  cp big root/
  cp "$B" root/busybox
  # The image is larger than the memory, and none was there when the template was made.
  run arrow run -m 48m --rootfs root /busybox sha256sum /big
  [ "$status" -eq 0 ]
  [ "${output%% *}" = "$want" ]
}

# root NAME: a root with busybox in it.
root() {
  mkdir -p "$1/bin" && cp "$B" "$1/bin/busybox" && ln -s busybox "$1/bin/sh"
}

# in_root NAME SCRIPT: what a shell in that root says, as a clone, which is the same cold.
in_root() {
  run arrow run --hostname h --verbose --rootfs "$1" /bin/busybox sh -c "b=/bin/busybox; $2"
  [ "$status" -eq 0 ]
  [[ $output == *"the clone's process started"* ]]
  clone=$(grep -v '^arrow: ' <<<"$output")
  [ "$(arrow run --cold --hostname h --rootfs "$1" /bin/busybox sh -c "b=/bin/busybox; $2")" = "$clone" ]
}

# bats test_tags=qemu
@test "template: the root is mounted before its image is known, whatever that holds" {
  look='$b cat /etc/hostname; $b tail -n 1 /etc/hosts; $b stat -c %a,%u:%g /etc /tmp; $b readlink /etc/mtab; $b ls -A / | $b xargs'
  # Nothing but the program.
  root none
  in_root none "$look"
  [ "$clone" = $'h\n127.0.0.1\th\n755,0:0\n1777,0:0\n/proc/mounts\nbin dev etc proc sys tmp' ]
  in_root none '$b wc -c </etc/machine-id'
  [ "$clone" = 33 ]
  # Files of its own in the places of the loader's, and a mode of its own.
  root own
  mkdir -p own/etc own/tmp own/dev/x own/proc own/sys own/usr
  chmod 750 own/etc && chgrp 7 own/etc && chmod 700 own/tmp
  echo old >own/etc/hostname && echo old >own/etc/hosts && echo mine >own/etc/machine-id && echo kept >own/etc/other
  ln -s /elsewhere own/etc/mtab
  in_root own "$look; \$b cat /etc/machine-id /etc/other; \$b ls -d /dev/null /dev/x 2>/dev/null || true"
  [ "$clone" = $'h\n127.0.0.1\th\n750,0:7\n700,0:0\n/elsewhere\nbin dev etc proc sys tmp usr\nmine\nkept\n/dev/null' ]
  # A link in the place of a directory.
  root link
  mkdir -p link/real/etc link/real/tmp && ln -s real/etc link/etc && ln -s real/tmp link/tmp
  in_root link '$b cat /real/etc/hostname; $b readlink /etc; $b touch /tmp/x; $b ls /real/tmp'
  [ "$clone" = $'h\nreal/etc\nx' ]
  # More entries than fit in front of the image.
  root many
  for i in $(seq 200); do echo "$i" >many/file$i; done
  in_root many '$b cat /file1 /file200 /etc/hostname; $b ls / | $b wc -l'
  [ "$clone" = $'1\n200\nh\n206' ]
  # Users are those of the image, by links too.
  root users
  mkdir -p users/etc users/real
  echo 'root:x:0:0::/home/one:/bin/sh' >users/real/passwd && ln -s ../real/passwd users/etc/passwd
  printf 'root:x:0:\nmore:x:50:root\n' >users/etc/group
  in_root users 'echo $HOME; $b id -G'
  [ "$clone" = $'/home/one\n0 50' ]
  # What one image has is not seen in the next.
  in_root none '$b ls -A / /etc | $b xargs'
  [ "$clone" = '/: bin dev etc proc sys tmp /etc: hostname hosts machine-id mtab' ]
  in_root own '$b cat /etc/other'
  [ "$clone" = kept ]
}

@test "template: a damaged one is made anew; one that cannot be used is set aside, and the start is cold" {
  export ARROW_ZYGOTE=off # which has read its template
  arrow template prune --all
  arrow run "$B" true
  for damage in 'truncate -s 1000' 'truncate -s 0' 'sh -c "head -c 40000 /dev/urandom >\$0"'; do
    eval "$damage $T/*/state"
    # Its digest is not right: it is made anew.
    cp -r "$T"/*/ damaged
    verbose
    [[ $output == *"the clone's process started"* ]]
    [[ $output != *'cold VM'* ]]
    run ! cmp -s damaged/state "$T"/*/state
    rm -r damaged
    # Its digest is right, and yet QEMU cannot use it.
    eval "$damage $T/*/state"
    python3 - "$T"/*/ <<'END'
import hashlib, json, struct, sys
state = open(sys.argv[1] + "state", "rb").read()
path = sys.argv[1] + "template.json"
about = json.load(open(path))
block = struct.pack("<Q", 0) + state if state.strip(b"\0") else b""
about["digests"]["state"] = hashlib.sha256(block + struct.pack("<q", len(state))).hexdigest()
json.dump(about, open(path, "w"))
END
    verbose
    [[ $output == *'cannot start a clone, so a cold VM is started: '* ]]
    [ "$(templates)" -eq 0 ]
    verbose
    [[ $output == *"the clone's process started"* ]]
    [[ $output != *'cold VM'* ]]
  done
}

@test "template: without room for one the start is cold" {
  [ "$(id -u)" = 0 ] || skip "needs root to mount a small file system"
  arrow template prune --all
  mkdir small
  run unshare -m sh -c \
    "mount -t tmpfs -o size=8m small small && mkdir -p small/jails '$ARROW_DATA_DIR/jails' &&
     mount --bind '$ARROW_DATA_DIR/jails' small/jails && ARROW_DATA_DIR=\$PWD/small '$ARROW' run --verbose '$B' echo ok && find small/templates -name new"
  [ "$status" -eq 0 ]
  grep -qx ok <<<"$output"
  [[ $output == *'no template, so the start is cold: '* ]]
  [[ $output != *small/templates/new* ]]
}

@test "template: a maker that is killed leaves nothing that is used" {
  for ms in 050 150 300; do
    arrow template prune --all
    "$ARROW" run "$B" true &
    pid=$!
    sleep "0.$ms"
    kill -KILL $pid
    wait $pid || true
    verbose
    [ "$(templates)" -eq 1 ]
    [ ! -e "$T/new" ]
  done
}

# bats test_tags=qemu
@test "template: removed while a clone runs, the clone goes on" {
  "$ARROW" run -i "$B" sh -c 'echo started; read x; echo "got $x"; ls /bin' >out < <(
    wait_for 60 grep -q started out
    arrow template prune --all >/dev/null
    echo line
  )
  grep -qx 'got line' out
  grep -qx busybox out
}

@test "template: ls, inspect, rm" {
  arrow run "$B" true
  id=$(arrow template ls --format json | jq -r '.[0].id')
  [ "$(arrow template ls | wc -l)" -eq 2 ]
  [ "$(arrow template inspect "${id:0:12}" | jq -r '.[0].vcpus')" = 1 ]
  run arrow template rm 0000000000
  [ "$status" -eq 1 ]
  # What a process wrote into one that was being removed is in nobody's way, and goes with the next.
  mkdir "$T/$id.bad.1" && touch "$T/$id.bad.1/blocks"
  arrow template rm "${id:0:12}"
  [ ! -e "$T/$id" ]
  [ ! -e "$T/$id.bad.1" ]
  run arrow template nonsense
  [ "$status" -eq 1 ]
}

# bats test_tags=qemu
@test "clone: 100 of them share no random number, no address, no identity" {
  local n=${ARROW_TEST_CLONES:-100}
  for i in $(seq "$n"); do
    arrow run --cap-add NET_ADMIN "$G/pie" unique
  done >all
  for what in at_random getrandom urandom stack map program tcp_secret hostname boot_id uuid machine_id; do
    [ "$(grep -c "^$what " all)" -eq "$n" ]
    [ "$(grep "^$what " all | sort -u | wc -l)" -eq "$n" ]
  done
  # Of some ten thousand ports two may be the same by chance.
  [ "$(grep "^port " all | sort -u | wc -l)" -ge $((n * 9 / 10)) ]
}

# The error is what a question takes on its way to the host: on a busy host, more now and then.
# bats test_tags=qemu
@test "clone: its clock is right to the millisecond" {
  for _ in $(seq 20); do
    "$SOURCE/tests/guests/clock_error.py" 50 timeout 180 "$ARROW" run -i "$P" clock >out
    read -r _ behind _ ahead _ <out
    [ $((behind + ahead)) -ge 1000 ] || return 0
  done
  cat out
  return 1
}

# How often the threads of the only VM have waited.
waits() {
  cat "/proc/$(state vm_pid)"/task/*/status | awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n }'
}

# calm SECONDS MOST: whether they wait less often in that time. With the PIT for a timer it is 200 times a
# second, as long as it lives.
calm() {
  local before
  before=$(waits)
  sleep "$1"
  [ $(($(waits) - before)) -lt "$2" ]
}

# bats test_tags=qemu
@test "clone: it sleeps while its program does, and wakes in time" {
  # A kernel that was kept from measuring the better timer, by a host with too much to do, takes the PIT.
  for _ in 1 2 3 4; do
    arrow template prune --all
    "$ARROW" run "$B" sh -c 'echo started; exec sleep 100' >out &
    wait_for 60 grep -q started out
    wait_for 20 calm 2 160 && slept=yes || slept=no
    kill $!
    wait
    [ $slept = no ] || break
  done
  [ $slept = yes ]
  # A timer that was measured wrongly is late by a part of the whole, however quiet the host is.
  for _ in $(seq 20); do
    late=$(arrow run "$B" sh -c 'read a b </proc/uptime; sleep 1; read c b </proc/uptime
      echo $(((${c%.*} - ${a%.*}) * 100 + 1${c#*.} - 1${a#*.} - 100))')
    [ "$late" -ge 0 ]
    [ "$late" -gt 25 ] || return 0
  done
  false
}

# bats test_tags=qemu
@test "clone: a general kernel that has nothing to do does not wake by itself" {
  "$ARROW" run --kernel general "$B" sh -c 'echo started; exec sleep 100' >out &
  wait_for 60 grep -q started out
  # What is left are the questions of its keeper; a kernel that looks twice a second makes 200 of it.
  wait_for 60 calm 6 120
  kill $!
  wait
}

# bats test_tags=qemu
@test "clone: its clock is right, and its monotonic clock is sane" {
  # The template is older than the clone, so a clock that was not set would be behind.
  arrow run "$B" true
  sleep 2
  before=$(date +%s%3N)
  arrow run "$P" unique >out
  after=$(date +%s%3N)
  time=$(sed -n 's/^time \(.*\)\.\(.*\)/\1\2/p' out)
  [ "$time" -ge "$before" ]
  [ "$time" -le "$after" ]
  [ "$(sed -n 's/^monotonic //p' out)" -lt 600 ]
}
