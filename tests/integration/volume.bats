#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Volumes by name: made, shown, filled, shared, removed; and what happens to them when something dies.

load common

setup_file() {
  arrow_setup_file
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  B=$BUSYBOX
}

teardown() {
  # shellcheck disable=SC2046
  arrow rm -f $(arrow ps -aq) >/dev/null 2>&1 || true
  arrow volume prune -af >/dev/null
  assert_no_leftovers
  [ -z "$(ls "$ARROW_DATA_DIR/volumes")" ]
}

# A root directory with files of all kinds at /data.
make_root() {
  mkdir -p root/bin root/data/sub/empty
  cp "$B" root/bin/sh
  echo one >root/data/one
  ln root/data/one root/data/sub/same
  ln -s ../one root/data/sub/link
  mkfifo root/data/fifo
  head -c 3000000 /dev/zero | tr '\0' x >root/data/large
  touch -d 2001-02-03T04:05:06Z root/data/one
  chown 33:34 root/data root/data/sub
  chown -h 5:6 root/data/sub/link
  chmod 2750 root/data/sub
  chmod 1777 root/data
  chmod 4755 root/data/large
  python3 -c 'import os; os.setxattr("root/data/one", "user.word", b"value")'
}

# bats test_tags=smoke
@test "volume: made by name, kept over Arrows, shown as Docker does, removed" {
  [ "$(arrow volume create --label a=b --label c one)" = one ]
  [ "$(arrow volume create one)" = one ] # there already
  arrow run --rm -v one:/data -v two:/other "$B" sh -c 'echo kept >/data/file; echo other >/other/file'
  [ "$(arrow run --rm -v one:/data:ro -v two:/other "$B" sh -c 'cat /data/file /other/file; echo x 2>/dev/null >/data/x || echo no')" = \
    $'kept\nother\nno' ]
  [ "$(arrow volume ls -q)" = $'one\ntwo' ]
  # What a guest leaves there, a set-user-id program for one, is out of the reach of the host's other users.
  [ "$(stat -c %a "$ARROW_DATA_DIR/volumes")" = 700 ]
  chmod 701 "$ARROW_DATA_DIR/volumes" # as it was made before
  arrow run --rm -v one:/data "$B" sh -c "cp $B /data/sh && chmod 4755 /data/sh"
  run ! setpriv --reuid=65534 --regid=65534 --clear-groups "$ARROW_DATA_DIR/volumes/one/_data/sh" id
  [ "$(arrow volume ls)" = $'DRIVER    VOLUME NAME\nlocal     one\nlocal     two' ]
  [ "$(arrow volume ls --format '{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}} {{.Label "a"}}' -f name=^one$)" = 'one local local a=b,c= b' ]
  [ "$(arrow volume ls -q -f label=a=b)" = one ]
  [ "$(arrow volume inspect one two | jq -r '.[] | .Name, .Scope')" = $'one\nlocal\ntwo\nlocal' ]
  [ "$(arrow volume inspect one | jq -c '.[0] | keys')" = '["CreatedAt","Driver","Labels","Mountpoint","Name","Options","Scope"]' ]
  [ "$(cat "$(arrow volume inspect -f '{{.Mountpoint}}' one)/file")" = kept ]
  run arrow volume inspect nobody
  [ "$status" -eq 1 ]
  [[ $output == *'no such volume: nobody'* ]]

  # An Arrow that does not run uses it, too.
  arrow create --name user -v one:/data "$B" true >/dev/null
  [ "$(arrow volume ls -q -f dangling=true)" = two ]
  [ "$(arrow ps -aq --no-trunc -f volume=one)" = "$(arrow inspect -f '{{.Id}}' user)" ]
  [ "$(arrow inspect user | jq -c '.[0].Mounts[0] | [.Type, .Name, .Destination, .Driver, .RW]')" = '["volume","one","/data","local",true]' ]
  [ "$(arrow inspect -f '{{json .HostConfig.Binds}}' user)" = '["one:/data"]' ]
  run arrow volume rm one two
  [ "$status" -eq 1 ]
  [[ $output == *'the volume one is in use by Arrow'* && $output == *two* ]]
  arrow rm -v user # only what has no name goes with it
  [ "$(arrow volume rm one)" = one ]
  [ -z "$(arrow volume ls -q)" ]
  run arrow volume rm one
  [ "$status" -eq 1 ]
  arrow volume rm -f one
  arrow events --since 1h --until 0s -f type=volume -f volume=one --format '{{.Action}}' >events
  [ "$(cat events)" = $'create\ndestroy' ]
}

@test "volume: without a name it goes with rm -v and --rm, not with rm, and prune takes it" {
  arrow run --rm -v /data "$B" touch /data/x
  [ -z "$(arrow volume ls -q)" ]
  arrow create --name keeps -v /data "$B" true >/dev/null
  name=$(arrow volume ls -q)
  [ "${#name}" -eq 64 ]
  [ "$(arrow inspect -f '{{(index .Mounts 0).Name}} {{len .Config.Volumes}}' keeps)" = "$name 1" ]
  arrow rm keeps
  [ "$(arrow volume ls -q)" = "$name" ]
  arrow volume create named >/dev/null
  arrow volume prune -f | grep -qx "$name"
  [ "$(arrow volume ls -q)" = named ]
  arrow create --name goes -v /data --mount target=/more "$B" true >/dev/null
  [ "$(arrow volume ls -q | wc -l)" -eq 3 ]
  # Another one uses it now, as Docker has it.
  arrow create --name other --volumes-from goes:ro "$B" true >/dev/null
  [ "$(arrow inspect -f '{{range .Mounts}}{{.Destination}} {{.RW}},{{end}}' other)" = '/data false,/more false,' ]
  arrow rm -v goes
  [ "$(arrow volume ls -q | wc -l)" -eq 3 ]
  arrow rm -v other
  [ "$(arrow volume ls -q)" = named ]
  arrow volume prune -f | grep -q 'Total reclaimed space: 0B'
  arrow volume prune -a -f | grep -qx named
  # One that could not be made leaves none.
  run arrow run --rm -v /data --kernel nonsense "$B" true
  [ "$status" -ne 0 ]
  [ -z "$(arrow volume ls -q)" ]
}

@test "volume: an empty one gets what the root has there, once, exactly; nocopy" {
  make_root
  # shellcheck disable=SC2016
  look='cd /data; for f in . sub sub/empty sub/link fifo large one sub/same; do stat -c "%n %F %a %u %g %h" $f; done
    stat -c %Y one; sha256sum <large'
  cat >check <<END
$look
END
  cp check root/check
  arrow run --rm --rootfs root sh /check >expected
  arrow run --rm --rootfs root -v full:/data sh -c '. /check; readlink sub/link; rm one; echo two >two' >first
  [ "$(cat expected)" = "$(head -n -1 first)" ]
  [ "$(tail -n 1 first)" = ../one ]
  dir=$(arrow volume inspect -f '{{.Mountpoint}}' full)
  [ "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.word").decode())' "$dir/sub/same")" = value ]
  [ "$(stat -c '%a %u %g' "$dir")" = '1777 33 34' ]
  # It is not filled again.
  [ "$(arrow run --rm --rootfs root -v full:/data sh -c 'cat /data/two; ls /data/one' 2>/dev/null)" = two ]
  [ -z "$(arrow run --rm --rootfs root -v bare:/data:nocopy sh -c 'ls /data')" ]
  [ -z "$(arrow run --rm --rootfs root --mount src=bare2,dst=/data,volume-nocopy sh -c 'ls /data')" ]
  # What cannot be written is not filled.
  [ -z "$(arrow run --rm --rootfs root -v bare3:/data:ro sh -c 'ls /data')" ]
  # Who fills it at the same time has made some of it.
  mkdir -p root/data/lost+found host/lost+found
  echo root >root/data/lost+found/both
  echo host >host/lost+found/both
  arrow volume create -o o=bind -o device="$PWD/host" shown >/dev/null
  [ "$(arrow run --rm --rootfs root -v shown:/data sh -c 'cat /data/lost+found/both /data/one')" = $'host\none' ]
  # A directory of the host is never filled, and is made if it is missing.
  [ -z "$(arrow run --rm --rootfs root -v ./new/dir:/data sh -c 'ls /data')" ]
  [ -d new/dir ]
  run arrow run --rm --mount "type=bind,src=$PWD/none,dst=/data" "$B" true
  [ "$status" -ne 0 ]
  [[ $output == *"cannot open the volume $PWD/none"* ]]
}

@test "volume: --mount, a part of one, a directory of the host by another name" {
  arrow run --rm --mount type=volume,source=one,target=/data,volume-label=k=v "$B" sh -c \
    'mkdir -p /data/part/deep; echo in >/data/part/file; ln -s / /data/out; ln -s ../../../etc /data/part/etc'
  [ "$(arrow volume inspect -f '{{.Labels.k}}' one)" = v ]
  [ "$(arrow run --rm --mount source=one,target=/data,volume-subpath=part,readonly "$B" cat /data/file)" = in ]
  for part in out part/etc ../one .. missing; do
    run arrow run --rm --mount source=one,target=/data,volume-subpath=$part "$B" ls /data
    [ "$status" -ne 0 ]
    [[ $output == *"cannot open $part of the volume one"* ]]
    [ $part = missing ] || [[ $output == *'it leads out of the volume'* ]]
  done
  mkdir host
  echo host >host/file
  arrow volume create -o type=none -o o=bind -o device="$PWD/host" shown >/dev/null
  [ "$(arrow run --rm -v shown:/data "$B" cat /data/file)" = host ]
  arrow volume rm shown >/dev/null
  [ "$(cat host/file)" = host ]
  # Directories deeper than a process may open files.
  # shellcheck disable=SC2016
  arrow run --rm -v deep:/data "$B" sh -c 'cd /data; i=0; while [ $i -lt 1100 ]; do mkdir d; cd d; i=$((i + 1)); done'
  arrow system df -v | grep -q deep
  arrow volume rm deep >/dev/null
  [ "$(ls -A "$ARROW_DATA_DIR/volumes")" = $'.lock\none' ]
}

@test "volume: what is wrong is told" {
  check() {
    run arrow "${@:2}"
    [ "$status" -ne 0 ]
    [[ $output == *"$1"* ]]
  }
  check "invalid volume name '-x'" volume create -- -x
  check "invalid volume name 'a/b'" run -v a/b:/x "$B" true
  check "invalid volume name" volume create "$(printf 'a%.0s' {1..201})"
  check "unknown volume driver 'nfs'" volume create -d nfs x
  check "unknown volume driver 'nfs'" run --volume-driver nfs "$B" true
  check "unknown option 'size'" volume create -o size=1g x
  [ "$status" -eq 1 ]
  check "is not supported" volume create -o type=nfs -o o=addr=1.2.3.4 -o device=:/x x
  check "cannot look at the device /nowhere" volume create -o o=bind -o device=/nowhere x
  check "mounts do not spread" run -v x:/x:rshared "$B" true
  check "unknown option 'nocopy'" run -v /tmp:/x:nocopy "$B" true
  check "two mounts have the same target: /x" run -v x:/x -v y:/x "$B" true
  check "two mounts have the same target: /x" run -v x:/x --tmpfs /x "$B" true
  check "no such Arrow: nobody" run --volumes-from nobody "$B" true
  check "unknown mode 'z'" run --volumes-from nobody:z "$B" true
  check "neither a directory nor a file" run -v /dev/null:/x "$B" true
  arrow volume create -o type=none -o o=bind -o device=/tmp x >/dev/null
  check "with other options" volume create -o type=none -o o=bind -o device=/var x
  # Two of the longest names at once.
  a=$(printf 'a%.0s' {1..200})
  arrow run --rm -v "$a:/a" -v "${a/a/b}:/b" "$B" touch /a/x /b/x
}

@test "volume: many start and remove at once; none is lost that is used, none stays that is not" {
  arrow volume create shared >/dev/null
  for i in 1 2 3 4 5 6; do
    (for _ in 1 2 3; do arrow run --rm -v shared:/s -v /anonymous "$B" sh -c "echo $i >>/s/$i" || echo failed >failed; done) &
    (for _ in 1 2 3 4 5; do
      arrow volume rm shared >/dev/null 2>&1 || true
      arrow volume prune -f >/dev/null
    done) &
  done
  wait
  [ ! -e failed ]
  arrow volume rm -f shared >/dev/null
  [ -z "$(arrow volume ls -q)" ]
}
