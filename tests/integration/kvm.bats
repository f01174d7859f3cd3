#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The machine that has KVM (tests/kvm/run), and the probe of KVM in it and here.

load common

setup_file() {
  [ "$(id -u)" -eq 0 ] || skip 'the machine with KVM needs root'
  arrow_setup_file
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  export TMPDIR=$BATS_TEST_TMPDIR/tmp
  mkdir "$TMPDIR"
  PROBE=$(dirname "$BARE")/tests/unit/test_kvm_probe
}

machine() {
  timeout -k 10 300 "$SOURCE/tests/kvm/run" --timeout 240 "$@"
}

@test "kvm machine: arguments, directory, environment and files are the caller's; what is said comes back as it is" {
  echo before >file
  PATH=$PATH ARROW_TEST=$'a b\n"c"' SECRET=x run --separate-stderr machine bash -c \
    'printf "<%s>" "$PWD" "$ARROW_TEST" "${SECRET-unset}" "$(cat file)" "$@"
    printf err >&2
    # Here its files are its own.
    echo after >file && printf "<%s>" "$(cat file)" && mkdir new && touch /run/x /tmp/x-$$ /var/lib/x && exit 42' \
    sh '' $'x\ny' "it's" '$HOME'
  [ "$status" -eq 42 ]
  [ "$output" = "<$PWD><a b
\"c\"><unset><before><><x
y><it's><\$HOME><after>" ]
  [ "$stderr" = err ]
  [ "$(cat file)" = before ]
  [ ! -e new ]
}

@test "kvm machine: a lot of output arrives whole" {
  machine bash -c 'head -c 5000000 /dev/zero | tr "\0" a & head -c 5000000 /dev/zero | tr "\0" b >&2; wait' \
    >out 2>err
  [ "$(head -c 5000000 /dev/zero | tr '\0' a | cmp - out && echo same)" = same ]
  [ "$(head -c 5000000 /dev/zero | tr '\0' b | cmp - err && echo same)" = same ]
}

@test "kvm machine: a panic is status 125 with the console, and nothing is left" {
  run machine bash -c 'sysctl -q kernel.sysrq=1 kernel.panic=-1; echo c >/proc/sysrq-trigger; sleep 100'
  [ "$status" -eq 125 ]
  [[ $output == *'Kernel panic - not syncing: sysrq triggered crash'* ]]
  [ -z "$(ls -A "$TMPDIR")" ]
}

@test "kvm machine: a command that does not end is stopped at the deadline" {
  run timeout 200 "$SOURCE/tests/kvm/run" --timeout 15 sleep 1000
  [ "$status" -eq 124 ]
  [[ $output == *'"sleep 1000" did not end within 15 s'* ]]
  [ -z "$(ls -A "$TMPDIR")" ]
}

@test "kvm machine: its children go with it, even when it is killed" {
  "$SOURCE/tests/kvm/run" sleep 1000 3>&- &
  pid=$!
  has_children() { [ "$(ps -o comm= --ppid $pid | grep -cx 'virtiofsd\|qemu-system-x86')" -eq 2 ]; }
  wait_for 60 has_children
  children=$(pgrep -P $pid)
  kill -KILL $pid
  wait $pid || true
  for child in $children; do wait_for 30 gone "$child"; done
}

# Says how far it came: the probe; with either QEMU, clones, one of them paused, saved and started twice as it was.
kvm_script() {
  cat <<'END'
set -e
unset ARROW_DATA_DIR ARROW_RUN_DIR # the machine's own
cd /tmp
CMOCKA_MESSAGE_OUTPUT=TAP "$ARROW_PROBE" >probe
grep -o '# usable: .* loop\|# not seen' probe
counted() {
  for i in $(seq 300); do
    "$ARROW_COMMAND" logs "$1" 2>/dev/null | grep -qx "$2" && return
    sleep 0.2
  done
  echo "$1 did not come to $2"
  return 1
}
for ARROW_QEMU in '' /usr/bin/qemu-system-x86_64; do
  export ARROW_QEMU
  [ "$ARROW_QEMU" ] || unset ARROW_QEMU
  "$ARROW_COMMAND" info | grep '^Engine:'
  [ "$("$ARROW_COMMAND" run --rm "$ARROW_BUSYBOX" echo hello)" = hello ]
  "$ARROW_COMMAND" run -d --name one "$ARROW_BUSYBOX" sh -c 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done' >/dev/null
  counted one 3
  "$ARROW_COMMAND" pause one
  "$ARROW_COMMAND" ps --format '{{.Status}}' | grep -o Paused
  "$ARROW_COMMAND" unpause one
  n=$("$ARROW_COMMAND" logs one | tail -n 1)
  "$ARROW_COMMAND" save one "$PWD/saved" >/dev/null
  "$ARROW_COMMAND" rm -f one >/dev/null
  for name in two three; do
    "$ARROW_COMMAND" run -d --name $name --from "$PWD/saved" >/dev/null
    counted $name $((n + 20))
    "$ARROW_COMMAND" logs $name | grep -qx 1 && echo "$name began anew"
  done
  "$ARROW_COMMAND" rm -f two three
  rm -r "$PWD/saved"
done
END
}

@test "kvm: the probe finds it usable; with both QEMUs clones run, are paused, saved and restored" {
  kvm_script >script
  # Only such names come into the machine.
  export ARROW_COMMAND=$BARE ARROW_BUSYBOX=$BUSYBOX ARROW_PROBE=$PROBE
  # A guest of the emulated processor stands still now and then (tests/run says more).
  for try in 1 2 3; do
    run machine -m 3072 bash script
    echo "$output"
    [ "$status" -ne 0 ] || break
  done
  [ "$status" -eq 0 ]
  once=$'Engine:             qemu with KVM\none\nPaused\none\ntwo\nthree'
  [ "$output" = $'# usable: a guest ran SSE, cmpxchg16b, xsave and a loop\n'"$once"$'\n'"$once" ]
}

@test "probe: here it gives the same verdict each time" {
  first=$(CMOCKA_MESSAGE_OUTPUT=TAP "$PROBE" | grep -o '# [a-z]*usable')
  [ -n "$first" ]
  for i in 1 2 3; do
    [ "$(CMOCKA_MESSAGE_OUTPUT=TAP "$PROBE" | grep -o '# [a-z]*usable')" = "$first" ]
  done
}
