#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Arrow's own QEMU: where it is, it is taken; where not, Debian's is; a build is never half seen.

load common

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
  [[ $output == *'no such program: /nonexistent; correct ARROW_QEMU'* ]]
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

# One with Arrow's own QEMU, and a zygote where there can be one: the socket of the only template.
begin() {
  needs_own
  ARROW_QEMU=$(realpath "$OWN")
  export ARROW_QEMU
  arrow template prune --all
  arrow run --rm "$B" true
  SOCKET=$(echo "$ARROW_DATA_DIR"/templates/*/zygote.lock)
  SOCKET=${SOCKET%.lock}
}

begin_zygote() {
  [ "$(arrow info --format json | jq -r .engine.accel)" = tcg ] || skip 'zygotes are for TCG'
  begin
  wait_for 90 test -S "$SOCKET"
}

# The processes of this file's zygotes, those that hold them.
holders() {
  pgrep -f "^arrow-zygote $ARROW_DATA_DIR/templates/"
}

field() {
  sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

@test "zygote: Arrows are forked, each a process like a fresh one" {
  begin_zygote
  [ "$(holders | wc -l)" -eq 1 ]
  "$ARROW" run --rm --name forked "$B" sh -c 'echo started; exec sleep 100' >out &
  wait_for 60 grep -q started out
  vm=$(state vm_pid)
  [ "$(field "$(field "$vm" PPid)" PPid)" = "$(holders)" ]
  [ "$(field "$vm" NSsid | awk '{ print $1 }')" = "$vm" ]
  tr '\0' ' ' <"/proc/$vm/cmdline" | grep -q 'arrow-forked'
  # No capability, no way to one, the jail's filter and that of copies.
  [ "$(field "$vm" CapEff)$(field "$vm" CapBnd)" = 00000000000000000000000000000000 ]
  [ "$(field "$vm" NoNewPrivs)" = 1 ]
  [ "$(field "$vm" Seccomp_filters)" -gt "$(field "$(field "$vm" PPid)" Seccomp_filters)" ]
  # Namespaces and a user of its own; of the file systems it sees the jail's root.
  zygote=$(field "$vm" PPid)
  for ns in mnt net ipc uts cgroup; do
    [ "$(readlink "/proc/$vm/ns/$ns")" != "$(readlink "/proc/$zygote/ns/$ns")" ]
    [ "$(readlink "/proc/$vm/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
  done
  [ "$(awk '{ print $5 }' "/proc/$vm/mountinfo")" = / ]
  if [ "$(id -u)" -eq 0 ]; then
    user=$((0x70000000 + vm))
    [ "$(printf '%s\n' $(field "$vm" Uid) $(field "$vm" Gid) | sort -u)" = $user ]
  fi
  # No descriptor of a template's Arrow but the files of its machine: what it has was given to it.
  run ls -l "/proc/$(field "$vm" PPid)/fd"
  for fd in /proc/"$vm"/fd/*; do
    link=$(readlink "$fd")
    case $link in
    socket:* | pipe:*) [[ $output != *"$link"* ]] ;;
    esac
  done
  kill %1
  wait
}

@test "zygote: an OOM score of its own is set, or the Arrow is executed" {
  begin_zygote
  "$ARROW" run --rm --oom-score-adj 300 "$B" sh -c 'echo started; exec sleep 100' >out &
  wait_for 60 grep -q started out
  vm=$(state vm_pid)
  [ "$(cat "/proc/$vm/oom_score_adj")" = 300 ]
  parent=$(field "$(field "$vm" PPid)" PPid)
  if [ "$(id -u)" -eq 0 ]; then [ "$parent" = "$(holders)" ]; else [ "$parent" != "$(holders)" ]; fi
  # That of the next is not the one before's.
  "$ARROW" run --rm --name other "$B" sh -c 'echo started; exec sleep 100' >out2 &
  wait_for 60 grep -q started out2
  [ "$(cat "/proc/$(jq -r .vm_pid "$(states | xargs grep -L "\"vm_pid\": *$vm\b")")/oom_score_adj")" = \
    "$(cat "/proc/$(holders)/oom_score_adj")" ]
  kill %1 %2
  wait
}

@test "zygote: starts at once make one" {
  begin_zygote
  kill "$(holders)"
  wait_for 30 eval '! holders >/dev/null'
  rm "$SOCKET"
  for _ in 1 2 3 4; do arrow run --rm "$B" true & done
  wait
  wait_for 90 test -S "$SOCKET"
  [ "$(holders | wc -l)" -eq 1 ]
}

@test "zygote: its end does no harm to its Arrows, and the next start makes another" {
  begin_zygote
  "$ARROW" run --rm -i "$B" sh -c 'echo started; read x; echo "got $x"' >out < <(
    wait_for 60 grep -q started out
    kill -KILL "$(holders)"
    wait_for 30 eval '! holders >/dev/null'
    echo line
  )
  grep -qx 'got line' out
  arrow run --rm "$B" true
  wait_for 90 test -S "$SOCKET"
}

@test "zygote: a forked Arrow ends with its keeper" {
  begin_zygote
  "$ARROW" run --rm "$B" sh -c 'echo started; exec sleep 100' >out 2>err &
  wait_for 60 grep -q started out
  vm=$(state vm_pid)
  kill -KILL "$(state keeper_pid)"
  wait_for 30 gone "$vm"
  wait
  arrow run --rm "$B" true
  rm -rf "$ARROW_DATA_DIR/arrows"/* "$ARROW_DATA_DIR/names"/* "$ARROW_RUN_DIR/arrows"/*
}

@test "zygote: is replaced after so many forks, and after four that died, with its address of blocks" {
  begin_zygote
  local first second n
  first=$(holders)
  wait_for 60 test -e "${SOCKET%/*}/blocks"
  cp "${SOCKET%/*}/blocks" blocks
  for n in 1 2 3 4; do
    kill -0 "$first"
    [ -S "$SOCKET" ]
    "$BARE" run -d --name "dies-$n" "$B" sleep 1000
    kill -SEGV "$("$BARE" inspect -f '{{.State.Pid}}' "dies-$n")"
    "$BARE" wait "dies-$n"
    "$BARE" rm "dies-$n"
  done
  wait_for 30 gone "$first"
  arrow run --rm "$B" true
  wait_for 90 test -S "$SOCKET"
  [ ! -e "${SOCKET%/*}/zygote.crashes" ]
  wait_for 60 test -e "${SOCKET%/*}/blocks"
  run -1 cmp -s blocks "${SOCKET%/*}/blocks"
  # One that its guest ends does not count.
  second=$(holders)
  arrow run --rm "$B" true
  [ ! -e "${SOCKET%/*}/zygote.crashes" ]
  kill "$second"
  wait_for 30 gone "$second"
  export ARROW_ZYGOTE_FORKS=3
  # The socket of the one that was killed may still be there.
  rm -f "$SOCKET"
  arrow run --rm "$B" true
  wait_for 90 test -S "$SOCKET"
  first=$(holders)
  for n in 1 2 3; do arrow run --rm "$B" true; done
  wait_for 30 gone "$first"
}

@test "zygote: ends when it is idle, and with its template" {
  export ARROW_ZYGOTE_IDLE=2
  begin_zygote
  wait_for 60 test ! -e "$SOCKET"
  wait_for 30 eval '! holders >/dev/null'
  unset ARROW_ZYGOTE_IDLE
  begin_zygote
  arrow template prune --all
  wait_for 30 eval '! holders >/dev/null'
}

@test "zygote: forks with disk and network, none hangs (ARROW_FORKS: how many)" {
  begin_zygote
  "$SOURCE/tests/stress/zygote" "${ARROW_FORKS:-30}"
}

# Translated blocks are for TCG, and for Arrows that are not forked.
begin_blocks() {
  begin_zygote
  export ARROW_ZYGOTE=off
  wait_for 60 test -e "${SOCKET%/*}/blocks"
}

# What the only VM has translated by itself, in KiB.
translated() {
  awk '$1 ~ /-/ { code = $2 ~ /x/ && $2 ~ /w/ } /^Anonymous:/ && code { n += $2 } END { print n }' \
    "/proc/$(state vm_pid)/smaps"
}

# Starts an Arrow with these options, and prints what its VM translated until its program ran.
translates() {
  "$ARROW" run --rm "$@" "$B" sh -c 'echo started; exec sleep 100' >out 2>err &
  wait_for 60 grep -q started out
  translated
  kill $!
  wait
}

@test "blocks: what the zygote has translated is not translated again" {
  begin_blocks
  with=$(translates)
  mv "${SOCKET%/*}/blocks" saved
  # The zygote is there, so nobody makes another file.
  without=$(translates)
  echo "$with KiB with, $without KiB without"
  [ "$with" -gt 0 ]
  [ "$without" -gt $((2 * with)) ]
}

@test "blocks: Arrows with volumes have them, too, which are those of all" {
  begin_blocks
  mkdir vol
  arrow run --rm -v ./vol:/v "$B" touch /v/x
  [ -e vol/x ]
  with=$(translates -v ./vol:/v)
  [ "$(ls "$ARROW_DATA_DIR"/templates/*/blocks | wc -l)" -eq 1 ]
  mv "${SOCKET%/*}/blocks" saved
  # The zygote is there, so nobody makes another file.
  without=$(translates -v ./vol:/v)
  echo "$with KiB with, $without KiB without"
  [ "$without" -gt $((2 * with)) ]
}

@test "blocks: code that a guest writes and writes again is what runs" {
  begin_blocks
  guest code
  cp "$G/code" .
  arrow run --rm ./code 300 | grep -qx ok
  arrow run --rm --cpus 2 ./code 100 | grep -qx ok
  wait_for 60 eval '[ "$(ls "$ARROW_DATA_DIR"/templates/*/blocks | wc -l)" -eq 2 ]'
  arrow run --rm --cpus 2 ./code 100 | grep -qx ok
}

@test "blocks: damaged, or of another machine, they are not used, and the Arrow starts" {
  begin_blocks
  dir=${SOCKET%/*}
  with=$(translates)
  cp "$dir/blocks" whole
  # Other content under the same name: it is not what was written.
  for damage in 'truncate -s 5000' 'truncate -s 0' 'dd of=$dir/blocks bs=4096 seek=40 count=9 conv=notrunc status=none </dev/urandom; :'; do
    cp whole "$dir/blocks"
    eval "$damage $dir/blocks"
    arrow run --rm "$B" echo ok | grep -qx ok
    [ ! -e "$dir/blocks" ]
  done
  # A CPU without what these blocks use, as their file has it in its 33rd byte on, with the right digest.
  cp whole "$dir/blocks"
  python3 - "$dir" <<'END'
import hashlib, struct, sys
path = sys.argv[1] + "/blocks"
data = bytearray(open(path, "rb").read())
data[32:40] = struct.pack("<Q", 1 << 40)
open(path, "wb").write(data)
digest, block = hashlib.sha256(), 1 << 16
for at in range(0, len(data), block):
    part = data[at : at + block]
    if part.strip(b"\0"):
        digest.update(struct.pack("<Q", at) + part)
digest.update(struct.pack("<q", len(data)))
open(path + ".digest", "w").write(digest.hexdigest())
END
  other=$(translates)
  [ -e "$dir/blocks" ]
  echo "$with KiB with, $other KiB with those of another CPU"
  [ "$other" -gt $((2 * with)) ]
}

# The memory of the only VM that nobody else has, in MiB.
anonymous() {
  awk '/^Anonymous:/ { print int($2 / 1024) }' "/proc/$(state vm_pid)/smaps_rollup"
}

below() {
  [ "$(anonymous)" -lt "$1" ]
}

@test "memory: what an Arrow has freed goes back to the host, and its template stays as it is" {
  begin
  arrow template prune --all
  arrow run --rm -m 1g "$B" true
  before=$(sha256sum "$ARROW_DATA_DIR"/templates/*/ram)
  mkfifo go
  "$ARROW" run --rm -i -m 1g --tmpfs /big "$B" sh -c \
    'head -c 400000000 /dev/zero >/big/x; echo full; read x; rm /big/x; echo freed; read x' \
    >out <go &
  exec 8>go
  wait_for 120 grep -q full out
  [ "$(anonymous)" -gt 380 ]
  echo >&8
  wait_for 60 grep -q freed out
  wait_for 90 below 150
  exec 8>&-
  wait
  [ "$(sha256sum "$ARROW_DATA_DIR"/templates/*/ram)" = "$before" ]
}
