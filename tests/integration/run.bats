#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `arrow run` of static programs: what a program sees, how it ends, what a user is told.

load common

setup_file() {
  arrow_setup_file
  guest probe
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  P=$G/probe
  B=$BUSYBOX
}

teardown() {
  assert_no_leftovers
}

# bats test_tags=smoke, start
@test "run: a static program says hello" {
  run --separate-stderr arrow run "$B" echo hello world
  [ "$status" -eq 0 ]
  [ "$output" = 'hello world' ]
  [ "$stderr" = '' ]
}

# bats test_tags=smoke
@test "run: the exit status is the program's" {
  for n in 0 1 3 42 255; do
    run arrow run "$P" exit $n
    [ "$status" -eq $n ]
  done
}

@test "run: 128+n for a signal" {
  for n in 9 11 15; do
    run arrow run "$P" kill $n
    [ "$status" -eq $((128 + n)) ]
  done
}

@test "run: arguments arrive as they are" {
  run arrow run "$P" args '' 'a b' $'new\nline' '-i' '--rm' 'ünï' "q'\"q" '$HOME'
  [ "$status" -eq 0 ]
  [ "$output" = $'<>\n<a b>\n<new\nline>\n<-i>\n<--rm>\n<ünï>\n<q\'"q>\n<$HOME>' ]
}

@test "run: 10,000 arguments" {
  seq 10000 >want
  arrow run "$P" args $(seq 10000) >have
  [ "$(tr -d '<>' <have | cmp - want && echo same)" = same ]
}

# bats test_tags=start, guest
@test "run: an environment of 1 MiB, and one that is too large for Linux" {
  for i in $(seq 16); do printf 'V%s=%065000d\n' "$i" 0; done >env
  arrow run --env-file env "$B" env >have
  [ "$(grep -c '^V' have)" -eq 16 ]
  sort env | cmp - <(grep '^V' have | sort)
  for i in $(seq 40); do printf 'W%s=%065000d\n' "$i" 0; done >env
  run arrow run --env-file env "$B" env
  [ "$status" -eq 126 ]
  [[ $output == 'arrow: arguments and environment are longer than Linux allows'* ]]
}

@test "run: stdout and stderr stay apart" {
  arrow run "$P" both >out 2>err
  seq -f 'out %.0f' 0 999 | cmp - out
  seq -f 'err %.0f' 0 999 | cmp - err
  # Only what -a names.
  arrow run -a stdout "$P" both >out 2>err
  seq -f 'out %.0f' 0 999 | cmp - out
  [ ! -s err ]
  arrow run -a STDERR "$P" both >out 2>err
  seq -f 'err %.0f' 0 999 | cmp - err
  [ ! -s out ]
  [ "$(echo in | arrow run -i -a stdin -a stdout "$B" sh -c 'cat; echo no >&2' 2>&1)" = in ]
}

@test "run: a script on stdin, and its end" {
  run arrow run -i "$B" sh <<<'echo one
for i in 2 3; do echo $i; done
exit 7
echo not reached'
  [ "$status" -eq 7 ]
  [ "$output" = $'one\n2\n3' ]
  run arrow run -i "$B" sort <<<$'b\na'
  [ "$output" = $'a\nb' ]
}

@test "run: without -i stdin is empty" {
  run arrow run "$B" wc -c <<<'not for you'
  [ "$status" -eq 0 ]
  [ "$output" = 0 ]
}

@test "run: a program that closes stdin does not stop the run" {
  head -c 10000000 /dev/zero | arrow run -i "$B" head -c 5 | cmp - <(head -c 5 /dev/zero)
}

@test "run: a reader that goes away ends the writer as a pipe does" {
  set +o pipefail
  [ "$(arrow run "$B" yes | head -n 2)" = $'y\ny' ]
}

# bats test_tags=start
@test "run: 100 MB each way at once arrive whole" {
  head -c ${ARROW_TEST_MB:-100}000000 /dev/urandom >in
  arrow run -i "$B" cat <in >out
  cmp in out
}

# bats test_tags=smoke, start
@test "run: threads and signals" {
  run arrow run "$P" threads
  [ "$status" -eq 0 ]
  [ "$output" = 8000 ]
  for s in INT TERM QUIT HUP USR1 USR2; do
    rm -f out
    "$ARROW" run "$P" signals >out &
    pid=$!
    wait_for 60 grep -q ready out
    kill -s $s $pid
    status=0
    wait $pid || status=$?
    [ "$status" -eq "$(kill -l $s)" ]
    grep -q "got $(kill -l $s)" out
  done
}

@test "run: orphans are reaped" {
  run arrow run "$P" orphans
  echo "# $status: $output"
  [ "$output" = 'zombies 0' ]
}

# bats test_tags=smoke, start, guest
@test "run: environment, directory, user, host name" {
  printf '# comment\nFILE=1\n\nMINE\n' >file
  export MINE=yours
  run arrow run -e A=1 -e A=2 -e MINE --env-file file -w /var/tmp -u 1000:1001 --hostname box \
    "$B" sh -c 'echo $A $MINE $FILE; pwd; id -u; id -g; hostname; echo $HOSTNAME'
  [ "$status" -eq 0 ]
  [ "$output" = $'2 yours 1\n/var/tmp\n1000\n1001\nbox\nbox' ]
  [ "$(arrow run --network user --domainname example.org --hostname box "$B" sh -c 'hostname -f; hostname -d' | xargs)" = \
    'box.example.org example.org' ]
  run arrow run "$B" sh -c 'echo $HOME $PATH; pwd; hostname | wc -c'
  [ "$output" = $'/root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n/\n13' ]
}

# bats test_tags=start, guest
@test "run: /etc/hosts and /etc/resolv.conf" {
  run arrow run --add-host db:10.1.2.3 --add-host six=fd00::1 --dns 10.9.8.7 --dns-search example.org \
    "$B" cat /etc/hosts /etc/resolv.conf
  [[ $output == *'127.0.0.1'*localhost* ]]
  grep -qE '^10.1.2.3[[:space:]]+db$' <<<"$output"
  grep -qE '^fd00::1[[:space:]]+six$' <<<"$output"
  [[ $output == *$'nameserver 10.9.8.7\nsearch example.org' ]]
}

@test "run: limits of processes" {
  run arrow run --ulimit nofile=100:200 --ulimit core=0 "$P" limits
  [ "$output" = $'nofile 100 200\ncore 0' ]
}

# bats test_tags=start, guest
@test "run: a part of a CPU" {
  # Half a CPU: who works without a pause is stopped for a while, sooner or later.
  run arrow run --cpus 0.5 "$B" sh -c \
    'cat /sys/fs/cgroup/arrow/cpu.max; n=0; i=0
    while [ $n = 0 ] && [ $i -lt 300 ]; do
      i=$((i+1)); k=0; while [ $k -lt 500 ]; do k=$((k+1)); done
      while read -r a b; do [ $a != nr_throttled ] || n=$b; done </sys/fs/cgroup/arrow/cpu.stat
    done; echo $n'
  [ "$status" -eq 0 ]
  [ "${lines[0]}" = '50000 100000' ]
  [ "${lines[1]}" -gt 0 ]
}

# bats test_tags=start
@test "run: two CPUs" {
  run arrow run --cpus 2 "$B" nproc
  [ "$output" = 2 ]
}

# bats test_tags=start, guest
@test "run: capabilities as Docker has them" {
  [ "$(arrow run "$B" sh -c 'grep CapEff /proc/self/status | cut -f 2')" = 00000000a80425fb ]
  [ "$(arrow run --cap-drop ALL "$B" sh -c 'grep CapEff /proc/self/status | cut -f 2')" = 0000000000000000 ]
  [ "$(arrow run --cap-drop ALL --cap-add KILL "$B" sh -c 'grep CapEff /proc/self/status | cut -f 2')" = 0000000000000020 ]
  [ "$(arrow run -u 1000 "$B" sh -c 'grep CapEff /proc/self/status | cut -f 2')" = 0000000000000000 ]
  [ "$(arrow run --privileged "$B" sh -c 'grep CapEff /proc/self/status | cut -f 2')" = 000001ffffffffff ]
  [ "$(arrow run --security-opt no-new-privileges "$B" sh -c 'grep NoNewPrivs /proc/self/status | cut -f 2')" = 1 ]
}

@test "run: masked and read-only paths" {
  run arrow run "$B" sh -c 'cat /proc/kcore 2>/dev/null | wc -c; echo 1 >/proc/sys/kernel/printk && echo written'
  [[ $output == 0* ]]
  [[ $output != *written* ]]
  run arrow run --privileged "$B" sh -c 'echo 4 >/proc/sys/kernel/printk && echo written'
  [ "$output" = written ]
}

# bats test_tags=start, guest
@test "run: devices are those of a container" {
  run arrow run "$B" sh -c 'ls /dev; stat -c %a /dev/null /dev/shm /tmp'
  [[ $output != *vda* ]]
  [[ $output != *vport* ]]
  for d in null zero full random urandom tty pts ptmx shm fd stdin stdout stderr; do
    grep -qx "$d" <<<"$output"
  done
  [[ $output == *$'666\n1777\n1777' ]]
}

# bats test_tags=start, guest
@test "run: the root can be written, or not with --read-only; tmpfs and /dev/shm" {
  run arrow run "$B" sh -c 'echo x >/etc/file && cat /etc/file'
  [ "$output" = x ]
  run arrow run --read-only "$B" sh -c 'echo x >/etc/file'
  [ "$status" -ne 0 ]
  [[ $output == *'Read-only file system'* ]]
  run arrow run --read-only --tmpfs /scratch:size=1m,mode=700,exec "$B" \
    sh -c 'echo x >/scratch/f && cat /scratch/f; stat -c %a /scratch; df -k /scratch | tail -n 1'
  [[ $output == $'x\n700\n'*1024* ]]
  run arrow run --shm-size 2m "$B" sh -c 'df -k /dev/shm | tail -n 1'
  [[ $output == *2048* ]]
}

# bats test_tags=start, guest
@test "run: sysctls" {
  run arrow run --sysctl vm.overcommit_memory=1 --sysctl net.core.somaxconn=77 "$B" cat \
    /proc/sys/net/core/somaxconn
  [ "$output" = 77 ]
  run arrow run --sysctl no.such.thing=1 "$B" true
  [ "$status" -eq 125 ]
  [[ $output == *no.such.thing* ]]
}

# bats test_tags=smoke, start
@test "run: volumes can be read and written, and keep owners and modes" {
  mkdir -m 755 vol
  echo host >vol/from-host
  chmod 640 vol/from-host
  run --separate-stderr arrow run -v ./vol:/data "$B" sh -c \
    'cat /data/from-host; echo guest >/data/from-guest; chmod 4751 /data/from-guest; mkdir /data/d; ln -s ../x /data/l; stat -c %a /data/from-host'
  [ "$status" -eq 0 ]
  [ "$output" = $'host\n640' ]
  [ "$(cat vol/from-guest)" = guest ]
  [ "$(stat -c %a vol/from-guest)" = 4751 ]
  [ "$(readlink vol/l)" = ../x ]
  if [ "$(id -u)" = 0 ]; then
    chown 12:34 vol/from-host
    run --separate-stderr arrow run -v ./vol:/data "$B" sh -c \
      'stat -c %u:%g /data/from-host; chown 56:78 /data/from-guest'
    [ "$output" = 12:34 ]
    [ "$(stat -c %u:%g vol/from-guest)" = 56:78 ]
  fi
}

# bats test_tags=start
@test "run: a read-only volume, a volume that is one file, one inside another" {
  mkdir -p vol inner
  echo one >vol/one
  echo two >inner/two
  run --separate-stderr arrow run -v "$PWD/vol:/data:ro" "$B" sh -c 'cat /data/one; echo x >/data/one'
  [ "$status" -ne 0 ]
  [[ $output == one* ]]
  [ "$(cat vol/one)" = one ]
  run --separate-stderr arrow run -v ./vol/one:/etc/one "$B" sh -c 'cat /etc/one; echo changed >/etc/one'
  [ "$status" -eq 0 ]
  [ "$(cat vol/one)" = changed ]
  run --separate-stderr arrow run -v ./inner:/data/in -v ./vol:/data "$B" sh -c 'cat /data/one /data/in/two'
  [ "$output" = $'changed\ntwo' ]
  run --separate-stderr -0 arrow run --mount type=bind,src=./vol,dst=/data,readonly --mount type=tmpfs,target=/t,tmpfs-size=2m,tmpfs-mode=0711 \
    "$B" sh -c 'cat /data/one; (echo x >/data/one) 2>/dev/null || echo refused; stat -c %a /t; df -k /t | tail -n 1'
  [[ ${lines[*]} =~ ^changed\ refused\ 711\ tmpfs\ +2048\  ]]
  [ "$(cat vol/one)" = changed ]
}

@test "run: twenty volumes, each as it was asked for; one more is refused" {
  options=()
  for i in {0..19}; do
    mkdir "vol$i"
    echo "host $i" >"vol$i/file"
    case $((i % 4)) in
    0) options+=(-v "./vol$i:/v/$i") ;;
    1) options+=(-v "./vol$i:/v/$i:ro") ;;
    2) options+=(-v "./vol$i/file:/v/$i/file") ;;
    3) options+=(-v "./vol$i/file:/v/$i/file:ro") ;;
    esac
  done
  # What is read-only is so by the host: in the guest it can be mounted as the guest likes.
  run --separate-stderr arrow run --privileged "${options[@]}" "$B" sh -c '
    cat /v/*/file | sort -k 2n
    for i in $(seq 0 19); do
      at=/v/$i
      [ $((i % 4)) -lt 2 ] || at=/v/$i/file
      mount -o remount,rw,bind $at 2>/dev/null
      { echo "guest $i" >/v/$i/file; } 2>/dev/null && echo "wrote $i"
    done; true'
  [ "$status" -eq 0 ]
  [ "$output" = "$(seq -f 'host %g' 0 19; for i in {0..19}; do ((i % 2)) || echo "wrote $i"; done)" ]
  for i in {0..19}; do
    ((i % 2)) && want="host $i" || want="guest $i"
    [ "$(cat "vol$i/file")" = "$want" ]
  done
  run arrow run "${options[@]}" -v ./vol0:/more "$B" true
  [ "$status" -eq 125 ]
  [ "$output" = 'arrow: 21 volumes are more than an Arrow can have (20)' ]
}

# bats test_tags=start
@test "run: a guest cannot leave a volume" {
  mkdir vol
  echo secret >secret
  ln -s "$PWD/secret" vol/absolute
  ln -s ../secret vol/relative
  run arrow run --privileged -v ./vol:/data "$B" sh -c \
    'cat /data/absolute /data/relative /data/../secret /data/../../secret; ln -s / /data/root; ls /data/root/work /data/root/home'
  [[ $output != *secret$'\n'* ]] || [[ $output != secret* ]]
  run ! grep -qx secret <<<"$output"
}

# bats test_tags=start
@test "run: out of memory is told" {
  run arrow run -m 64m "$P" eat
  [ "$status" -eq 137 ]
  [[ $output == *'arrow: out of memory: the program was killed at 64 MiB'* ]]
}

# bats test_tags=start
@test "run: a panic becomes a status and a line" {
  run arrow run --sysctl vm.panic_on_oom=2 -m 64m "$P" eat
  [ "$status" -eq 125 ]
  [[ $output == *'arrow: the guest kernel panicked: Kernel panic - not syncing: '* ]]
}

# bats test_tags=start
@test "run: a guest that switches itself off is told" {
  run arrow run --privileged "$P" reboot
  [ "$status" -eq 125 ]
  [ "$output" = 'arrow: the guest ended without saying how the program ended' ]
}

@test "run: --timeout" {
  run arrow run --timeout 1 "$B" sleep 100
  [ "$status" -eq 137 ]
  [[ $output == *'timed out'*'1 s'* ]]
}

@test "run: programs that cannot be run: one line, Docker's status" {
  run -127 arrow run ./missing
  [ "$status" -eq 127 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == 'arrow: '*missing* ]]
  run arrow run .
  [ "$status" -eq 126 ]
  echo '#!/bin/sh' >script && chmod +x script
  run arrow run ./script
  [ "$status" -eq 126 ]
  cp "$P" noexec && chmod -x noexec
  run arrow run ./noexec
  [ "$status" -eq 126 ]
  [[ $output == *noexec* ]]
  head -c 100 "$P" >short && chmod +x short
  run arrow run ./short
  [ "$status" -eq 126 ]
  run -127 arrow run --entrypoint /nowhere/x "$P"
  [ "$status" -eq 127 ]
  run -127 arrow run --entrypoint x "$P"
  [ "$status" -eq 127 ]
  run arrow run --entrypoint /etc "$P"
  [ "$status" -eq 126 ]
  run arrow run -u nobody-here "$P" exit 0
  [ "$status" -ne 0 ]
  [[ $output == *nobody-here* ]]
}

@test "run: wrong options: one line, status 125" {
  check() {
    run arrow run "$@" "$P" exit 0
    echo "# $* -> $status $output"
    [ "$status" -eq 125 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == 'arrow: '* ]]
  }
  check -m 1k
  check -m nonsense
  check -m 900t
  [[ $output == *'of memory is more than this host has'* ]]
  check -m ''
  check -m -1
  check --cpus -1
  check --cpus ''
  check --rootfs ''
  check --cpus 10000
  check -v nothing
  check -v /tmp:relative
  check --ulimit nofile
  check --ulimit nofile=3:2
  check --cap-add NO_SUCH
  check --add-host x
  check --dns x
  check --sysctl 'a b'
  check --name -x
  check --hostname 'a b'
  check --env-file /nowhere
  check --engine nothing
  check --kernel nothing
  check --tmpfs relative
  check -w relative
  check -a stdnone
  check -d -a stdout
  check --sig-proxy=perhaps
  check --mount type=volume,src=na/me,dst=/x
  check --mount "type=bind,src=$PWD/nowhere,dst=/x"
  check --label-file /nowhere
  check --timeout x
  if [ "$(nproc)" -ge 2 ]; then
    check --kernel micro --cpus 2
    [[ $output == *'the kernel micro runs on 1 vCPU, not on 2'* ]]
  fi
  run arrow run --no-such-option
  [ "$status" -eq 125 ]
  run -1 arrow run
  run -1 arrow nonsense
}

@test "run: empty and zero values are as in Docker: the option is not given" {
  run -0 "$BARE" create --name zeros -m 1g -m 0 --cpus 2 --cpus 0 --shm-size 0 --memory-swap 0 --cpu-shares 0 \
    --blkio-weight 0 --pids-limit 0 --health-interval 0 --health-retries 0 "$B" true
  "$BARE" create --name zero "$B" true
  limits='{{json .HostConfig}}'
  [ "$("$BARE" inspect -f "$limits" zeros)" = "$("$BARE" inspect -f "$limits" zero)" ]
  "$BARE" rm zeros zero
  id=$("$BARE" create --name '' -w '' -u '' -h '' --restart '' --stop-signal '' --pull '' --platform '' --cidfile '' \
    --detach-keys '' --log-driver '' --log-opt '' --network '' --network-alias '' --ip '' --ip6 '' --mac-address '' \
    --cpuset-cpus '' --health-cmd '' --kernel '' --engine '' "$B" true)
  [ "$("$BARE" inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.Config.Hostname}} {{.Config.WorkingDir}}' "$id")" = "no ${id:0:12} " ]
  # What a later empty value takes back.
  [ "$("$BARE" inspect -f '{{.Name}}' "$("$BARE" create --name first --name '' "$B" true)")" != /first ]
  # An update to nothing changes nothing.
  "$BARE" update -m 64m --cpus 2 -c 77 --cpuset-cpus 0 --restart always "$id"
  before=$("$BARE" inspect -f "$limits" "$id")
  "$BARE" update -m 0 --cpus 0 -c 0 --cpuset-cpus '' --memory-swap 0 --blkio-weight 0 --restart '' "$id"
  [ "$("$BARE" inspect -f "$limits" "$id")" = "$before" ]
  [[ $before == *'"always"'* ]]
  "$BARE" ps -aq | xargs "$BARE" rm
}

@test "run: sizes with a fraction, options with =false, files of variables from Windows" {
  [ "$("$BARE" create -m 1.5g --name size "$B" true | xargs "$BARE" inspect -f '{{.HostConfig.Memory}}')" -eq 1610612736 ]
  "$BARE" rm size
  printf '\xef\xbb\xbfA=1\r\n\r\n# no\r\nB=two\r\n' >env
  run -0 arrow run --read-only=false --rm --privileged --privileged=false --env-file env "$B" sh -c \
    'touch /written && echo "<$A><$B>" && grep CapEff /proc/self/status'
  [[ ${lines[0]} == '<1><two>' && ${lines[1]} == *00000000a80425fb ]]
  printf 'A B=1\n' >env
  run -125 arrow run --env-file env "$B" true
  [[ $output == *"--env-file: line 1 of env: the variable name 'A B' contains whitespace" ]]
  printf '# no\r\nC=3\r\nD=a b\r\n' >labels
  id=$("$BARE" create --label-file labels --domainname example.org "$B" true)
  [ "$("$BARE" inspect -f '{{json .Config.Labels}} {{.Config.Domainname}}' "$id")" = '{"C":"3","D":"a b"} example.org' ]
  "$BARE" rm -v "$id"
  run -125 --separate-stderr arrow run --privileged=perhaps "$B" true
  [[ $stderr == "arrow run: --privileged takes true or false, not 'perhaps'" ]]
}

# bats test_tags=start
@test "run: the least memory boots, less is refused" {
  run arrow run -m 31m "$P" exit 0
  [ "$status" -eq 125 ]
  [[ $output == *'31744 KiB of memory is too little'*'at least 32 MiB'* ]]
  run arrow run -m 32m "$P" exit 5
  [ "$status" -eq 5 ]
}

@test "run: a name in use" {
  "$ARROW" run --name taken "$B" sleep 100 &
  pid=$!
  wait_for 60 running
  run arrow run --name taken "$B" true
  [ "$status" -eq 125 ]
  [[ $output == "arrow: the name 'taken' is in use by Arrow "* ]]
  kill -TERM $pid
  wait $pid || [ $? -eq 143 ]
  run arrow run --name taken "$B" true
  [ "$status" -eq 0 ]
}

@test "run: two at once" {
  for i in 1 2 3; do arrow run "$B" sh -c "sleep 1; echo $i" >out$i & done
  wait
  [ "$(cat out1 out2 out3)" = $'1\n2\n3' ]
}

@test "kill: SIGKILL of arrow ends its Arrow and leaves nothing" {
  "$ARROW" run "$B" sh -c 'echo started; exec sleep 100' >out &
  pid=$!
  wait_for 60 grep -q started out
  vm=$(state vm_pid)
  kill -KILL $pid
  wait $pid || true
  wait_for 30 gone "$vm"
  wait_for 30 assert_no_leftovers
}

# bats test_tags=smoke, start
@test "kill: SIGKILL of the keeper is told, ends the VM, and the next command cleans up" {
  "$ARROW" run "$B" sh -c 'echo started; exec sleep 100' >out 2>err &
  pid=$!
  wait_for 60 grep -q started out
  vm=$(state vm_pid)
  kill -KILL "$(state keeper_pid)"
  status=0
  wait $pid || status=$?
  [ "$status" -eq 125 ]
  grep -q 'arrow: the keeper of this Arrow was killed' err
  wait_for 30 gone "$vm"
  [ -n "$(states)" ]
  run arrow run "$B" true
  [ "$status" -eq 0 ]
}

# bats test_tags=start
@test "kill: SIGKILL of QEMU is told" {
  "$ARROW" run "$B" sh -c 'echo started; exec sleep 100' >out 2>err &
  pid=$!
  wait_for 60 grep -q started out
  kill -KILL "$(state vm_pid)"
  status=0
  wait $pid || status=$?
  [ "$status" -eq 125 ]
  grep -q 'arrow: QEMU (process [0-9]*) was killed' err # of a forked one only its zygote knows the signal
}

@test "kill: a QEMU that does not answer is ended" {
  "$ARROW" run "$B" sh -c 'echo started; exec sleep 300' >out 2>err &
  pid=$!
  wait_for 60 grep -q started out
  kill -STOP "$(state vm_pid)"
  status=0
  wait_for 120 gone $pid
  wait $pid || status=$?
  [ "$status" -eq 125 ]
  grep -q 'has not answered for' err
}

# bats test_tags=start
@test "kill: at any moment of a start" {
  for ms in 010 030 060 100 200 300 400; do
    "$ARROW" run "$B" sleep 100 &
    pid=$!
    sleep "0.$ms"
    kill -KILL $pid
    wait $pid || true
  done
  wait_for 60 assert_no_leftovers
}

@test "run: QEMU is missing" {
  mkdir bin
  for tool in mkfs.erofs; do ln -s "$(command -v $tool)" bin/; done
  arrow run "$B" true
  ARROW_QEMU=qemu-system-x86_64 PATH=$PWD/bin run "$ARROW" run "$B" true
  [ "$status" -eq 125 ]
  [[ $output == *'qemu-system-x86_64 is not installed'*'apt-get install qemu-system-x86'* ]]
}

@test "run: the disk is full" {
  [ "$(id -u)" = 0 ] || skip "needs root to mount a small file system"
  mkdir small
  cp "$P" big
  head -c 8000000 /dev/urandom >>big
  ARROW_DATA_DIR=$PWD/small run unshare -m sh -c \
    "mount -t tmpfs -o size=2m small small && '$ARROW' run ./big exit 0; s=\$?; find small -type f -size +100k; exit \$s"
  [ "$status" -eq 125 ]
  [[ $output == 'arrow: '*[Nn]'o space left'* ]]
  [ "${#lines[@]}" -eq 1 ]
}
