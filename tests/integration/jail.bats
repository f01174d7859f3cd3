#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What stands in the place of QEMU, or of the server of volumes, cannot get out of its jail: tests/guests/hostile.c is
# started the way these are.

load common

setup_file() {
  arrow_setup_file
  export HERE
  HERE=$(mktemp -d /var/tmp/arrow-jail.XXXXXX)
  chmod 755 "$HERE"
  mkdir -p "$HERE/fake/bin"
  # A file, a process, an abstract socket and a port that only the jail keeps out of reach.
  echo secret >"$HERE/secret"
  chmod 666 "$HERE/secret"
  # Not a child of the user's Arrows; both ids are the same user in the tests without root.
  python3 - "arrow-jail-$$" "$HERE/port" 3>&- <<'END' &
import socket, sys, time
a = socket.socket(socket.AF_UNIX); a.bind('\0' + sys.argv[1]); a.listen()
b = socket.socket(); b.bind(('127.0.0.1', 0)); b.listen()
open(sys.argv[2], 'w').write(str(b.getsockname()[1]))
time.sleep(3600)
END
  export LISTENER=$!
  wait_for 30 test -s "$HERE/port"
  if [ "$(id -u)" = 0 ]; then
    export JAILED=arrow-jailed-$$ SUB=1910000000
    useradd --system --no-create-home --home-dir "$HERE/home" --shell /bin/bash "$JAILED"
    usermod --add-subuids $SUB-$((SUB + 65535)) --add-subgids $SUB-$((SUB + 65535)) "$JAILED"
    install -d -m 700 -o "$JAILED" -g "$(id -g "$JAILED")" "$HERE/home"
    install -m 755 "$(realpath "$SOURCE/build/arrow")" "$HERE/arrow"
    setpriv --reuid "$JAILED" --regid "$(id -g "$JAILED")" --clear-groups sleep 3600 3>&- &
    export USER_VICTIM=$!
    mkdir -p "$HERE/fake2/bin"
    build_hostile "$HERE/fake2/bin/qemu-system-x86_64" $USER_VICTIM
  fi
  build_hostile "$HERE/fake/bin/qemu-system-x86_64" $LISTENER
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
}

teardown_file() {
  kill $LISTENER
  if [ -n "${USER_VICTIM-}" ]; then
    kill "$USER_VICTIM"
    wait "$USER_VICTIM" || true
    userdel "$JAILED"
    rm -rf "/tmp/arrow-$(id -u "$JAILED" 2>/dev/null || echo none)"
  fi
  rm -rf "$HERE"
}

# build_hostile FILE VICTIM
build_hostile() {
  musl-gcc -static -O1 -o "$1" -DSECRET="\"$HERE/secret\"" -DVICTIM="$2" \
    -DABSTRACT="\"arrow-jail-$$\"" -DPORT="$(cat "$HERE/port")" "$SOURCE/tests/guests/hostile.c"
}

# hostile ARG...: an Arrow whose QEMU is the hostile program. Its words are in $output.
hostile() {
  run env ARROW_QEMU="$HERE/fake/bin/qemu-system-x86_64" timeout -k 10 180 "$ARROW" run --cold "$@" 7<"$HERE/secret" 8<"$HERE"
  echo "$output"
  [ "$status" -eq 125 ]
  [[ "$output" == *'hostile: 0 breaches;'* ]]
  [ "$(cat "$HERE/secret")" = secret ]
}

# The same as a user without rights, with a home of its own.
user_hostile() {
  run setpriv --reuid "$JAILED" --regid "$(id -g "$JAILED")" --clear-groups --inh-caps=-all \
    env -i -C "$HERE/home" HOME="$HERE/home" TMPDIR="$HERE/home" ARROW_QEMU="$HERE/fake2/bin/qemu-system-x86_64" PATH="/usr/bin:/bin:/usr/sbin:/sbin" \
    timeout -k 10 180 "$HERE/arrow" run --cold "$@" 3>&- 7<"$HERE/secret" 8<"$HERE"
  echo "$output"
  [ "$status" -eq 125 ]
  [[ "$output" == *'hostile: 0 breaches;'* ]]
  [ "$(cat "$HERE/secret")" = secret ]
}

# taken NAME ARG: an Arrow NAME, forked from the zygote, whose process the hostile program takes over.
# Back once it runs; what the client says at its end is in NAME.out, its process id in $CLIENT.
taken() {
  rm -f "$1.out" # of one before
  timeout -k 10 180 "$ARROW" run --name "$1" "$BUSYBOX" sh -c 'echo started; exec sleep 100' >"$1.out" 2>&1 3>&- &
  CLIENT=$!
  wait_for 60 grep -q started "$1.out"
  VM=$("$BARE" inspect -f '{{.State.Pid}}' "$1")
  tr '\0' ' ' <"/proc/$VM/cmdline" | grep -q "arrow-$1" # a fork
  "$G/takeover" "$VM" "$HERE/fake/bin/qemu-system-x86_64" "$2"
}

# A zygote for forks, or the test is skipped: they are of TCG and Arrow's own QEMU, and only root may take one over.
begin_zygote() {
  need_root
  unset ARROW_START ARROW_QEMU
  arrow info | grep -q 'built for Arrow' || skip "Arrow's QEMU is not built; run: sudo make hypervisor"
  [ "$(arrow info --format json | jq -r .engine.accel)" = tcg ] || skip 'zygotes are for TCG'
  guest takeover
  export ARROW_DATA_DIR=$BATS_FILE_TMPDIR/forks ARROW_ZYGOTE_IDLE=600
  ready() { [ -n "$(find "$ARROW_DATA_DIR/templates" -name zygote -type s)" ]; }
  # After some that died the zygote is replaced, by an Arrow that finds the last one gone.
  again() { ready || { arrow run "$BUSYBOX" true && ready; }; }
  wait_for 120 again
}

need_root() {
  [ "$(id -u)" = 0 ] || skip 'needs root'
}

# bats test_tags=smoke
@test "jail: a hostile QEMU of root reaches nothing, as a user of its own without rights" {
  need_root
  hostile "$BUSYBOX" true
  [[ "$output" =~ uid\ ([0-9]+)\ gid\ ([0-9]+)\ pid\ 1\ caps\ 0000000000000000\ host\ arrow\ environment\ clean ]]
  [ "${BASH_REMATCH[1]}" -ge $((0x70000000)) ]
  [ "${BASH_REMATCH[1]}" -eq "${BASH_REMATCH[2]}" ]
}

@test "jail: the range of users can be moved, and nonsense moves nothing" {
  need_root
  ARROW_JAIL_UID_BASE=0x60000000 hostile "$BUSYBOX" true
  [[ "$output" =~ uid\ ([0-9]+) ]]
  [ "${BASH_REMATCH[1]}" -ge $((0x60000000)) ]
  [ "${BASH_REMATCH[1]}" -lt $((0x70000000)) ]
  for base in 0 12 0xffffffff x; do
    ARROW_JAIL_UID_BASE=$base hostile "$BUSYBOX" true
    [[ "$output" =~ uid\ ([0-9]+) ]]
    [ "${BASH_REMATCH[1]}" -ge $((0x70000000)) ]
  done
}

@test "jail: with volumes it has what serving files takes, and reaches no others" {
  need_root
  mkdir "$HERE/volume"
  echo one >"$HERE/volume/one"
  hostile -v "$HERE/volume:/a:ro" -v "$HERE/volume/one:/b:ro" "$BUSYBOX" true
  # chown, dac_override, fowner, fsetid, mknod, setfcap
  [[ "$output" == *'caps 000000008800001b '* ]]
  rm -r "$HERE/volume"
}

@test "jail: a hostile QEMU of an ordinary user reaches nothing" {
  need_root
  user_hostile "$BUSYBOX" true
  [[ "$output" =~ uid\ $(id -u "$JAILED")\ .*\ pid\ 1\ caps\ 0000000000000000\ host\ arrow\ environment\ clean ]]
}

@test "jail: nor with volumes, in the user namespace that has its ids" {
  need_root
  install -d -o "$JAILED" -g "$(id -g "$JAILED")" "$HERE/home/volume"
  user_hostile -v "$HERE/home/volume:/a:ro" "$BUSYBOX" true
  [[ "$output" == *'uid 0 gid 0 pid 1 caps 000000008800001b host arrow'* ]]
}

# hostile_server FILE COMMAND...: an Arrow with volumes, run by COMMAND, whose server is the hostile program in FILE.
hostile_server() {
  local file=$1
  shift
  "$@" -v "$HERE/volumes:/a:ro" "$BUSYBOX" true
  for root in "$ARROW_DATA_DIR" "$HERE/home/.local/share/arrow"; do
    for server in "$root"/jails/fs-*/root/arrow-fs; do
      [ ! -e "$server" ] || install -m 755 "$file" "$server"
    done
  done
  run "$@" -v "$HERE/volumes:/a:ro" -v "$HERE/volumes/one:/b:ro" "$BUSYBOX" true
  rm -rf "$ARROW_DATA_DIR"/jails/fs-* "$HERE"/home/.local/share/arrow/jails/fs-*
  echo "$output"
  [ "$status" -eq 125 ]
  [[ "$output" == *'cannot serve the volumes: hostile: 0 breaches;'* ]]
  # chown, dac_override, fowner, fsetid, setgid, setuid, mknod, setfcap
  [[ "$output" == *'pid 1 caps 00000000880000db host arrow environment clean'* ]]
  [ "$(cat "$HERE/secret")" = secret ]
}

@test "jail: a hostile server of volumes reaches nothing but them, as root and as an ordinary user" {
  need_root
  unset ARROW_QEMU
  arrow info | grep -q 'built for Arrow' || skip "Arrow's QEMU is not built; run: sudo make hypervisor"
  mkdir "$HERE/volumes"
  echo one >"$HERE/volumes/one"
  # The victim and the descriptors that `arrow` was started with are those of the other tests.
  hostile_server "$HERE/fake/bin/qemu-system-x86_64" timeout -k 10 180 "$ARROW" run 7<"$HERE/secret" 8<"$HERE"
  [[ "$output" =~ uid\ ([0-9]+)\ gid\ ([0-9]+) ]]
  [ "${BASH_REMATCH[1]}" -ge $((0x70000000)) ]
  [ "${BASH_REMATCH[1]}" -eq "${BASH_REMATCH[2]}" ]
  chown -R "$JAILED" "$HERE/volumes"
  hostile_server "$HERE/fake2/bin/qemu-system-x86_64" setpriv --reuid "$JAILED" --regid "$(id -g "$JAILED")" --clear-groups \
    --inh-caps=-all env -i -C "$HERE/home" HOME="$HERE/home" TMPDIR="$HERE/home" PATH="/usr/bin:/bin:/usr/sbin:/sbin" \
    timeout -k 10 180 "$HERE/arrow" run 3>&- 7<"$HERE/secret" 8<"$HERE"
  [[ "$output" == *'uid 0 gid 0 '* ]]
}

# bats test_tags=smoke, start
@test "jail: a real QEMU runs in it, each as another user" {
  need_root
  export ARROW_ZYGOTE=off # what its forks lack is in docs/security.md, and in the tests of forks
  arrow run "$BUSYBOX" sleep 60 &
  local a=$! b
  arrow run "$BUSYBOX" sleep 60 &
  b=$!
  both() { [ "$(states | xargs -r jq -r 'select(.status == "running") | .vm_pid' | wc -l)" -eq 2 ]; }
  wait_for 60 both
  local uids=()
  for pid in $(states | xargs jq -r .vm_pid); do
    uids+=("$(stat -c %u "/proc/$pid")")
    [ "$(awk '/^NoNewPrivs|^Seccomp:/ {print $2}' "/proc/$pid/status" | tr '\n' ' ')" = '1 2 ' ]
    [ "$(awk '/^Cap(Eff|Prm|Inh|Bnd|Amb)/ {print $2}' "/proc/$pid/status" | sort -u)" = 0000000000000000 ]
    [ "$(awk '/^Groups/ {print $2}' "/proc/$pid/status")" = '' ]
    for ns in mnt net pid ipc uts cgroup; do
      [ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink /proc/self/ns/$ns)" ]
    done
    # The root, itself in /proc, with KVM a /dev, and nothing else is mounted.
    [ "$(awk '$5 == "/" || $5 == "/proc/self"' "/proc/$pid/mountinfo" | wc -l)" -eq 2 ]
    [ -z "$(awk '{print $5, substr($6, 1, 3)}' "/proc/$pid/mountinfo" | grep -vxE '(/|/proc/self|/dev) ro,')" ]
    [ -z "$(find "/proc/$pid/net/dev" -exec awk 'NR > 2 && $1 != "lo:"' {} +)" ]
  done
  [ "${uids[0]}" != "${uids[1]}" ]
  kill $(states | xargs jq -r .keeper_pid)
  wait $a $b || true
  assert_no_leftovers
}

@test "jail: a hostile clone cannot write the memory that it shares with all others" {
  export ARROW_START=
  # The real QEMU makes the template; then the same file, of the same size and times, is another program.
  mkdir -p own/bin own/share own/lib/x86_64-linux-gnu
  local qemu own=$PWD/own/bin/qemu-system-x86_64
  qemu=$(realpath "$(command -v qemu-system-x86_64)")
  ln -s /usr/share/qemu own/share/qemu
  ln -s /usr/lib/x86_64-linux-gnu/qemu own/lib/x86_64-linux-gnu/qemu
  cp "$qemu" "$own"
  export ARROW_DATA_DIR=$PWD/data
  run env ARROW_QEMU="$PWD/own/bin/qemu-system-x86_64" timeout -k 10 180 "$ARROW" run "$BUSYBOX" echo template
  [ "$output" = template ]
  cp -p "$own" own/reference
  build_hostile own/hostile "$LISTENER"
  truncate -s "$(stat -c %s own/reference)" own/hostile
  cat own/hostile >"$own"
  touch -r own/reference "$own"
  run env ARROW_QEMU="$PWD/own/bin/qemu-system-x86_64" timeout -k 10 180 "$ARROW" run --verbose "$BUSYBOX" true
  echo "$output"
  # The clone, then the cold start that takes over.
  [[ "$output" == *'cannot start a clone, so a cold VM is started'*'hostile: 0 breaches;'*'hostile: 0 breaches;'* ]]
}

@test "jail: its root is made anew when QEMU changes, and a damaged one is not used" {
  mkdir -p own/bin
  build_hostile own/bin/qemu-system-x86_64 1
  run env ARROW_QEMU="$PWD/own/bin/qemu-system-x86_64" timeout -k 10 180 "$ARROW" run --cold "$BUSYBOX" true
  [[ "$output" == *'hostile: '* ]]
  cp /bin/busybox own/bin/qemu-system-x86_64
  run env ARROW_QEMU="$PWD/own/bin/qemu-system-x86_64" timeout -k 10 180 "$ARROW" run --cold "$BUSYBOX" true
  [[ "$output" == *'applet not found'* ]]
  # One that a killed maker left.
  mkdir -p "$ARROW_DATA_DIR/jails/new/root/etc"
  touch own/bin/qemu-system-x86_64
  run env ARROW_QEMU="$PWD/own/bin/qemu-system-x86_64" timeout -k 10 180 "$ARROW" run --cold "$BUSYBOX" true
  [[ "$output" == *'applet not found'* ]]
  [ ! -e "$ARROW_DATA_DIR/jails/new" ]
}

# bats test_tags=start
@test "jail: a keeper gives up what it has no use for, and starts its Arrow again all the same" {
  need_root
  local pid status
  "$BARE" run -d --name keeper-$$ --restart on-failure:1 --health-cmd true --health-interval 1s "$BUSYBOX" sh -c 'busybox sleep 1; exit 3'
  pid=$("$BARE" inspect -f '{{.Arrow.KeeperPid}}' keeper-$$)
  dropped() { grep -q '^NoNewPrivs:.1' "/proc/$pid/status"; }
  wait_for 30 dropped
  status=$(cat "/proc/$pid/status")
  [[ $status == *$'\nSeccomp:\t2'* ]]
  # No module, raw I/O, reboot, time, syslog, perfmon, bpf; but system administration, for jails.
  for set in CapEff CapPrm CapBnd; do
    caps=$((16#$(awk -v "set=$set:" '$1 == set { print $2 }' <<<"$status")))
    for cap in 16 17 20 22 25 34 38 39; do [ $((caps >> cap & 1)) -eq 0 ]; done
    [ $((caps >> 21 & 1)) -eq 1 ]
  done
  again() { [ "$("$BARE" inspect -f '{{.RestartCount}} {{.State.Status}} {{.State.ExitCode}}' keeper-$$)" = '1 exited 3' ]; }
  wait_for 60 again
  "$BARE" rm keeper-$$
}

@test "jail: a hostile fork of a zygote reaches no more than a hostile QEMU, but for what it lacks" {
  begin_zygote
  taken hostile-fork fork
  wait $CLIENT || true
  cat hostile-fork.out
  grep -q 'hostile: 0 breaches;' hostile-fork.out
  # The namespace of processes is that of the host; of /proc it has not even itself.
  [[ "$(cat hostile-fork.out)" =~ uid\ ([0-9]+)\ gid\ ([0-9]+)\ pid\ ([0-9]+)\ caps\ \?\ host\ arrow\ environment\ clean ]]
  [ "${BASH_REMATCH[1]}" -eq $((0x70000000 + VM)) ]
  [ "${BASH_REMATCH[2]}" -eq "${BASH_REMATCH[1]}" ]
  [ "$(cat "$HERE/secret")" = secret ]
}

@test "jail: a fork of a zygote is killed for what makes processes, reaches others or changes its user" {
  begin_zygote
  local n
  for n in $(seq 0 20); do
    ready || begin_zygote
    taken deadly-fork "deadly $n"
    wait $CLIENT || true
    cat deadly-fork.out
    if grep -q 'hostile: none' deadly-fork.out; then break; fi
    run -1 grep -q 'hostile: survives' deadly-fork.out
    # Or only its main thread is.
    grep -Eq 'was killed|has not answered' deadly-fork.out
  done
  [ "$n" -eq 11 ]
}

@test "jail: a hostile fork that lets go of its keeper lives no longer than until the next command" {
  begin_zygote
  local vm
  taken lost-fork live
  vm=$VM
  # What ties it: gone with its descriptors.
  unbound() { [ "$(find "/proc/$vm/fd" -mindepth 1 | wc -l)" -eq 0 ]; }
  wait_for 30 unbound
  kill -KILL "$("$BARE" inspect -f '{{.Arrow.KeeperPid}}' lost-fork)"
  wait $CLIENT || true
  kill -0 "$vm"
  arrow ps
  gone "$vm"
  wait_for 30 assert_no_leftovers
}

# bats test_tags=start
@test "jail: what an Arrow was given by -e is in no command line of what stays" {
  local secret=secret-$$-$RANDOM
  echo "$secret" >secret
  "$BARE" run -d --name told-$$ --env "TOKEN=$secret" --health-cmd 'sleep 60' --health-interval 1s "$BUSYBOX" sleep 60
  # Others end meanwhile, for which grep has another status.
  run grep -slaFf secret /proc/[0-9]*/cmdline
  [ -z "$output" ]
  tr '\0' ' ' <"/proc/$("$BARE" inspect -f '{{.Arrow.KeeperPid}}' told-$$)/cmdline" | grep -q '^arrow-keeper '
  "$BARE" rm -f told-$$
}
