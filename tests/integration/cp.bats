#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `arrow cp`: Docker's rules, all kinds of files, and what can go wrong. One Arrow for most tests.

load common

setup_file() {
  arrow_setup_file
  export ROOT=$BATS_FILE_TMPDIR/root
  mkdir -p "$ROOT"/{bin,etc,srv/dir/sub,tmp}
  cp "$BUSYBOX" "$ROOT/bin/busybox"
  for applet in cat chmod chown dd df find ln ls md5sum mkdir mkfifo mknod mv readlink rm seq sh sleep stat tar test touch true truncate; do
    ln -s busybox "$ROOT/bin/$applet"
  done
  echo one >"$ROOT/srv/dir/one"
  echo two >"$ROOT/srv/dir/sub/two"
  ln -s dir "$ROOT/srv/link"
  ln -s dir/one "$ROOT/srv/filelink"
  "$ARROW" run -d --name box --kernel micro --rootfs "$ROOT" sleep 3600 >/dev/null
}

teardown_file() {
  "$ARROW" rm -f box >/dev/null
  assert_no_leftovers
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  in_box rm -rf /tmp
  in_box mkdir -m 1777 /tmp
}

teardown() {
  "$ARROW" rm -f own >/dev/null 2>&1 || true
}

in_box() {
  arrow exec box "$@"
}

# What a tree looks like, here or there: kinds, modes, sizes, times, links.
look_here() {
  (cd "$1" && find . -printf '%P %y %m %T@ %l\n' | sed 's/\.[0-9]* / /' | sort)
}

# bats test_tags=smoke, start
@test "cp: from an Arrow, a file and a directory, by all of Docker's rules" {
  arrow cp box:/srv/dir/one .
  [ "$(cat one)" = one ]
  arrow cp box:srv/dir/one renamed
  [ "$(cat renamed)" = one ]
  echo old >there
  arrow cp box:/srv/dir/one there
  [ "$(cat there)" = one ]
  # A directory that is there gets the source in it; one that is not is made of it.
  mkdir into
  arrow cp box:/srv/dir into
  [ "$(cat into/dir/sub/two)" = two ]
  arrow cp box:/srv/dir new
  [ "$(cat new/sub/two)" = two ]
  arrow cp box:/srv/dir/. into
  [ "$(cat into/sub/two)" = two ]
  arrow cp box:/srv/dir/. made
  [ "$(cat made/sub/two)" = two ]
  arrow cp box:/srv/dir/ slash/
  [ "$(cat slash/one)" = one ]
}

# bats test_tags=start
@test "cp: to an Arrow, a file and a directory, by all of Docker's rules" {
  mkdir -p dir/sub
  echo one >dir/one
  echo two >dir/sub/two
  arrow cp dir/one box:/tmp
  arrow cp dir/one box:/tmp/renamed
  [ "$(in_box cat /tmp/one /tmp/renamed)" = $'one\none' ]
  arrow cp dir/sub/two box:tmp/one
  [ "$(in_box cat /tmp/one)" = two ]
  in_box mkdir /tmp/into
  arrow cp dir box:/tmp/into
  arrow cp dir box:/tmp/new
  arrow cp dir/. box:/tmp/into
  arrow cp dir/. box:/tmp/made
  run in_box cat /tmp/into/dir/sub/two /tmp/new/sub/two /tmp/into/sub/two /tmp/made/sub/two
  [ "$output" = $'two\ntwo\ntwo\ntwo' ]
  (cd dir && arrow cp . box:/tmp/dot)
  [ "$(in_box cat /tmp/dot/one)" = one ]
}

@test "cp: what Docker refuses is refused, with status 1 and one line" {
  mkdir dir
  echo x >file
  for try in 'box:/nowhere .' 'nowhere box:/tmp' 'box:/srv/dir/one nodir/' 'file box:/tmp/nodir/' \
    'box:/srv/dir file' 'dir box:/srv/dir/one' 'file dir' 'box:/srv box:/tmp' 'nobody-here:/x .' \
    'file box:/nowhere/deep' 'box:/srv/dir/one nowhere/deep' 'box: .' '- box:/srv/dir/one'; do
    # shellcheck disable=SC2086
    run arrow cp $try </dev/null
    echo "$try: $status $output"
    [ "$status" -eq 1 ]
    [ ${#lines[@]} -eq 1 ]
    [[ "$output" = 'arrow: '* ]]
  done
  # A directory and another file do not replace each other below either.
  mkdir -p tree/dir/one
  run arrow cp tree/dir box:/srv
  [ "$status" -eq 1 ]
  [ "$(in_box cat /srv/dir/one)" = one ]
  mkdir -p dir/sub/two
  run arrow cp box:/srv/dir .
  [ "$status" -eq 1 ]
  [ -d dir/sub/two ]
}

@test "cp: links are copied as links; -L follows the source itself" {
  arrow cp box:/srv/link .
  [ "$(readlink link)" = dir ]
  arrow cp -L box:/srv/link followed
  [ "$(cat followed/one)" = one ]
  arrow cp -L box:/srv/filelink file
  [ "$(cat file)" = one ]
  [ ! -L file ]
  arrow cp box:/srv/link/ slash
  [ "$(cat slash/one)" = one ]
  ln -s file flink
  mkdir d && echo y >d/y && ln -s d dlink
  arrow cp flink box:/tmp
  [ "$(in_box readlink /tmp/flink)" = file ]
  arrow cp -L flink box:/tmp/real
  [ "$(in_box cat /tmp/real)" = one ]
  arrow cp -L dlink box:/tmp/realdir
  [ "$(in_box cat /tmp/realdir/y)" = y ]
  # A destination that is a link to a directory is that directory.
  in_box ln -s /srv/dir /tmp/way
  arrow cp d/y box:/tmp/way
  [ "$(in_box cat /srv/dir/y)" = y ]
  in_box rm /srv/dir/y
}

@test "cp: a tree of all kinds of files goes there and comes back as it was" {
  mkdir -p tree/deep/er
  echo text >tree/file
  chmod 640 tree/file
  ln tree/file tree/deep/hard
  ln -s ../file tree/deep/soft
  ln -s /nowhere tree/broken
  mkfifo tree/fifo
  : >tree/empty
  name=$(printf '%0255d' 7)
  echo long >"tree/deep/er/$name"
  echo odd >"tree/deep/ spa ce
newline ünï"
  head -c 3000000 /dev/urandom >tree/large
  [ "$(id -u)" -ne 0 ] || mknod tree/null c 1 3
  touch -d '2001-02-03 04:05:06' tree/file tree/deep tree/broken -h
  arrow cp tree box:/tmp
  if [ -e tree/null ]; then
    # A device of a guest comes only to one who asks for whatever is there.
    run arrow cp box:/tmp/tree/null .
    [ "$status" -eq 1 ]
    [ "$output" = "arrow: 'null' is a device, which is copied with -a (--archive) only" ]
    [ ! -e null ]
  fi
  arrow cp $([ ! -e tree/null ] || echo -a) box:/tmp/tree back
  diff <(look_here tree) <(look_here back)
  cmp tree/large back/large
  [ "$(stat -c %i back/file)" = "$(stat -c %i back/deep/hard)" ]
  [ ! -e tree/null ] || [ "$(stat -c '%t:%T' back/null)" = 1:3 ]
}

@test "cp: holes stay holes, both ways" {
  truncate -s 3G sparse
  printf middle | dd of=sparse conv=notrunc bs=1 seek=1500000000 2>/dev/null
  arrow cp sparse box:/tmp # which has no 3 GB
  [ "$(in_box stat -c %s /tmp/sparse)" = $((3 << 30)) ]
  arrow cp box:/tmp/sparse back
  [ "$(stat -c %s back)" = $((3 << 30)) ]
  [ "$(stat -c %b back)" -lt 1000 ]
  [ "$(dd if=back bs=1 skip=1500000000 count=6 2>/dev/null)" = middle ]
  # In a tar, too.
  arrow cp box:/tmp/sparse - >sparse.tar
  [ "$(stat -c %s sparse.tar)" -lt 1000000 ]
}

@test "cp: owners are the receiver's, or kept with -a" {
  [ "$(id -u)" -eq 0 ] || skip "needs root to have files of others"
  echo x >file
  chown 123:456 file
  chmod 4755 file
  arrow cp file box:/tmp/plain
  arrow cp -a file box:/tmp/kept
  [ "$(in_box stat -c %u:%g:%a /tmp/plain)" = 0:0:4755 ]
  [ "$(in_box stat -c %u:%g:%a /tmp/kept)" = 123:456:4755 ]
  # What comes here is ours, and no program that others gain by.
  arrow cp box:/tmp/kept plain
  arrow cp -a box:/tmp/kept kept
  [ "$(stat -c %u:%g:%a plain)" = 0:0:755 ]
  [ "$(stat -c %u:%g:%a kept)" = 123:456:4755 ]
}

@test "cp: tar on stdin and stdout" {
  mkdir -p in/sub
  echo one >in/one
  echo two >in/sub/two
  for z in '' -z -J; do
    tar -c $z -f - in | arrow cp - box:/tmp
    [ "$(in_box cat /tmp/in/one /tmp/in/sub/two)" = $'one\ntwo' ]
    in_box rm -r /tmp/in
  done
  arrow cp box:/srv/dir - | tar -tf - | sort >list
  [ "$(cat list)" = $'dir/\ndir/one\ndir/sub/\ndir/sub/two' ]
  arrow cp box:/srv/dir/. - | tar -xf - -C in
  [ "$(cat in/sub/two)" = two ]
  # From one to another, through a pipe.
  "$ARROW" run -d --name own --kernel micro --rootfs "$ROOT" sleep 3600 >/dev/null
  arrow cp box:/srv/dir - | arrow cp - own:/tmp
  [ "$(arrow exec own cat /tmp/dir/one)" = one ]
  run arrow cp - box:/tmp <<<"this is no archive"
  [ "$status" -eq 1 ]
  run bash -c 'tar -cf - in | head -c 3000 | "$ARROW" cp - box:/tmp'
  [ "$status" -eq 1 ]
}

@test "cp: archives that lead out of their place are refused" {
  cat >make.py <<'END'
import io, sys, tarfile
t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
def add(name, kind=tarfile.REGTYPE, link=""):
    i = tarfile.TarInfo(name)
    i.type, i.linkname, i.size = kind, link, 4 if kind == tarfile.REGTYPE else 0
    t.addfile(i, io.BytesIO(b"evil"))
if sys.argv[1] == "dots":
    add("../../etc/evil")
elif sys.argv[1] == "link":
    add("way", tarfile.SYMTYPE, "/etc")
    add("way/evil")
else:
    add("hard", tarfile.LNKTYPE, "../../bin/sh")
t.close()
END
  in_box mkdir -p /tmp/a/b
  for kind in dots link hard; do
    run bash -c 'python3 make.py "$1" | "$ARROW" cp - box:/tmp/a/b' bash $kind
    [ "$status" -eq 1 ]
    run in_box test -e /etc/evil
    [ "$status" -eq 1 ]
  done
}

@test "cp: the parent of a directory comes as its content" {
  mkdir into
  arrow cp box:/srv/dir/sub/.. into
  [ "$(cat into/one into/sub/two)" = $'one\ntwo' ]
}

# bats test_tags=start
@test "cp: into a read-only root, and a volume of it" {
  mkdir volume
  "$ARROW" run -d --name own --kernel micro --read-only -v ./volume:/data --tmpfs /scratch \
    --rootfs "$ROOT" sleep 3600 >/dev/null
  echo x >file
  run arrow cp file own:/srv
  [ "$status" -eq 1 ]
  [[ "$output" = *'Read-only file system' ]]
  arrow cp file own:/data
  [ "$(cat volume/file)" = x ]
  arrow cp file own:/scratch/new
  [ "$(arrow exec own cat /scratch/new)" = x ]
  arrow cp own:/data/file back
  [ "$(cat back)" = x ]
}

# bats test_tags=start
@test "cp: more than the Arrow's memory holds is an error, and the Arrow lives" {
  "$ARROW" run -d --name own --kernel micro -m 96m --rootfs "$ROOT" sleep 3600 >/dev/null
  head -c 200000000 /dev/zero | tr '\0' x >large
  run arrow cp large own:/tmp
  [ "$status" -eq 1 ]
  [[ "$output" = *'No space left on device' ]]
  [ "$(arrow exec own sh -c 'rm /tmp/large; echo alive')" = alive ]
}

@test "cp: a full disk here is an error, and a reader that leaves ends the copy" {
  in_box sh -c 'seq 3000000 >/tmp/numbers'
  run bash -c '"$ARROW" cp box:/tmp/numbers - >/dev/full'
  [ "$status" -eq 1 ]
  [[ "$output" = 'arrow: '* ]]
  "$ARROW" cp box:/tmp/numbers - | head -c 100 >/dev/null
  [ "$(in_box true && echo fine)" = fine ]
}

@test "cp: the root itself comes without /proc, /sys and /dev" {
  arrow cp box:/ root
  [ "$(cat root/srv/dir/one)" = one ]
  [ -z "$(ls -A root/proc)$(ls -A root/sys)$(ls -A root/dev)" ]
}

@test "cp: while a tree changes, and ten at once" {
  arrow exec -d box sh -c 'mkdir /tmp/busy; i=0; while [ $i -lt 3000 ]; do echo $i >/tmp/busy/$((i % 50)); rm -f /tmp/busy/$(((i + 25) % 50)); i=$((i + 1)); done'
  wait_for 30 in_box test -d /tmp/busy
  for i in $(seq 10); do
    arrow cp box:/tmp/busy "copy$i" 3>&- &
  done
  for i in $(seq 10); do
    wait -n
  done
  [ "$(ls -d copy* | wc -l)" -eq 10 ]
}
