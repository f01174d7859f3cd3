#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# arrow kernel: building, listing, damage, removal. What needs a kernel takes the one of the system's
# store, which is built first if it is not up to date.

# shellcheck disable=SC2030,SC2031 # each test is a function of its own, and runs in its own shell

load common

setup_file() {
  export built=/var/lib/arrow
  ARROW_DATA_DIR=$built "$ARROW" kernel build micro
}

setup() {
  dir=$(mktemp -d /tmp/arrow-kernel-XXXXXX)
  export ARROW_DATA_DIR=$dir/store ARROW_RUN_DIR=$dir/run
  kernels=$ARROW_DATA_DIR/kernels
  mkdir -p "$kernels"
}

teardown() {
  if [[ ${pid:-} ]]; then
    kill -KILL "$pid" 2>/dev/null || true
  fi
  if mountpoint -q "$ARROW_DATA_DIR"; then
    umount "$ARROW_DATA_DIR"
  fi
  rm -rf "$dir"
}

# A store of the test's own with the micro kernel in it.
with_kernel() {
  cp -a "$built/kernels/micro" "$built/kernels/$(readlink "$built/kernels/micro")" "$kernels"
  vmlinux=$kernels/micro/vmlinux
}

has_source() { compgen -G "$kernels/.build-*/src/Makefile" >/dev/null; }
is_compiling() { compgen -G "$kernels/.build-*/out/kernel/*.o" >/dev/null; }
is_gone() { [[ ! -e $1 ]]; }
nothing_left() { [[ ! $(find "$kernels" -mindepth 1 ! -name .lock -print -quit) ]]; }
# No compiler works on in this test's store. In brackets, so that it does not find itself.
no_process() { ! pgrep -f "[/]${dir#/}/store" >/dev/null; }

start_build() {
  # In the background a shell ignores SIGINT for what it starts, and arrow would, too.
  env --default-signal=INT "$ARROW" kernel build micro >"$dir/out" 2>&1 3>&- &
  pid=$!
}

@test "a kernel that is up to date is not built again" {
  with_kernel
  before=$(stat -L -c '%i %Y' "$vmlinux")
  run -0 "$ARROW" kernel build micro
  [[ $output == "kernel micro: up to date, "* ]]
  [ "$(stat -L -c '%i %Y' "$vmlinux")" = "$before" ]
}

@test "ls and inspect tell what is there, and the digest is that of the file" {
  with_kernel
  run -0 "$ARROW" kernel ls
  [[ ${lines[1]} == micro*current ]]
  run -0 "$ARROW" kernel ls --verify --format json
  [ "$(jq -r 'map(select(.path | startswith($ENV.ARROW_DATA_DIR))) | .[0].state' <<<"$output")" = current ]
  run -0 "$ARROW" kernel inspect micro
  path=$(jq -r '.[0].path' <<<"$output")
  sum=$(sha256sum "$path")
  [ "${sum%% *}" = "$(jq -r '.[0].sha256' <<<"$output")" ]
  [ "$(stat -c %s "$path")" = "$(jq -r '.[0].size' <<<"$output")" ]
  [[ $(jq -r '.[0].version' <<<"$output") == *-arrow ]]
}

@test "vmlinux is stripped and has a PVH entry" {
  with_kernel
  run -0 readelf -n "$vmlinux"
  [[ $output == *"(0x00000012)"* ]]
  run -0 readelf -S "$vmlinux"
  [[ $output != *.symtab* ]]
}

@test "a damaged kernel is found by its digest" {
  with_kernel
  printf 'x' | dd of="$vmlinux" bs=1 seek=4000000 conv=notrunc status=none
  run -0 "$ARROW" kernel ls --verify
  [[ $output == *damaged* ]]
  run -0 "$ARROW" kernel ls
  [[ $output != *damaged* ]]
}

@test "rm removes a kernel and its name" {
  with_kernel
  id=$(readlink "$kernels/micro")
  run -0 "$ARROW" kernel rm "${id:0:12}"
  nothing_left
  run -125 "$ARROW" kernel rm micro
  [[ $output == "arrow: there is no kernel micro in "* ]]
}

@test "wrong usage is told in one line, with status 125" {
  run -125 "$ARROW" kernel build nosuch
  [[ $output == 'arrow: there is no kernel profile "nosuch"; there are: micro, general' ]]
  run -125 "$ARROW" kernel nosuch
  [ "${#lines[@]}" = 1 ]
  run -125 "$ARROW" kernel rm
  [ "${#lines[@]}" = 1 ]
  run -125 "$ARROW" kernel ls --format xml
  run -125 "$ARROW" kernel build --jobs 0
  run -125 "$ARROW" kernel build --source /nonexistent micro
  [[ $output == "arrow: cannot read the source /nonexistent: "* ]]
}

@test "missing tools are named before anything is unpacked, with the command that installs them" {
  mkdir "$dir/bin"
  for tool in env tar xz make gcc ld strip bc; do
    ln -s "$(command -v $tool)" "$dir/bin"
  done
  PATH=$dir/bin run -125 "$ARROW" kernel build micro
  [ "$output" = "arrow: cannot build a kernel without flex bison; run 'sudo apt-get install flex bison'" ]
  nothing_left
}

@test "what is no source is refused, and nothing is left" {
  echo nothing >"$dir/linux-source-1.tar.xz"
  run -125 "$ARROW" kernel build --source "$dir/linux-source-1.tar.xz" micro
  [[ ${lines[-1]} == "arrow: cannot build the kernel of profile micro: unpacking the source: "* ]]
  nothing_left
}

@test "an interrupted build leaves nothing and ends by its signal" {
  start_build
  wait_for 240 has_source
  kill -INT "$pid"
  status=0
  wait "$pid" || status=$?
  pid=
  [ "$status" = 130 ]
  grep -q '^arrow: the build of kernel micro was interrupted$' "$dir/out"
  nothing_left
  no_process
}

@test "what a killed build left is removed by the next" {
  start_build
  wait_for 240 is_compiling
  kill -KILL "$pid"
  wait "$pid" || true
  old=$(echo "$kernels"/.build-*)
  [ -d "$old" ]
  wait_for 240 no_process
  start_build
  wait_for 240 is_gone "$old"
  kill -TERM "$pid"
  wait "$pid" || true
  pid=
  nothing_left
}

@test "a full disk is told, and nothing is left" {
  if ((EUID != 0)); then
    [[ ! ${ARROW_MUST_WORK:-} ]]
    skip "mounting a small disk needs root"
  fi
  mount -t tmpfs -o size=100m none "$ARROW_DATA_DIR"
  run -125 "$ARROW" kernel build micro
  [[ $output == *"MiB are free on the disk of $ARROW_DATA_DIR"* ]]
  nothing_left
  mount -o remount,size=1200m "$ARROW_DATA_DIR"
  start_build
  wait_for 240 has_source
  # Takes all that is free, and goes on doing so: the build needs more from now on.
  dd if=/dev/zero of="$ARROW_DATA_DIR/full" bs=1M status=none || true
  status=0
  wait "$pid" || status=$?
  pid=
  cat "$dir/out"
  [ "$status" = 125 ]
  grep -q "^arrow: cannot build the kernel of profile micro: the disk of .* is full" "$dir/out"
  rm "$ARROW_DATA_DIR/full"
  nothing_left
}

# bats test_tags=slow
@test "the same inputs give the same digest elsewhere, and the second of two builds waits (minutes)" {
  start_build
  wait_for 240 has_source
  run -0 "$ARROW" kernel build micro
  [[ $output == *"waiting for another build to end"*"kernel micro: up to date"* ]]
  wait "$pid"
  pid=
  grep -q "^kernel micro: built" "$dir/out"
  cmp "$kernels/micro/vmlinux" "$built/kernels/micro/vmlinux"
  cmp "$kernels/micro/config" "$built/kernels/micro/config"
  [ "$(readlink "$kernels/micro")" = "$(readlink "$built/kernels/micro")" ]
}
