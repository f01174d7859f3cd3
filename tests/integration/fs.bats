#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# arrow-fs without a VM: this machine's kernel is its guest, by /dev/fuse (fuse_relay.c). tests/guests/posix.c is
# run on a directory and on what is served of one.

load common

setup_file() {
  export SERVER
  SERVER=$(dirname "$ARROW")/fs/arrow-fs
  arrow_setup_file
  guest posix
  cc -O2 -o "$G/relay" "$SOURCE/tests/integration/fuse_relay.c"
}

setup() {
  [ "$(id -u)" = 0 ] || skip "needs root"
  [ -w /dev/fuse ] || skip "needs /dev/fuse"
  # Not in /tmp: a tmpfs has no default ACLs on some machines, and its holes are others.
  HERE=$(mktemp -d /var/tmp/arrow-fs.XXXXXX)
  mkdir "$HERE/host" "$HERE/guest"
  cd "$HERE" || return
}

teardown() {
  [ -n "${HERE-}" ] || return 0
  cd /
  [ -z "${WATCHER-}" ] || kill "$WATCHER" 2>/dev/null || true
  # Whatever a test left there: its files are free once the server has ended.
  umount "$HERE/guest" 2>/dev/null || umount -l "$HERE/guest" 2>/dev/null || true
  [ -z "${RELAY-}" ] || wait_for 30 gone "$RELAY" || kill "$RELAY"
  rm -rf "$HERE"
}

# serve [--no-interrupt] [OPTION]: host/ is served at guest/.
serve() {
  local interrupt=
  [ "${1-}" != --no-interrupt ] || { interrupt=$1 && shift; }
  # shellcheck disable=SC2086 # an option or none
  "$G/relay" $interrupt host guest "$SERVER" "$@" >relay.log 2>&1 3>&- &
  RELAY=$!
  wait_for 30 grep -q ready relay.log
}

server() {
  cat "/proc/$RELAY/task/$RELAY/children"
}

@test "a program finds what it finds on a directory of the host" {
  mkdir native
  "$G/posix" native >native.log
  serve
  "$G/posix" guest >guest.log || { cat guest.log && false; }
  diff native.log guest.log
  [ "$(grep -c ^ok guest.log)" -ge 25 ]
}

@test "and when the guest keeps what it saw, until it is told that others use its files" {
  mkdir native
  "$G/posix" native >native.log
  serve --exclusive
  "$G/posix" guest >guest.log || { cat guest.log && false; }
  diff native.log guest.log
  [ "$(grep -c ^ok guest.log)" -ge 25 ]
  # It does keep it.
  printf 'hello world' >host/text
  exec 7<guest/text 8<guest/text
  [ "$(cat <&7)" = 'hello world' ]
  stat guest/text >before
  chmod 600 host/text
  stat guest/text | cmp before -
  kill -USR2 "$(server)"
  sleep 1.1 # what it was told to keep is forgotten
  printf abc >host/text
  [ "$(cat <&8)" = abc ]
  [ "$(stat -c %a guest/text)" = 600 ]
  for i in $(seq 100); do echo guest >>guest/log; done &
  for i in $(seq 100); do echo host >>host/log; done
  wait $!
  [ "$(wc -l <host/log)" = 200 ]
  exec 7<&- 8<&-
}

@test "what the host changes is seen at once, and nobody's lines are lost" {
  printf 'hello world' >host/text
  serve
  exec 8<guest/text
  printf abc >host/text
  [ "$(cat <&8)" = abc ]
  exec 8<&-
  printf longer >host/new
  mv host/new host/text
  [ "$(cat guest/text)" = longer ]
  [ "$(stat -c %s guest/text)" = 6 ]
  for i in $(seq 100); do echo guest >>guest/log; done &
  for i in $(seq 100); do echo host >>host/log; done
  wait $!
  [ "$(wc -l <host/log)" = 200 ]
  [ "$(sort host/log | uniq -c | xargs)" = "100 guest 100 host" ]
}

@test "a lock holds on both sides, and is free when the server is killed" {
  : >host/lock
  serve
  exec 8<guest/lock
  flock -n 8
  run -1 flock -n host/lock true
  exec 8<&-
  flock -n host/lock true
  exec 9<host/lock
  flock -n 9
  run -1 flock -n guest/lock true
  exec 9<&-
  exec 8<guest/lock
  flock -n 8
  kill -9 "$(server)"
  wait_for 30 flock -n host/lock true
  exec 8<&-
}

# Answers .arrow-waits as Arrow's loader does: a wait of a process that has a signal ends.
watch_waits() {
  python3 3>&- - guest/.arrow-waits <<'END'
import os, re, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
while True:
    for line in os.read(fd, 65536).decode().splitlines():
        unique, pid = line.split()
        try:
            status = open(f'/proc/{pid}/status').read()
        except OSError:
            status = 'SigPnd: 1'
        sets = {name: int(value, 16) for name, value in re.findall(r'(Sig\w+|ShdPnd):\s*([0-9a-f]+)', status)}
        if (sets.get('SigPnd', 0) | sets.get('ShdPnd', 0)) & ~sets.get('SigBlk', 0):
            os.write(fd, f'{unique}\n'.encode())
    time.sleep(0.03)
END
}

@test "without FUSE_INTERRUPT, who waits for a lock is interrupted and killed by way of .arrow-waits" {
  serve --no-interrupt
  watch_waits &
  WATCHER=$!
  "$G/posix" guest flock fcntl-locks
}

@test "the server takes less than 1 MiB of memory" {
  mkdir -p host/tree
  for i in $(seq 200); do echo "$i" >"host/tree/$i"; done
  serve
  cp -r guest/tree guest/copy
  rm -r guest/copy
  dd if=/dev/zero of=guest/large bs=1M count=20 conv=fsync status=none
  dd if=guest/large of=/dev/null bs=1M status=none
  # What large requests took is given back when there are none for a second.
  small() {
    [ "$(sed -n 's/^Pss: *\([0-9]*\) kB/\1/p' "/proc/$(server | xargs)/smaps_rollup")" -lt 1024 ]
  }
  wait_for 30 small
}
