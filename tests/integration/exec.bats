#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Processes beside the program of an Arrow: exec, top, stats, diff. Most tests share one Arrow.

load common

setup_file() {
  arrow_setup_file
  ROOT=$BATS_FILE_TMPDIR/root
  export ROOT
  mkdir -p "$ROOT"/{bin,etc,home/bob,srv,proc,sys,dev,tmp}
  cp "$BUSYBOX" "$ROOT/bin/busybox"
  for applet in $("$BUSYBOX" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$ROOT/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$ROOT/etc/passwd"
  echo 'bob:x:1000:1000:Bob:/home/bob:/bin/sh' >>"$ROOT/etc/passwd"
  echo 'root:x:0:' >"$ROOT/etc/group"
  printf '#!/bin/sh\nexit 3\n' >"$ROOT/srv/script"
  chmod 755 "$ROOT/srv/script"
  echo text >"$ROOT/srv/plain"
  start_arrow shared -e COLOR=red -w /srv --group-add 77 >/dev/null
}

teardown_file() {
  "$ARROW" rm -f shared >/dev/null
  assert_no_leftovers
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
  for pid in ${pids-}; do kill -KILL "$pid"; done 2>/dev/null || true
  "$ARROW" rm -f own own1 own2 own3 >/dev/null 2>&1 || true
}

# start_arrow NAME OPTION...: one that sleeps, of the root with all of busybox.
start_arrow() {
  local name=$1
  shift
  arrow create --name "$name" --kernel micro "$@" --rootfs "$ROOT" sleep 3600
  arrow start "$name"
}

ex() {
  arrow exec "$@"
}

# Whether a process of the shared Arrow has this command line.
runs() {
  ex shared ps | grep -v grep | grep -q -- "$1"
}

ended() {
  ! runs "$1"
}

# Kills what has this in its command line; the shell that does so is among them.
slay() {
  ex shared sh -c "kill -9 \$(ps | grep -v grep | grep '$1' | awk '{ print \$1 }')" || true
  wait_for 30 ended "$1"
}

# bats test_tags=smoke, start
@test "exec: environment, directory and user are the program's, or as asked" {
  [ "$(ex shared sh -c 'echo "$COLOR $PWD $HOME $(id -u)"')" = 'red /srv /root 0' ]
  run ex -e COLOR=blue -e SIZE=9 -w /tmp -u bob shared sh -c 'echo "$COLOR $SIZE $PWD $HOME $(id -u):$(id -g)"'
  [ "$output" = 'blue 9 /tmp /home/bob 1000:1000' ]
  printf 'ONE=1\nTWO=2\n' >vars
  run ex --env-file vars -u 7:8 shared sh -c 'echo "$ONE$TWO $(id -u):$(id -g)"'
  [ "$output" = '12 7:8' ]
  [ "$(ex -u 7:8 shared id -G)" = '8 77' ]
  # By id, and the beginning of it.
  id=$("$ARROW" ps -q --no-trunc | head -n 1)
  [ "$(ex "$id" echo whole)" = whole ]
  [ "$(ex "${id:0:6}" echo part)" = part ]
}

@test "exec: capabilities as the program's, all with --privileged" {
  [ "$(ex shared awk '/CapEff/ { print $2 }' /proc/self/status)" = 00000000a80425fb ]
  [ "$(ex -u bob shared awk '/CapEff/ { print $2 }' /proc/self/status)" = 0000000000000000 ]
  all=$(ex --privileged shared awk '/CapEff/ { print $2 }' /proc/self/status)
  [ "$all" != 00000000a80425fb ]
  [ "$((16#$all & 16#200000))" -ne 0 ] # CAP_SYS_ADMIN
}

@test "exec: the command's exit status, and what Docker has for failures" {
  run ex shared sh -c 'exit 42'
  [ "$status" -eq 42 ]
  run ex shared sh -c 'kill -TERM $$'
  [ "$status" -eq 143 ]
  run ex shared /srv/script
  [ "$status" -eq 3 ]
  run -127 ex shared nowhere
  [ "$output" = 'arrow: exec: "nowhere": executable file not found in $PATH' ]
  run -127 ex shared /srv/nowhere
  run ex shared /srv/plain
  [ "$status" -eq 126 ]
  [ "$output" = 'arrow: exec: "/srv/plain": permission denied' ]
  run ex -u nobody shared true
  [ "$status" -eq 126 ]
  [ "$output" = 'arrow: unable to find user nobody: no matching entries in passwd file' ]
  run ex -w /nowhere shared true
  [ "$status" -eq 126 ]
  [[ "$output" = 'arrow: cannot enter the working directory /nowhere: '* ]]
}

@test "exec: no such Arrow, none that runs, nothing to do, a relative directory" {
  run ex nobody-has-this-name true
  [ "$status" -eq 1 ]
  [[ "$output" = 'arrow: no such Arrow: nobody-has-this-name'* ]]
  arrow create --name own --kernel micro --rootfs "$ROOT" sleep 3600
  run ex own true
  [ "$status" -eq 1 ]
  [[ "$output" = *'is not running' ]]
  run ex shared
  [ "$status" -eq 1 ]
  run ex -w here shared true
  [ "$status" -eq 125 ]
}

# bats test_tags=smoke
@test "exec: without -i stdin is empty, with it it arrives; stderr stays apart" {
  [ "$(echo no | ex shared cat)" = '' ]
  [ "$(echo yes | ex -i shared cat)" = yes ]
  ex shared sh -c 'echo out; echo err >&2' >out 2>err
  [ "$(cat out)" = out ]
  [ "$(cat err)" = err ]
}

# bats test_tags=start
@test "exec: 64 MB each way at once arrive whole, beside others" {
  head -c $((64 << 20)) /dev/urandom >block
  ex -i shared cat <block >have 3>&- &
  pid=$!
  [ "$(ex shared echo beside)" = beside ]
  wait $pid
  cmp block have
}

@test "exec: a reader that sleeps stops its own command only, and loses nothing" {
  seq 300000 >want
  ex shared seq 300000 | (sleep 3; cat) | cmp - want &
  pid=$!
  for i in 1 2 3; do [ "$(ex shared echo "$i")" = "$i" ]; done
  wait $pid
  # A reader that leaves breaks the pipe.
  run bash -c '"$ARROW" exec shared yes | head -n 1'
  [ "$output" = y ]
  wait_for 30 ended yes
}

@test "exec: 50 at once, each with its own input and output" {
  for i in $(seq 50); do
    (
      set +e
      seq "$i" 5000 | ex -i shared sh -c "cat; exit $i" >"out$i"
      echo "${PIPESTATUS[1]}" >"status$i"
    ) 3>&- &
  done
  wait
  for i in $(seq 50); do
    [ "$(cat "status$i")" -eq "$i" ]
    seq "$i" 5000 | cmp - "out$i"
  done
}

@test "exec: as many as fit, one more is refused, and numbers come back" {
  for i in $(seq 255); do
    ex -d shared sleep 1000
  done
  run ex shared true
  [ "$status" -eq 126 ]
  [[ "$output" = 'arrow: at most 255 processes can run at once beside the program: '* ]]
  run arrow top shared
  [ "$status" -eq 1 ]
  arrow restart -t 0 shared >/dev/null
  [ "$(ex shared echo again)" = again ]
  [ "$(ex shared ps | grep -c 'sleep 1000')" -eq 0 ]
}

@test "exec -d: leaves at once, goes on, and its output blocks nothing" {
  start=$SECONDS
  run ex -d shared sh -c 'seq 1000000; touch /tmp/detached; sleep 1000'
  [ "$status" -eq 0 ]
  [ "$output" = '' ]
  [ $((SECONDS - start)) -lt 60 ]
  wait_for 60 ex shared test -e /tmp/detached
  runs 'sleep 1000'
  slay 'sleep 1000'
  # A command that cannot start is an error all the same.
  run -127 ex -d shared nowhere
}

@test "exec: a killed client takes its command along" {
  for signal in KILL TERM HUP INT; do
    "$ARROW" exec shared sleep 777 3>&- &
    pid=$!
    pids=$pid
    wait_for 30 runs 'sleep 777'
    kill -$signal $pid
    wait $pid || true
    wait_for 30 ended 'sleep 777'
  done
  pids=
  # One that was killed while it said what to execute leaves nothing, and no half command runs.
  [ "$(ex shared echo fine)" = fine ]
}

@test "exec: what is left in the background does not hold the client" {
  run ex shared sh -c 'sleep 888 & echo started'
  [ "$status" -eq 0 ]
  [ "$output" = started ]
  runs 'sleep 888'
  slay 'sleep 888'
  # Output that comes after the end of the command is still its own.
  [ "$(ex shared sh -c '(sleep 1; echo late) & echo early')" = $'early\nlate' ]
}

# bats test_tags=start
@test "exec: the Arrow ends meanwhile" {
  start_arrow own >/dev/null
  "$ARROW" exec own sh -c 'echo up; sleep 1000' >out 3>&- &
  pid=$!
  pids=$pid
  wait_for 30 grep -q up out
  arrow kill own
  status=0
  wait $pid || status=$?
  pids=
  [ "$status" -eq 137 ]
  wait_for 30 eval '! "$ARROW" exec own true 2>/dev/null'
  run ex own true
  [ "$status" -eq 1 ]
  # Its keeper is killed: a clear word, and not a status of the command.
  arrow start own >/dev/null
  "$ARROW" exec own sh -c 'echo up; sleep 1000' >out 2>err 3>&- &
  pid=$!
  pids=$pid
  wait_for 30 grep -q up out
  kill -KILL "$(jq .keeper_pid "$ARROW_DATA_DIR/arrows/$("$ARROW" ps -q --no-trunc --filter name=own)/state.json")"
  status=0
  wait $pid || status=$?
  pids=
  [ "$status" -eq 125 ]
  grep -q 'arrow: the keeper of this Arrow was killed' err
}

# is_full FIFO: nothing more fits in.
is_full() {
  python3 - "$1" <<'END'
import fcntl, os, struct, sys, termios
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
held = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]
sys.exit(held < fcntl.fcntl(fd, 1032) - 4096)  # F_GETPIPE_SZ
END
}

@test "exec: an exec that does not read holds up no end" {
  start_arrow own >/dev/null
  mkfifo pipe
  sleep 600 3>&- <>pipe &
  holder=$!
  "$ARROW" exec own yes >pipe 3>&- &
  pid=$!
  pids="$pid $holder"
  wait_for 60 is_full pipe
  # The loader gives the output of others ten seconds, and the program's own as long as it takes.
  arrow stop -t 0 own
  run arrow ps -q --filter name=own
  [ "$output" = '' ]
  kill $holder $pid
  wait $holder $pid || true
  pids=
}

@test "exec: nonsense on the control socket harms neither the Arrow nor other commands" {
  socket=$ARROW_RUN_DIR/arrows/$("$ARROW" ps -q --no-trunc | head -n 1)/control
  [ -S "$socket" ]
  python3 - "$socket" <<'END'
import os, random, socket, struct, sys

os.chdir(os.path.dirname(sys.argv[1]))  # the path may be longer than an address takes

def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect("control")
    s.settimeout(20)
    return s

def frame(stream, kind, payload=b""):
    return struct.pack("<HHI", stream, kind, len(payload)) + payload

def record(tag, value):
    return struct.pack("<II", tag, len(value)) + value

random.seed(1)
touch = record(1, struct.pack("<I", 0)) + record(2, b"touch") + record(2, b"/tmp/half")
for cut in range(len(touch)):  # a client that dies while it says what to execute
    s = connect()
    s.sendall(frame(0, 20, struct.pack("<I", 2) + touch[:cut]))
    s.close()
for number in (0, 1, 3, 256, 257, 0xffffffff):  # not the number of a command's process
    s = connect()
    s.sendall(frame(0, 20, struct.pack("<I", number) + touch) + frame(0, 21, struct.pack("<I", number)))
    s.close()
for _ in range(200):
    s = connect()
    for _ in range(5):
        s.sendall(frame(random.randrange(0, 1030), random.randrange(0, 70), os.urandom(random.randrange(0, 20))))
    s.close()
s = connect()
s.sendall(struct.pack("<HHI", 0, 20, 0xffffffff))  # longer than any frame
assert s.recv(1) == b""
END
  [ "$(ex shared echo fine)" = fine ]
  run ex shared test -e /tmp/half
  [ "$status" -eq 1 ]
}

# terminal SCRIPT: runs lines of python with a terminal of `arrow exec -it shared...`: start(command),
# expect(text), type(text), resize(rows, columns), and status(), which waits for the end.
terminal() {
  cat >terminal.py <<'END'
import fcntl, os, pty, select, signal, struct, subprocess, sys, termios, time
seen, pid, fd = "", 0, -1

def resize(rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.kill(pid, signal.SIGWINCH)

def start(*command):
    global pid, fd, seen
    seen = ""
    pid, fd = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        os.execv(os.environ["ARROW"], ["arrow", "exec", "-it", *command])

def expect(text):
    global seen
    until = time.monotonic() + 60
    while text not in seen:
        if time.monotonic() > until or not select.select([fd], [], [], 60)[0]:
            sys.exit(f"no {text!r} in {seen!r}")
        try:
            seen += os.read(fd, 4096).decode(errors="replace")
        except OSError:
            sys.exit(f"ended without {text!r}: {seen!r}")
    seen = seen[seen.index(text) + len(text):]

def type(text):
    os.write(fd, text.encode())

def runs(text):
    until = time.monotonic() + 60
    while text not in subprocess.check_output([os.environ["ARROW"], "exec", "shared", "ps"], text=True):
        if time.monotonic() > until:
            sys.exit(f"no {text!r} runs")

def status():
    try:
        while os.read(fd, 4096):
            pass
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

END
  cat >>terminal.py
  timeout -k 5 170 python3 terminal.py
}

# bats test_tags=smoke
@test "exec -t: a terminal with the size of ours, at the start and when it changes" {
  terminal <<'END'
start("shared", "sh", "-c", "trap 'stty size; exit 6' WINCH; stty size; tty; echo $TERM; while :; do sleep 0.1; done")
expect("/dev/pts/")
expect("xterm")
resize(33, 99)
expect("33 99")
assert status() == 6
END
}

# bats test_tags=start
@test "exec -t: keys, Ctrl-C, Ctrl-D, and a session of its own" {
  terminal <<'END'
start("shared", "sh")
expect("#")
type("echo $((40 + 2)) typed\r")
expect("42 typed")
type("sleep 1000\r")
runs("sleep 1000")
type("\x03")
expect("#")
type("echo status $?\r")
expect("status 130")
type("exit 9\r")
assert status() == 9
start("shared", "cat")
type("line\r")
expect("line\r\nline")
type("\x04")
assert status() == 0
END
  ended 'sleep 1000'
}

@test "exec -t: the detach keys leave the command, a closed terminal ends it" {
  terminal <<'END'
start("shared", "sh", "-c", "echo up; sleep 555")
expect("up")
type("\x10\x11")
assert status() == 0
start("--detach-keys", "a,b", "shared", "sh", "-c", "echo up; sleep 556")
expect("up")
type("ab")
assert status() == 0
start("shared", "sh", "-c", "echo up; sleep 557; echo")
expect("up")
os.close(fd)
os.waitpid(pid, 0)
END
  runs 'sleep 555'
  runs 'sleep 556'
  wait_for 30 ended 'sleep 557'
  slay 'sleep 55[56]'
  run ex -it shared true </dev/null
  [ "$status" -eq 1 ]
  [[ "$output" = 'arrow: the input is not a terminal'* ]]
}

@test "exec: an argument list as long as Linux takes" {
  head -c 131000 /dev/zero | tr '\0' x >long
  run ex shared sh -c 'echo ${#1}' sh "$(cat long)"
  [ "$output" = 131000 ]
  run ex shared sh -c true "$(cat long long)"
  [ "$status" -eq 126 ]
}

@test "top: the processes of an Arrow, and fields of them" {
  run arrow top shared
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" =~ ^UID\ +PID\ +PPID\ +C\ +STIME\ +TTY\ +TIME\ +CMD$ ]]
  [[ "${lines[1]}" =~ ^root\ +[0-9]+\ +1\ +[0-9]+\ +[0-9:]+\ +\?\ +00:00:0[0-9]\ +sleep\ 3600$ ]]
  [ ${#lines[@]} -eq 2 ]
  run arrow top -o pid,comm shared
  [[ "${lines[1]}" =~ ^[0-9]+\ +sleep$ ]]
  ex -d -u bob shared sh -c 'sleep 999; : "$1"' sh $'evil\e[2Jname'
  wait_for 30 eval '"$ARROW" top shared | grep -q ^bob'
  run arrow top shared
  [[ "$output" != *$'\e'* ]]
  [[ "$output" = *'evil?[2Jname'* ]]
  [ "$(arrow top --format json shared | jq '[.[] | select(.user == "bob") | .uid] | max')" = 1000 ]
  slay 'sleep 999'
  run arrow top -o nothing shared
  [ "$status" -eq 1 ]
  run arrow top nobody-has-this-name
  [ "$status" -eq 1 ]
}

@test "stats: CPU, memory and processes, once and as a table that goes on" {
  run arrow stats --no-stream
  [ "$status" -eq 0 ]
  [[ "${lines[0]}" =~ ^ARROW\ ID\ +NAME\ +CPU\ %\ +MEM\ USAGE\ /\ LIMIT\ +MEM\ %\ +NET\ I/O\ +BLOCK\ I/O\ +PIDS$ ]]
  [[ "${lines[1]}" = *shared* ]]
  # What it uses, in MiB.
  used() { arrow stats --no-stream --format '{{.MemUsage}}' shared | awk '$2 == "MiB" { print int($1) }'; }
  before=$(used)
  ex -d shared sh -c 'dd if=/dev/zero of=/tmp/block bs=1M count=64 2>/dev/null; while :; do :; done'
  wait_for 60 eval '[ "$(ex shared stat -c %s /tmp/block 2>/dev/null)" = 67108864 ]'
  arrow stats --no-stream --format json shared >stats
  [ "$(used)" -gt $((before + 60)) ]
  jq -e '(.CPUPerc | rtrimstr("%") | tonumber) > 20 and (.CPUPerc | rtrimstr("%") | tonumber) < 150' stats
  jq -e '(.PIDs | tonumber) >= 2' stats
  [ "$(jq -r .ID stats)" = "$(arrow ps -q -f name=^shared$)" ]
  # All of them, those too that do not run.
  "$BARE" create --name idle "$BUSYBOX" true
  [ "$(arrow stats -a --no-stream --format '{{.Name}} {{.PIDs}} {{.MemUsage}}' | grep idle)" = 'idle -- -- / --' ]
  [ "$(arrow stats -a --no-stream --no-trunc --format '{{.ID}}' idle | wc -c)" -eq 65 ]
  run -1 arrow stats --no-stream idle
  "$BARE" rm idle
  "$ARROW" stats shared >live 3>&- &
  pid=$!
  pids=$pid
  wait_for 60 eval '[ "$(grep -c shared live)" -ge 3 ]'
  kill $pid
  wait $pid || true
  pids=
  slay 'while :'
  run arrow stats --no-stream nobody-has-this-name
  [ "$status" -eq 1 ]
}

# Each watches or asks several Arrows, by processes of its own: none may hold another's pipe open.
@test "listings: each ends with several Arrows running" {
  start_arrow own >/dev/null
  for n in 1 2 3; do
    start_arrow "own$n" >/dev/null
  done
  names=(shared own own1 own2 own3)
  "$ARROW" stats "${names[@]}" >live 3>&- &
  pid=$!
  pids=$pid
  wait_for 60 grep -q own3 live
  carriers=$(pgrep -P "$pid")
  [ "$(wc -w <<<"$carriers")" -eq 5 ]
  shared=$(for carrier in $carriers; do readlink "/proc/$carrier/fd/"*; done | grep pipe: | sort | uniq -d)
  kill "$pid"
  wait "$pid" || true
  pids=
  [ -z "$shared" ] || { echo "held by two processes: $shared"; return 1; }
  run timeout 60 "$ARROW" stats --no-stream
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 6 ]
  [ "$(timeout 60 "$ARROW" stats --no-stream --format json "${names[@]}" | wc -l)" -eq 5 ]
  for command in ps 'ps -a' 'ps --size' "inspect ${names[*]}" 'system df' images \
    'network ls' 'template ls' 'kernel ls' "events --since 1h --until 0s"; do
    # shellcheck disable=SC2086
    run timeout 60 "$ARROW" $command
    [ "$status" -eq 0 ] || { echo "arrow $command: $output"; return 1; }
  done
  for name in "${names[@]}"; do
    for command in top diff logs; do
      run timeout 60 "$ARROW" "$command" "$name"
      [ "$status" -eq 0 ] || { echo "arrow $command $name: $output"; return 1; }
    done
  done
}

# bats test_tags=start
@test "diff: added, changed and deleted files" {
  start_arrow own >/dev/null
  [ "$(arrow diff own)" = '' ]
  ex own sh -c 'echo x >/srv/new; echo more >>/srv/plain; rm /srv/script; mkdir -p /var/a; chmod 700 /home/bob; touch /tmp/t'
  run arrow diff own
  [ "$status" -eq 0 ]
  [ "$output" = $'C /home\nC /home/bob\nC /srv\nA /srv/new\nC /srv/plain\nD /srv/script\nC /tmp\nA /tmp/t\nA /var\nA /var/a' ]
  # What is made again as it was is no change; a name cannot forge a line.
  ex own sh -c 'rm -r /var; touch "/srv/$(printf "a\nD b")"'
  run arrow diff own
  [[ "$output" = *'A /srv/a?D b'* ]]
}
