#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Arrows that outlive the command that started them: create, start, stop, kill, restart, attach, wait,
# logs, rename, rm, prune, restart policies, and what is left when anything is killed.

load common

setup_file() {
  arrow_setup_file
  export ARROW=$BARE # without --rm: what ended is kept
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  B=$BUSYBOX
}

teardown() {
  local ids
  ids=$(arrow ps -aq --no-trunc)
  # shellcheck disable=SC2086
  [ -z "$ids" ] || arrow rm -f $ids >/dev/null
  assert_no_leftovers
}

# value NAME KEY: of an Arrow's state or description.
value() {
  local field
  case $2 in
  id) field=.Id ;;
  status) field=.State.Status ;;
  exit_code) field=.State.ExitCode ;;
  error) field=.State.Error ;;
  vm_pid) field=.State.Pid ;;
  restarts) field=.RestartCount ;;
  keeper_pid) field=.Arrow.KeeperPid ;;
  manual_stop) field=.Arrow.ManualStop ;;
  Health*)
    arrow inspect --type arrow "$1" | jq -r ".[0].State.$2"
    return
    ;;
  esac
  arrow inspect --type arrow -f "{{$field}}" "$1" 2>/dev/null
}

is() {
  [ "$(value "$1" "$2")" = "$3" ]
}

# bats test_tags=smoke
@test "lifecycle: run -d prints the id once the program runs, and its end is kept" {
  run -0 --separate-stderr arrow run -d --name one "$B" sh -c 'echo hello; sleep 1; exit 3'
  [[ $output =~ ^[0-9a-f]{64}$ ]]
  [ -z "$stderr" ]
  is one status running
  is one id "$output"
  run -0 arrow wait one
  [ "$output" = 3 ]
  is one status exited
  is one exit_code 3
  is one vm_pid 0
  run -0 arrow ps -q
  [ -z "$output" ]
  arrow ps -a | grep -qE 'Exited \(3\) .* ago .*one$'
  run -0 arrow logs one
  [ "$output" = hello ]
}

@test "lifecycle: run -d of a program that ends at once prints its id, too" {
  for i in 1 2 3 4 5 6; do
    run -0 arrow run -d --rm "$B" sh -c "exit $i"
    [[ $output =~ ^[0-9a-f]{64}$ ]]
  done
  wait_for 60 sh -c '[ -z "$("$ARROW" ps -q)" ]'
}

@test "lifecycle: run -d tells why a program cannot start" {
  run -127 --separate-stderr arrow run -d --name bad --entrypoint /no/such "$B"
  [[ $output =~ ^[0-9a-f]{64}$ ]]
  [[ $stderr == 'arrow: '*no/such* ]]
  is bad status created
  is bad exit_code 127
  run -127 arrow run -d --rm --name bad2 --entrypoint /no/such "$B"
  [ -z "$(value bad2 status)" ]
}

@test "lifecycle: a foreground run is kept without --rm, and removed with it" {
  run -5 --separate-stderr arrow run --name kept "$B" sh -c 'echo out; echo err >&2; exit 5'
  [ "$output" = out ]
  [ "$stderr" = err ]
  is kept exit_code 5
  [ "$(arrow logs kept 2>/dev/null)" = out ]
  [ "$(arrow logs kept 2>&1 >/dev/null)" = err ]
  run -0 arrow run --rm --name gone "$B" true
  [ -z "$(value gone status)" ]
  [ ! -e "$ARROW_DATA_DIR/names/gone" ]
}

# bats test_tags=smoke
@test "lifecycle: create, start, start -a, and what was asked for is the same each time" {
  echo data >file
  run -0 arrow create --name made -e A=1 -v ./file:/file:ro -w /var/tmp --hostname box "$B" \
    sh -c 'echo $A $(cat /file) $PWD $(hostname) $0 "$1"; touch /mark; exit 4' zero $'a b\xff'
  [[ $output =~ ^[0-9a-f]{64}$ ]]
  is made status created
  arrow ps -a | grep -qE 'Created .*made$'
  cd /
  for _ in 1 2; do
    arrow start -a made >"$BATS_TEST_TMPDIR/out" || [ $? -eq 4 ]
    printf '1 data /var/tmp box zero a b\xff\n' | cmp - "$BATS_TEST_TMPDIR/out"
    is made exit_code 4
  done
  run -0 arrow start made
  [ "$output" = made ]
  [ "$(arrow wait made)" = 4 ]
  run -1 arrow start no-such-arrow
  [[ $output == 'arrow: no such Arrow: no-such-arrow'* ]]
  cd "$BATS_TEST_TMPDIR"
}

# bats test_tags=smoke
@test "lifecycle: stop sends the stop signal, then SIGKILL; kill sends any" {
  cat >traps <<'END'
trap 'echo got TERM; exit 20' TERM; trap 'echo got INT; exit 21' INT; trap 'echo got USR1' USR1
echo ready; while :; do sleep 0.1; done
END
  start() {
    arrow run -d --name "$1" "${@:2}" -v ./traps:/traps "$B" sh /traps >/dev/null
    wait_for 60 sh -c '"$ARROW" logs "$0" | grep -q ready' "$1"
  }
  start s1
  run -0 arrow stop s1
  [ "$output" = s1 ]
  is s1 exit_code 20
  is s1 manual_stop true
  run -0 arrow stop s1
  start s2 --stop-signal INT
  arrow stop s2
  is s2 exit_code 21
  start s3
  arrow kill -s USR1 s3
  wait_for 60 sh -c '"$ARROW" logs s3 | grep -q "got USR1"'
  is s3 status running
  # No port is published, which is no error; a port that is asked for must be.
  run -0 arrow port s3
  [ -z "$output" ]
  run -1 arrow port s3 80
  run -1 arrow port no-such-arrow
  # An empty value is none, as in Docker.
  [ "$(arrow exec -w '' -u '' --detach-keys '' s3 "$B" pwd)" = / ]
  run -0 arrow kill -s '' s3
  is s3 exit_code 137
  run -1 arrow kill s3
  [[ $output == *'is not running'* ]]
  run -0 arrow port s3
  [ -z "$output" ]
  arrow run -d --name s4 "$B" sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
  wait_for 60 sh -c '"$ARROW" logs s4 | grep -q ready'
  arrow stop -s '' -t 1 s4
  is s4 exit_code 137
  run -1 arrow stop s1 no-such-arrow
  [ "${lines[0]}" = s1 ]
}

@test "lifecycle: restart runs it anew, whether it ran or not" {
  arrow run -d --name again "$B" sh -c 'echo begun; exec sleep 1000' >/dev/null
  begun() { [ "$(arrow logs again | grep -c begun)" -eq "$1" ]; }
  wait_for 60 begun 1
  before=$(value again vm_pid)
  run -0 arrow restart -s '' -t 0 again
  [ "$output" = again ]
  is again status running
  [ "$(value again vm_pid)" != "$before" ]
  wait_for 60 begun 2
  arrow stop -t 0 again
  arrow restart again
  is again status running
  wait_for 60 begun 3
}

@test "lifecycle: several attach at once, each gets all of it, and the slow one holds up nobody for ever" {
  arrow run -d -i --name many "$B" sh -c \
    'read x; i=0; while [ $i -lt 30000 ]; do echo "line $i $x"; i=$((i + 1)); done; read y; echo last; exit 6' >/dev/null
  for n in 1 2 3; do
    mkfifo in$n
    "$ARROW" attach many <in$n >out$n &
    eval "p$n=$!"
    eval "exec $((3 + n))>in$n"
  done
  sleep 1
  # One of them does not read for a while.
  kill -STOP "$p3"
  echo go >&4
  sleep 2
  kill -CONT "$p3"
  echo on >&5
  for n in 1 2 3; do
    status=0
    eval "wait \$p$n" || status=$?
    [ "$status" -eq 6 ]
  done
  exec 4>&- 5>&- 6>&-
  seq -f 'line %.0f go' 0 29999 >want
  echo last >>want
  for n in 1 2 3; do cmp want out$n; done
  arrow logs many | cmp want -
}

@test "lifecycle: a command that is killed takes nothing with it, but a foreground run" {
  arrow run -d --name alive "$B" sh -c 'i=0; while :; do echo $i; i=$((i + 1)); sleep 0.1; done' >/dev/null
  for _ in 1 2 3; do
    "$ARROW" attach --no-stdin alive >out &
    pid=$!
    wait_for 60 test -s out
    kill -KILL $pid
    wait $pid || true
  done
  # As Docker: start -a comes to one that runs.
  "$ARROW" start -a alive >out &
  pid=$!
  wait_for 60 test -s out
  kill -KILL $pid
  wait $pid || true
  is alive status running
  "$ARROW" run --name front "$B" sleep 1000 &
  pid=$!
  wait_for 60 is front status running
  kill -KILL $pid
  wait $pid || true
  wait_for 60 is front status exited
  is front exit_code 137
  [ "$(value front error)" = 'its client is gone' ]
}

@test "lifecycle: detach keys leave a terminal's Arrow running, and attach comes back" {
  tmux -L arrow-$$ new-session -d -x 100 -y 30 "'$ARROW' run -it --name term '$B' sh; echo left \$?; exec sleep 1000"
  screen() { tmux -L arrow-$$ capture-pane -p | grep -q "$1"; }
  wait_for 60 is term status running
  wait_for 60 screen '#'
  tmux -L arrow-$$ send-keys 'X=kept' Enter C-p C-q
  wait_for 60 screen 'left 0'
  is term status running
  tmux -L arrow-$$ kill-server
  # Another server: the first may still be about to end.
  tmux -L again-$$ new-session -d -x 100 -y 30 "'$ARROW' attach --detach-keys ctrl-x,x term; echo status \$?; exec sleep 1000"
  # Its terminal is raw once it is attached.
  wait_for 60 eval 'stty -a -F "$(tmux -L again-$$ display-message -p "#{pane_tty}")" | grep -q -- -icanon'
  tmux -L again-$$ send-keys 'echo =$X= ' Enter
  screen() { tmux -L again-$$ capture-pane -p | grep -q "$1"; }
  wait_for 60 screen '=kept='
  tmux -L again-$$ send-keys 'exit 9' Enter
  wait_for 60 screen 'status 9'
  tmux -L again-$$ kill-server || true
  run -125 arrow run --detach-keys ctrl-é "$B" true
  [[ $output == 'arrow: --detach-keys takes 1 to 16 keys such as'* ]]
}

@test "lifecycle: names and prefixes of ids, rename, rm" {
  id=$(arrow create --name first "$B" true)
  other=$(arrow create --name second "$B" true)
  run -1 arrow create --name first "$B" true
  [[ $output == *"the name 'first' is in use by Arrow ${id:0:12}"* ]]
  arrow rename "${id:0:12}" third
  is third id "$id"
  [ ! -e "$ARROW_DATA_DIR/names/first" ]
  run -1 arrow rename third second
  [[ $output == *'in use'* ]]
  is third id "$id"
  run -1 arrow rm first "$other"
  [ "${lines[1]}" = "$other" ] || [ "${lines[0]}" = "$other" ]
  arrow start third
  arrow wait third
  arrow run -d --name busy "$B" sleep 1000 >/dev/null
  run -1 arrow rm busy
  [[ $output == *'is running: stop it first'* ]]
  arrow rename busy busier
  is busier status running
  run -0 arrow rm -f busier third
  [ "$output" = $'busier\nthird' ]
  run -0 arrow ps -aq
  [ -z "$output" ]
  run -1 arrow rm ''
  run -1 arrow rm ../arrows
}

@test "lifecycle: ps -n, -l, -q, --cidfile" {
  for i in 1 2 3; do arrow create --name n$i --cidfile id$i "$B" true >/dev/null; done
  [ "$(arrow ps -n 2 --format '{{.Names}}' | xargs)" = 'n3 n2' ]
  [ "$(arrow ps -lq --no-trunc)" = "$(cat id3)" ]
  run -1 arrow create --cidfile id1 "$B" true
  [[ $output == *'id1 already exists'* ]]
  [ "$(arrow ps -aq | wc -l)" -eq 3 ]
  echo n | arrow container prune >out
  [ "$(arrow ps -aq | wc -l)" -eq 3 ]
  arrow run -d --name runs "$B" sleep 1000 >/dev/null
  run -0 arrow container prune -f
  [ "$(grep -cE '^[0-9a-f]{64}$' <<<"$output")" -eq 3 ]
  [[ $output == *'Total reclaimed space: '* ]]
  [ "$(arrow container ls --format '{{.Names}}')" = runs ]
}

@test "logs: lines, streams, times, tail, since and until, as Docker stores them" {
  arrow run --name logged -l kind='a b' -e MODE=x,y -e OTHER=z --log-opt labels=kind,none --log-opt env=MODE "$B" sh -c \
    'echo one; echo two >&2; printf "a\tb\"\\\\\n"; printf "\xff\xe2\x82\xac\n"; sleep 2; echo late; printf end' >/dev/null 2>&1
  log=$(echo "$ARROW_DATA_DIR"/arrows/*/log.json)
  jq -e -s 'all(.log and .stream and .time) and length == 6' "$log"
  jq -e -s 'all(.attrs == {"MODE": "x,y", "kind": "a b"})' "$log"
  [ "$(jq -r 'select(.stream == "stderr").log' "$log")" = two ]
  arrow logs logged >out 2>err
  printf 'one\na\tb"\\\n\xef\xbf\xbd\xe2\x82\xac\nlate\nend' | cmp - out
  [ "$(cat err)" = two ]
  [ "$(arrow logs --tail 2 logged)" = $'late\nend' ]
  [ -z "$(arrow logs --tail 0 logged 2>&1)" ]
  [ "$(arrow logs --details --tail 2 logged)" = $'MODE=x%2Cy,kind=a+b late\nMODE=x%2Cy,kind=a+b end' ]
  [ "$(arrow logs -t --tail 1 logged | cut -d ' ' -f 2)" = end ]
  late=$(jq -r 'select(.log == "late\n").time' "$log")
  [ "$(arrow logs --since "$late" logged)" = $'late\nend' ]
  [ "$(arrow logs --until "${late%.*}Z" logged 2>&1 | grep -c late)" -eq 0 ]
  [ "$(arrow logs --since 1h logged 2>&1 | wc -l)" -eq 5 ]
  [ "$(arrow logs --since '' --until '' --tail '' logged 2>&1 | wc -l)" -eq 5 ]
  [ -z "$(arrow logs --since "$(date -d '+1 hour' +%s)" logged 2>&1)" ]
  run -1 arrow logs --since nonsense logged
  run -1 arrow logs no-such-arrow
}

@test "logs: a follower sees every line over rotations, and the end" {
  arrow run -d --name turns --log-opt max-size=200k --log-opt max-file=3 "$B" sh -c \
    'sleep 1; i=0; while [ $i -lt 20000 ]; do echo "a line with the number $i"; i=$((i + 1)); done' >/dev/null
  arrow logs -f turns >out
  seq -f 'a line with the number %.0f' 0 19999 | cmp - out
  dir=$(echo "$ARROW_DATA_DIR"/arrows/*/)
  [ "$(ls "$dir" | grep -c '^log.json')" -eq 3 ]
  for file in "$dir"log.json*; do [ "$(stat -c %s "$file")" -le 204800 ]; done
  arrow logs turns >kept
  tail -n "$(wc -l <kept)" out | cmp - kept
  [ "$(tail -n 1 kept)" = 'a line with the number 19999' ]
  run -125 arrow run --log-opt max-size=x "$B" true
  run -125 arrow run --log-opt max-size=0 "$B" true
  run -125 arrow run --log-opt max-size=-1 --log-opt max-file=3 "$B" true
  run -125 arrow run --log-driver nothing "$B" true
  [ "$(arrow inspect turns | jq -cS '.[0].HostConfig.LogConfig.Config')" = '{"max-file":"3","max-size":"200k"}' ]
  arrow create --name plain "$B" true
  [ "$(arrow inspect plain | jq -cS '.[0].HostConfig.LogConfig.Config')" = '{"max-file":"3","max-size":"10m"}' ]
  arrow run --log-driver none --name quiet "$B" echo x
  run -1 arrow logs quiet
  [[ $output == *'has no log'* ]]
}

@test "logs: a full disk loses neither the program nor its exit status, and says what it lost" {
  [ "$(id -u)" = 0 ] || skip "needs root to mount a small file system"
  arrow create --name warm "$B" true >/dev/null # the image is made outside
  arrow rm warm
  mkdir -p small/arrows
  unshare -m sh -c '
    mkdir -p "$ARROW_DATA_DIR/arrows"
    mount -t tmpfs -o size=400k small "$ARROW_DATA_DIR/arrows"
    "$ARROW" run --name full "$0" sh -c "i=0; while [ \$i -lt 20000 ]; do echo \"a line that takes room \$i\"; i=\$((i + 1)); done; exit 44" >out
    echo $? >status
    dd if=/dev/zero of="$ARROW_DATA_DIR/arrows/fill" bs=1k 2>/dev/null
    "$ARROW" inspect full >ps
    cp "$ARROW_DATA_DIR"/arrows/*/log.json .
    rm "$ARROW_DATA_DIR/arrows/fill"
    "$ARROW" rm full' "$B"
  [ "$(cat status)" -eq 44 ]
  [ "$(wc -l <out)" -eq 20000 ]
  [ "$(jq -r '.[].State.ExitCode' ps)" = 44 ]
  [ "$(jq -r '.[].State.Status' ps)" = exited ]
  # What is there is whole.
  jq -e -s 'length > 100' log.json
}

@test "restart: on-failure so many times, always with back-off, until it is stopped" {
  arrow run -d --name fails --restart on-failure:2 "$B" sh -c 'echo run; exit 1' >/dev/null
  wait_for 60 is fails status exited
  is fails restarts 2
  is fails exit_code 1
  [ "$(arrow logs fails | wc -l)" -eq 3 ]
  arrow run -d --name well --restart on-failure "$B" true >/dev/null
  [ "$(arrow wait well)" = 0 ]
  wait_for 60 is well status exited
  is well restarts 0

  arrow run -d --name ever --restart always "$B" sh -c 'echo run; sleep 0.2' >/dev/null
  wait_for 60 sh -c '[ "$("$ARROW" logs ever | wc -l)" -ge 3 ]'
  arrow ps | grep -q ever
  arrow stop ever
  is ever status exited
  lines=$(arrow logs ever | wc -l)
  sleep 1
  [ "$(arrow logs ever | wc -l)" -eq "$lines" ]
  # QEMU is killed: that is a failure like others.
  arrow run -d --name hit --restart unless-stopped "$B" sleep 1000 >/dev/null
  kill -KILL "$(value hit vm_pid)"
  wait_for 60 is hit restarts 1
  wait_for 60 is hit status running
  run -125 arrow run --rm --restart always "$B" true
  run -125 arrow run --restart sometimes "$B" true
}

@test "health: starting, healthy, unhealthy, and what the checks said" {
  arrow run -d --name fit --health-cmd 'echo looked; test -e /fit' --health-interval 300ms --health-retries 2 "$B" \
    sh -c 'ln -s busybox /bin/sh; touch /fit; sleep 4; rm /fit; exec sleep 1000' >/dev/null
  wait_for 60 is fit Health.Status healthy
  arrow ps | grep -qE 'Up .* \(healthy\) .*fit$'
  wait_for 60 is fit Health.Status unhealthy
  [ "$(value fit 'Health.Log[-1].ExitCode')" = 1 ]
  [ "$(value fit 'Health.Log[-1].Output')" = looked ]
  [ "$(value fit 'Health.Log | length')" -le 5 ]
  arrow run -d --name slow --health-cmd 'exec sleep 1000' --health-interval 100ms --health-timeout 500ms \
    --health-retries 1 "$B" sh -c 'ln -s busybox /bin/sh; exec sleep 1000' >/dev/null
  arrow run -d --name early --health-cmd 'printf %05000d 0; false' --health-start-interval 100ms --health-start-period 1000s "$B" \
    sh -c 'ln -s busybox /bin/sh; exec sleep 1000' >/dev/null
  wait_for 60 is slow Health.Status unhealthy
  wait_for 60 eval "value slow 'Health.Log[-1].Output' | grep -q 'took longer'"
  wait_for 60 is early 'Health.Log | length' 5
  is early Health.Status starting
  # The first of them may have come before the shell.
  is early 'Health.Log[-1].Output | length' 4096
  arrow ps | grep -qE '\(health: starting\) .*early$'
  arrow create --name none --no-healthcheck "$B" true >/dev/null
  is none Health.Status null
  arrow stop -t 0 fit slow early
  is fit Health.Status null
  run -125 arrow run --health-interval 5 "$B" true
  run -125 arrow run --health-cmd true --no-healthcheck "$B" true
}

@test "boot: what runs again after the host went down, and what does not" {
  arrow run -d --name yes --restart always "$B" sleep 1000 >/dev/null
  arrow run -d --name unless --restart unless-stopped "$B" sleep 1000 >/dev/null
  arrow run -d --name stopped --restart unless-stopped "$B" sleep 1000 >/dev/null
  arrow run -d --name no "$B" sleep 1000 >/dev/null
  arrow stop -t 0 stopped
  # As a power failure: no keeper lives, and what was of this boot is gone.
  # Each look at an Arrow settles those whose keeper is gone, so all are looked up before.
  keepers=$(for name in yes unless no; do value $name keeper_pid; done)
  # shellcheck disable=SC2086
  kill -KILL $keepers
  rm -rf "$ARROW_RUN_DIR/arrows"
  for name in yes unless no; do
    wait_for 30 is $name status exited
    is $name exit_code 137
    [ "$(value $name error)" = 'the host went down while it ran' ]
  done
  run -0 arrow boot start
  [ "$output" = $'yes\nunless' ]
  [ "$(arrow ps --format '{{.Names}}' | sort | xargs)" = 'unless yes' ]
  arrow boot stop
  [ -z "$(arrow ps -q)" ]
  is unless manual_stop false
  run -0 arrow boot start
  [ "$output" = $'yes\nunless' ]
}

@test "killed: a keeper; its Arrow exited with 137, and starts again" {
  arrow run -d --name hit "$B" sleep 1000 >/dev/null
  vm=$(value hit vm_pid) keeper=$(value hit keeper_pid)
  kill -KILL "$keeper"
  wait_for 30 gone "$vm"
  wait_for 30 is hit status exited
  is hit exit_code 137
  [ "$(value hit error)" = "its keeper (process $keeper) was killed" ]
  run -0 arrow wait hit
  [ "$output" = 137 ]
  arrow start hit
  is hit status running
  is hit exit_code 0
}

@test "killed: two starts, stops and removals at once leave one Arrow or none" {
  arrow create --name race "$B" sleep 1000 >/dev/null
  for _ in 1 2 3 4; do "$ARROW" start race >/dev/null 2>&1 & done
  wait
  is race status running
  [ "$(pgrep -c -f "arrow-race" || true)" -le 1 ]
  for _ in 1 2 3; do "$ARROW" stop -t 0 race >/dev/null & "$ARROW" kill race >/dev/null 2>&1 & done
  wait
  is race status exited
  for _ in 1 2 3; do "$ARROW" rm -f race >/dev/null 2>&1 & done
  wait
  [ -z "$(arrow ps -aq)" ]
}

@test "killed: what loses a race of stop, kill, restart and rm says why" {
  # at_once COMMAND...: its status and what it says.
  at_once() {
    local status=0
    "$ARROW" "$@" race >/dev/null 2>"said.$n" || status=$?
    echo "$status $*" >"ended.$n"
  }
  n=0
  for _ in 1 2 3; do
    arrow run -d --name race "$B" sleep 1000 >/dev/null
    for command in 'stop -t 0' kill 'restart -t 0' 'rm -f' 'stop -t 1' 'kill -s TERM' rm 'rm -f' start kill; do
      n=$((n + 1))
      # shellcheck disable=SC2086
      at_once $command &
    done
    wait
    arrow rm -f race >/dev/null 2>&1
  done
  for ended in ended.*; do
    read -r status command <"$ended"
    echo "$command: $status $(cat "said.${ended#*.}")"
    [ "$status" -eq 0 ] || [ -s "said.${ended#*.}" ]
    # Each line has words behind "arrow:", and what follows a colon is not empty.
    run ! grep -vE '^arrow: .*[[:alnum:]].*[^: ]$' "said.${ended#*.}"
  done
  [ -z "$(arrow ps -aq)" ]
}
