#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An ordinary user can do all of this: once a user with subordinate ids, once one without.

load common

setup_file() {
  [ "$(id -u)" = 0 ] || skip 'needs root to make users'
  # Everything of the users, this command among it, where they can reach it.
  export HERE USER_A=arrow-a-$$ USER_B=arrow-b-$$
  HERE=$(mktemp -d /var/tmp/arrow-user.XXXXXX)
  chmod 755 "$HERE"
  # System users get no subordinate ids by themselves. No home, no mail: nothing is left by userdel.
  for user in "$USER_A" "$USER_B"; do
    useradd --system --no-create-home --home-dir "$HERE/$user" --shell /bin/bash "$user"
    install -d -m 700 -o "$user" -g "$(id -g "$user")" "$HERE/$user" "$HERE/$user/tmp"
  done
  export SUB=1900000000
  usermod --add-subuids $SUB-$((SUB + 65535)) --add-subgids $SUB-$((SUB + 65535)) "$USER_A"
  install -D -m 755 "$ARROW" "$HERE/build/arrow"
  mkdir -p "$HERE/tests"
  cp -r "$SOURCE/tests/integration" "$SOURCE/tests/guests" "$HERE/tests/"
}

teardown_file() {
  [ -d "${HERE-}" ] || return 0
  for user in "$USER_A" "$USER_B"; do
    rm -rf "/tmp/arrow-$(id -u "$user")"
    userdel "$user"
  done
  rm -rf "$HERE"
}

# as USER COMMAND...: as that user, with its own home and nothing of our environment.
as() {
  local user=$1
  shift
  setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --inh-caps=-all \
    env -i -C "$HERE/$user" HOME="$HERE/$user" TMPDIR="$HERE/$user/tmp" PATH=/usr/bin:/bin:/usr/sbin:/sbin \
    "$@" 3>&-
}

# user_arrow USER ARG...: arrow with its default directories. What it runs is removed with its end.
user_arrow() {
  local user=$1
  shift
  [ "$1" != run ] || set -- run --rm "${@:2}"
  as "$user" timeout -k 10 180 "$HERE/build/arrow" "$@"
}

# same_tests USER PATTERN: tests of run.bats that show what a user without root might lack.
same_tests() {
  as "$1" ARROW="$HERE/build/arrow" bats --formatter tap --filter "$2" "$HERE/tests/integration/run.bats"
}

# Those in which files and processes have ids. The others cannot tell whether there are subordinate ones.
WITH_IDS='directory, user|capabilities|devices are|root can be written|volumes can be|read-only volume|cannot leave|SIGKILL of the keeper'
OTHERS='says hello|script on stdin|stay apart|threads and signals|out of memory|wrong options|SIGKILL of arrow'

@test "user: run.bats with subordinate ids" {
  run same_tests "$USER_A" "$WITH_IDS|$OTHERS"
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c '^ok' <<<"$output")" -ge 14 ]
  run ! grep -q '# skip' <<<"$output"
}

@test "user: run.bats without subordinate ids" {
  run same_tests "$USER_B" "$WITH_IDS"
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c '^ok' <<<"$output")" -ge 8 ]
  run ! grep -q '# skip' <<<"$output"
}

@test "user: there is no way to /dev/kvm, and none is needed" {
  run as "$USER_A" test -r /dev/kvm
  [ "$status" -ne 0 ]
  run user_arrow "$USER_A" run "$BUSYBOX" sh -c 'id -u'
  [ "$status" -eq 0 ]
  [ "$output" = 0 ]
}

@test "user: in a volume the user is the guest's root, and its other users are subordinate ids" {
  v=$HERE/$USER_A/data
  as "$USER_A" mkdir -m 755 "$v"
  as "$USER_A" sh -c 'echo mine >data/mine; chmod 640 data/mine'
  run user_arrow "$USER_A" run -v ./data:/data "$BUSYBOX" sh -c '
    stat -c %u:%g:%a /data /data/mine
    echo root >/data/root; mkdir -m 777 /data/open
    echo other >/data/other; chown 1000:1001 /data/other; chmod 4711 /data/other'
  [ "$status" -eq 0 ]
  [ "$output" = $'0:0:755\n0:0:640' ]
  run user_arrow "$USER_A" run -u 33:34 -v ./data:/data "$BUSYBOX" sh -c '
    echo hers >/data/open/file; cat /data/mine; rm /data/mine; stat -c %u:%g /data/open/file /data/other'
  [[ $output == *'Permission denied'* ]]
  [[ $output == *$'33:34\n1000:1001'* ]] # stderr may come later
  id=$(id -u "$USER_A"):$(id -g "$USER_A")
  [ "$(stat -c %u:%g "$v/root")" = "$id" ]
  [ "$(stat -c %u:%g:%a "$v/other")" = $((SUB + 999)):$((SUB + 1000)):4711 ]
  [ "$(stat -c %u:%g "$v/open/file")" = $((SUB + 32)):$((SUB + 33)) ]
  # The user could not remove it; the guest's root can.
  run as "$USER_A" sh -c 'echo x >data/other'
  [ "$status" -ne 0 ]
  run user_arrow "$USER_A" run -v ./data:/data "$BUSYBOX" rm -r /data/open /data/other
  [ "$status" -eq 0 ]
  [ ! -e "$v/open" ]
}

@test "user: without subordinate ids only the own id can own files" {
  as "$USER_B" mkdir data
  run user_arrow "$USER_B" run -v ./data:/data "$BUSYBOX" sh -c '
    echo x >/data/file; stat -c %u:%g /data/file; chown 1000 /data/file && echo changed; chmod 600 /data/file'
  [ "$status" -eq 0 ]
  [[ $output == 0:0* ]]
  [[ $output != *changed* ]]
  [ "$(stat -c %U:%a "$HERE/$USER_B/data/file")" = "$USER_B:600" ]
}

@test "user: the guest's root has no rights of the host's root" {
  # Networks are root's: what could never be used is not made.
  run user_arrow "$USER_B" network create mine
  [ "$status" -eq 1 ]
  [ "$output" = 'arrow: creating networks requires root or CAP_NET_ADMIN, and /dev/net/tun; without them, Arrows have --network user' ]
  [ -z "$(user_arrow "$USER_B" network ls -q)" ]
  for user in "$USER_A" "$USER_B"; do
    run user_arrow "$user" run --privileged -v /etc:/host -v "$HERE:/here" "$BUSYBOX" sh -c '
      cat /host/shadow; echo x >/host/arrow-was-here; chown 0 /host/passwd && echo changed
      echo x >/here/x; mknod /here/disk b 8 0; ls /here/*; cat /host/hostname'
    [[ $output != *root:* ]]
    [[ $output != *changed* ]]
    [ ! -e /etc/arrow-was-here ]
    [ ! -e "$HERE/x" ]
    [ ! -e "$HERE/disk" ]
    # The program itself ran, and what everybody may read it may.
    printf '%s\n' "${lines[@]}" | grep -qxF "$(cat /etc/hostname)"
  done
}

@test "user: a volume that is one file, and one that cannot be opened" {
  for user in "$USER_A" "$USER_B"; do
    as "$user" sh -c 'mkdir -p one; echo before >one/file; echo other >one/other'
    run --separate-stderr user_arrow "$user" run -v ./one/file:/etc/file -v ./one/other:/etc/other:ro "$BUSYBOX" sh -c \
      'cat /etc/file; echo after >/etc/file; echo x >/etc/other; ls /etc | grep -c -e file -e other'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = before ]
    [ "${lines[-1]}" = 2 ]
    [ "$(cat "$HERE/$user/one/file")" = after ]
    [ "$(cat "$HERE/$user/one/other")" = other ]
  done
  run user_arrow "$USER_A" run -v "$HERE/$USER_B/data:/data" "$BUSYBOX" true
  [ "$status" -eq 125 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == 'arrow: '*"$HERE/$USER_B/data"*'Permission denied'* ]]
}

@test "user: a root directory with owners of its own" {
  for user in "$USER_A" "$USER_B"; do
    as "$user" sh -c "mkdir -p root/bin root/srv && cp '$BUSYBOX' root/bin/sh && echo x >root/srv/file && chmod 600 root/srv/file"
    run user_arrow "$user" run --rootfs root sh -c 'stat -c %u:%g:%a /srv/file; cat /srv/file; chown 1000 /srv/file; stat -c %u /srv/file'
    [ "$status" -eq 0 ]
    [ "$output" = $'0:0:600\nx\n1000' ]
  done
  # What another user of the guest owns keeps its owner in the image.
  chown $((SUB + 99)):$((SUB + 100)) "$HERE/$USER_A/root/srv/file"
  run user_arrow "$USER_A" run --rootfs root sh -c 'stat -c %u:%g:%a /srv/file'
  [ "$output" = 100:101:600 ]
  # A root that the user cannot read is refused with its name.
  chown 0:0 "$HERE/$USER_B/root/srv/file"
  run user_arrow "$USER_B" run --rootfs root true
  [ "$status" -eq 125 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == 'arrow: '*srv/file*'Permission denied'* ]]
}

@test "user: state is in directories of the user's own, and goes away" {
  run user_arrow "$USER_A" run --name mine "$BUSYBOX" true
  [ "$status" -eq 0 ]
  uid=$(id -u "$USER_A")
  [ "$(stat -c %U:%a "/tmp/arrow-$uid")" = "$USER_A:700" ]
  [ -z "$(ls -A "/tmp/arrow-$uid/arrows")" ]
  [ ! -e "$HERE/$USER_A/.local/share/arrow/names/mine" ]
  [ -d "$HERE/$USER_A/.local/share/arrow/images" ]
  # Somebody else's directory in that place is not used.
  uid=$(id -u "$USER_B")
  rm -rf "/tmp/arrow-$uid"
  install -d -o "$USER_A" -m 777 "/tmp/arrow-$uid"
  run user_arrow "$USER_B" run "$BUSYBOX" true
  [ "$status" -eq 125 ]
  [[ $output == "arrow: cannot use the state directory /tmp/arrow-$uid: "* ]]
}
