#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# arrow kernel: building, listing, damage, removal. What needs a kernel takes the one of the system's
# store, which is built first if it is not up to date.

# shellcheck disable=SC2030,SC2031 # each test is a function of its own, and runs in its own shell

load common

setup_file() {
  export built=/var/lib/arrow
  ARROW_DATA_DIR=$built "$ARROW" kernel build
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

is_compiling() { [ -e "$dir/compiling" ]; }
is_gone() { [[ ! -e $1 ]]; }
nothing_left() { [[ ! $(find "$kernels" -mindepth 1 ! -name .lock -print -quit) ]]; }
# No compiler works on in this test's store. In brackets, so that it does not find itself.
no_process() { ! pgrep -f "[/]${dir#/}/store" >/dev/null; }

# make_source RECIPE: the source of a kernel that is one note, and is made in no time. It goes through all that
# a build does; RECIPE is what its compilation does first.
make_source() {
  mkdir "$dir/linux"
  cat >"$dir/linux/note.S" <<'END'
.globl _start
_start: hlt
.section .note.Xen, "a", @note
.long 4, 4, 18
.asciz "Xen"
.long 0
END
  cat >"$dir/linux/Makefile" <<END
allnoconfig:
	mkdir -p \$(O)/include/config
	grep -v '=n\$\$' \$(KCONFIG_ALLCONFIG) >\$(O)/.config
	echo 1-arrow >\$(O)/include/config/kernel.release
vmlinux:
	touch $dir/compiling
	$1
	gcc -nostdlib -static -o \$(O)/vmlinux note.S
	env | sort | grep -v '^\(PATH\|TMPDIR\|O\|PWD\|OLDPWD\|MAKE.*\|MFLAGS\|_\)=' >\$(O)/System.map
END
  tar -C "$dir" -cJf "$dir/source.tar.xz" linux
}

# Compiles until its make has ended, which may stay a zombie for long; or until the test says "go".
has_make='grep -q "^PPid:.*[^0-9]$$PPID\$$" /proc/$$$$/status'
until_killed="while $has_make; do sleep 0.1; done; : \$(O)"
until_go() { echo "while $has_make && [ ! -e $dir/go ]; do sleep 0.1; done; : \$(O)"; }

start_build() {
  # In the background a shell ignores SIGINT for what it starts, and arrow would, too.
  env --default-signal=INT "$ARROW" kernel build --source "$dir/source.tar.xz" micro >"$dir/out" 2>&1 3>&- &
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
  run -1 "$ARROW" kernel rm micro
  [[ $output == "arrow: there is no kernel micro in "* ]]
}

@test "wrong usage is an error, with status 125" {
  run -1 "$ARROW" kernel build nosuch
  [[ $output == 'arrow: there is no kernel profile "nosuch"; there are: micro, general' ]]
  run -1 "$ARROW" kernel nosuch
  [ "${#lines[@]}" = 1 ]
  run -1 "$ARROW" kernel rm
  [ "${lines[0]}" = "arrow kernel rm: requires the name of a kernel; 'arrow kernel ls' lists them" ]
  run -125 "$ARROW" kernel ls --format xml
  run -125 "$ARROW" kernel build --jobs 0
  run -1 "$ARROW" kernel build --source /nonexistent micro
  [[ $output == "arrow: cannot read the source /nonexistent: "* ]]
}

@test "missing tools are named before anything is unpacked, with the command that installs them" {
  mkdir "$dir/bin"
  for tool in env tar xz make gcc ld strip bc; do
    ln -s "$(command -v $tool)" "$dir/bin"
  done
  PATH=$dir/bin run -1 "$ARROW" kernel build micro
  [ "$output" = "arrow: cannot build a kernel without flex bison; run 'sudo apt-get install flex bison'" ]
  nothing_left
}

@test "what is no source is refused, and nothing is left" {
  echo nothing >"$dir/linux-source-1.tar.xz"
  run -1 "$ARROW" kernel build --source "$dir/linux-source-1.tar.xz" micro
  [[ ${lines[-1]} == "arrow: cannot build the kernel of profile micro: unpacking the source: "* ]]
  nothing_left
}

@test "an interrupted build leaves nothing and ends by its signal" {
  make_source "$until_killed"
  start_build
  wait_for 60 is_compiling
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
  make_source "$until_killed"
  start_build
  wait_for 60 is_compiling
  kill -KILL "$pid"
  wait "$pid" || true
  old=$(echo "$kernels"/.build-*)
  [ -d "$old" ]
  wait_for 60 no_process
  start_build
  wait_for 60 is_gone "$old"
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
  make_source "$(until_go); head -c 2000000 /dev/zero >\$(O)/large"
  mount -t tmpfs -o size=100m none "$ARROW_DATA_DIR"
  mkdir "$kernels"
  run -1 "$ARROW" kernel build --source "$dir/source.tar.xz" micro
  [[ $output == *"MiB are free on the disk of $ARROW_DATA_DIR"* ]]
  nothing_left
  mount -o remount,size=1200m "$ARROW_DATA_DIR"
  start_build
  wait_for 60 is_compiling
  mount -o remount,size=1m "$ARROW_DATA_DIR"
  touch "$dir/go"
  status=0
  wait "$pid" || status=$?
  pid=
  cat "$dir/out"
  [ "$status" = 1 ]
  grep -q "^arrow: cannot build the kernel of profile micro: the disk of .* is full" "$dir/out"
  nothing_left
}

@test "the second of two builds waits for the first, and has nothing to do" {
  make_source "$(until_go)"
  start_build
  wait_for 60 is_compiling
  "$ARROW" kernel build --source "$dir/source.tar.xz" micro >"$dir/second" 2>&1 3>&- &
  second=$!
  wait_for 60 grep -q 'waiting for another build to end' "$dir/second"
  touch "$dir/go"
  wait "$pid"
  pid=
  wait "$second"
  grep -q '^kernel micro: built' "$dir/out"
  grep -q '^kernel micro: up to date' "$dir/second"
}

@test "nothing of the user, the folder or the number of compilers reaches a build" {
  make_source true
  start_build
  wait "$pid"
  pid=
  local other=$dir/another/store/with/a/longer/name
  mkdir -p "$other"
  KBUILD_BUILD_USER=me KBUILD_BUILD_TIMESTAMP=now SOURCE_DATE_EPOCH=1 CFLAGS=-O0 KCFLAGS=-g LANG=de_DE TZ=Asia/Tokyo \
    ARROW_DATA_DIR=$other run -0 "$ARROW" kernel build --jobs 3 --source "$dir/source.tar.xz" micro
  for file in vmlinux config System.map; do
    cmp "$kernels/micro/$file" "$other/kernels/micro/$file"
  done
  [ "$(readlink "$kernels/micro")" = "$(readlink "$other/kernels/micro")" ]
  cat "$kernels/micro/System.map"
  [ "$(cat "$kernels/micro/System.map")" = 'ARCH=x86_64
KBUILD_BUILD_HOST=arrow
KBUILD_BUILD_TIMESTAMP=1970-01-01
KBUILD_BUILD_USER=arrow
KBUILD_BUILD_VERSION=1
KCONFIG_ALLCONFIG=../wanted
LC_ALL=C
XZ_OPT=-T0' ]
}

# tests/kernels.sha256 has what was built of the same inputs (which an id is the hash of) by others, elsewhere. Of
# inputs that it does not know a second kernel is built here, which takes minutes, and the line for the file printed.
@test "the same inputs give the same kernel elsewhere, byte for byte" {
  local known=0
  for profile in micro general; do
    id=$(readlink "$built/kernels/$profile")
    have=$(sha256sum <"$built/kernels/$profile/vmlinux")
    want=$(awk -v id="$id" '$1 == id { print $2 }' "$SOURCE/tests/kernels.sha256")
    echo "# not in tests/kernels.sha256: $id ${have%% *} $profile"
    [ -n "$want" ] || continue
    [ "${have%% *}" = "$want" ]
    known=$((known + 1))
  done
  [ $known -ne 2 ] || return 0
  "$ARROW" kernel build micro
  cmp "$kernels/micro/vmlinux" "$built/kernels/micro/vmlinux"
  cmp "$kernels/micro/config" "$built/kernels/micro/config"
  [ "$(readlink "$kernels/micro")" = "$(readlink "$built/kernels/micro")" ]
  echo "# add the lines above to tests/kernels.sha256, and this test takes no time" >&3
}
