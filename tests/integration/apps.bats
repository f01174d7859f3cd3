#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Programs as people have them: Python, Redis and others in a Debian root directory, and programs of
# the host with their libraries.

load common

setup_file() {
  arrow_setup_file
  guest probe
  # The root is made once and stays; its programs are listed in tests/rootfs.
  ROOTFS=$("$SOURCE/tests/rootfs" "$SOURCE/build/test-rootfs")
  export ROOTFS
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  P=$G/probe
}

teardown() {
  assert_no_leftovers
}

# debian [OPTION...] COMMAND [ARG...]: runs a command of the Debian root.
debian() {
  arrow run --rootfs "$ROOTFS" "$@"
}

@test "apps: python3 computes, and reads and writes a volume" {
  mkdir data
  seq 1000 >data/numbers
  cat >data/sum.py <<'END'
import hashlib, math, os, sys, threading
numbers = [int(line) for line in open("/data/numbers")]
total = []
threads = [threading.Thread(target=lambda k=k: total.append(sum(numbers[k::4]))) for k in range(4)]
for t in threads: t.start()
for t in threads: t.join()
with open("/data/digest", "w") as f:
    f.write(hashlib.sha256(open("/data/numbers", "rb").read()).hexdigest())
os.rename("/data/digest", "/data/numbers.sha256")
print(sum(total), math.isqrt(2 * 100 ** 49))
sys.exit(len(sys.argv))
END
  run debian -v ./data:/data python3 /data/sum.py a b
  [ "$status" -eq 3 ]
  [ "$output" = '500500 14142135623730950488016887242096980785696718753769' ]
  [ "$(cat data/numbers.sha256)" = "$(sha256sum <data/numbers | cut -d ' ' -f 1)" ]
}

@test "apps: a script on stdin of python3" {
  run debian -i python3 - x y <<<'import sys; print(sys.argv[1:], len(sys.stdin.read()))'
  [ "$status" -eq 0 ]
  [ "$output" = "['x', 'y'] 0" ]
}

@test "apps: redis-server and redis-cli in one root keep data in a volume" {
  mkdir data
  cat >data/session <<'END'
redis-server --bind 127.0.0.1 ::1 --dir /data --save '' >/data/log &
for i in $(seq 600); do redis-cli ping >/dev/null 2>&1 && break; sleep 0.1; done
"$@"
redis-cli shutdown save
wait $!
END
  run debian -v ./data:/data sh /data/session sh -c \
    'redis-cli set key value; seq -f "set n%.0f x" 1000 | redis-cli >/dev/null; redis-cli -h ::1 dbsize'
  [ "$status" -eq 0 ]
  [ "$output" = $'OK\n1001' ]
  [ "$(head -c 5 data/dump.rdb)" = REDIS ]
  # It may open as many files as its defaults ask for.
  run ! grep 'Server can.t set maximum open files' data/log
  run debian -v ./data:/data sh /data/session redis-cli mget key n1 n1000
  [ "$status" -eq 0 ]
  [ "$output" = $'value\nx\nx' ]
}

@test "apps: only the loopback network is there, and works" {
  run debian -u www-data sh -c 'ls /sys/class/net; ping -c 1 -W 30 127.0.0.1 | grep -c "ttl="'
  [ "$output" = $'lo\n1' ]
  run debian python3 -c 'import socket; socket.create_connection(("192.0.2.1", 80), 60)'
  [ "$status" -eq 1 ]
  [[ $output == *'Network is unreachable'* ]]
}

@test "apps: stress-ng --vm is killed at the limit of memory, and that is told" {
  run debian -m 128m --sysctl vm.overcommit_memory=1 \
    stress-ng --vm 1 --vm-bytes 1g --vm-populate --oomable --timeout 300
  [[ $output == *'arrow: out of memory: the kernel killed a process of the Arrow; give it more with -m' ]]
  # Alone it is the program, and its status is that of a kill.
  run debian -m 128m --sysctl vm.overcommit_memory=1 python3 -c 'b = bytearray(1 << 30)'
  [ "$status" -eq 137 ]
  [ "$output" = 'arrow: out of memory: the program was killed at 128 MiB; give it more with -m' ]
}

@test "apps: an entry point, a directory, a user by name" {
  run debian --entrypoint /usr/bin/printf '%s|' a 'b c' ''
  [ "$output" = 'a|b c||' ]
  run debian -w /var/www -u www-data sh -c 'id; pwd; echo $HOME; touch x'
  [ "${lines[0]}" = 'uid=33(www-data) gid=33(www-data) groups=33(www-data)' ]
  [ "${lines[1]}" = /var/www ]
  [ "${lines[2]}" = /var/www ]
  [ "$status" -ne 0 ]
  [[ ${lines[3]} == *'Permission denied' ]]
  run debian -u redis:www-data sh -c 'id -un; id -gn; touch /var/lib/redis/x && stat -c %U:%G /var/lib/redis/x'
  [ "$status" -eq 0 ]
  [ "$output" = $'redis\nwww-data\nredis:www-data' ]
}

@test "apps: setuid programs and file capabilities give rights, unless no-new-privileges" {
  script='echo root:secret | chpasswd
    su -s /bin/sh www-data -c "echo secret | su root -c whoami"
    su -s /bin/sh www-data -c "ping -c 1 -W 30 127.0.0.1 >/dev/null && echo ping"'
  run debian sh -c "$script"
  [ "$status" -eq 0 ]
  [[ $output == *root*ping ]]
  run debian --security-opt no-new-privileges sh -c "$script"
  [ "$status" -ne 0 ]
  [[ $output != *root ]]
  [[ $output != *ping ]]
}

@test "apps: --read-only, with a place to write" {
  # Debian gives the user whichever number is free.
  uid=$(awk -F : '$1 == "redis" { print $3 }' "$ROOTFS/etc/passwd")
  run debian --read-only --tmpfs "/var/lib/redis:uid=$uid,mode=700" -u redis sh -c \
    'cd /var/lib/redis && echo x >x && cat x; echo x >/tmp/x'
  [ "$status" -ne 0 ]
  [[ $output == x*'Read-only file system' ]]
  run debian --read-only grep -c ' / / ro,' /proc/self/mountinfo
  [ "$output" = 1 ]
}

@test "apps: links, extended attributes, owners and modes of a root directory" {
  mkdir -p root/bin root/d root/sticky
  cp "$BUSYBOX" root/bin/sh
  cp "$P" root/bin/probe
  echo data >root/one
  ln root/one root/d/two
  ln -s ../one root/d/link
  mkfifo root/fifo
  chmod 4750 root/one
  chmod 1777 root/sticky
  touch -d @1000000000 root/one
  python3 -c 'import os; os.setxattr("root/one", "user.note", b"kept")'
  chown 12:34 root/one
  chmod 4750 root/one
  run arrow run --rootfs root sh -c \
    'stat -c "%F %a %u:%g %h %Y" /one /d/two; readlink /d/link; stat -c "%F %a" /fifo /sticky; [ /one -ef /d/two ] && echo same; probe xattr /one user.note'
  [ "$status" -eq 0 ]
  [ "$output" = $'regular file 4750 12:34 2 1000000000\nregular file 4750 12:34 2 1000000000\n../one\nfifo 644\ndirectory 1777\nsame\nkept' ]
  # What the Arrow changes, the directory does not see; what the directory changes, the next Arrow does.
  run arrow run --rootfs root sh -c 'echo changed >/one; rm /d/link; cat /d/two'
  [ "$(cat root/one)" = data ]
  echo new >root/three
  run arrow run --rootfs root sh -c 'cat /one /three; readlink /d/link'
  [ "$output" = $'data\nnew\n../one' ]
}

@test "apps: dynamic programs of the host bring their libraries" {
  run arrow run /usr/bin/bc --version
  [[ $output == 'bc 1.'* ]]
  run arrow run -i /usr/bin/bc -l <<<'4*a(1)'
  [ "$output" = 3.14159265358979323844 ]
  [ "$(arrow run /usr/bin/redis-cli --version)" = "$(redis-cli --version)" ]
  run arrow run -v "$SOURCE/docs:/docs:ro" /bin/ls /docs
  [ "$output" = "$(ls "$SOURCE/docs")" ]
  run arrow run /usr/bin/env -i A=1 /bin/env
  [ "$output" = A=1 ]
}

@test "apps: two CPUs" {
  [ "$(nproc)" -ge 2 ] || skip 'this machine has one CPU'
  [ "$(debian --cpus 2 nproc)" = 2 ]
  run arrow run --cpus 2 "$P" threads
  [ "$output" = 8000 ]
  run debian --cpus 2 python3 -c '
import os
pids = []
for cpu in 0, 1:
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {cpu})
        sum(range(300000))
        os._exit(40 + cpu)
    pids.append(pid)
print([os.waitpid(p, 0)[1] >> 8 for p in pids])'
  [ "$output" = '[40, 41]' ]
}

@test "apps: a panic of the general kernel becomes a status and a line" {
  run debian -m 96m --cpus 2 --sysctl vm.panic_on_oom=2 --sysctl vm.overcommit_memory=1 \
    python3 -c 'b = bytearray(1 << 30)'
  [ "$status" -eq 125 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == 'arrow: the guest kernel panicked: Kernel panic - not syncing: '* ]]
}
