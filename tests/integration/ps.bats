#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# arrow ps and arrow inspect.

setup_file() {
  load common
  arrow_setup_file
  export ARROW=$BARE # without --rm: what ended is kept
  export B=$BUSYBOX
}

setup() {
  load common
  cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
  arrow ps -aq | xargs -r "$ARROW" rm -f >/dev/null
}

@test "ps: nothing runs" {
  run -0 arrow ps
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == 'ARROW ID'*NAMES ]]
  [ -z "$(arrow ps --format json)" ]
  run -0 arrow ps -q
  [ -z "$output" ]
}

@test "ps: two Arrows, by name and label, as a table, as JSON and as ids" {
  id=$(arrow run -d --name first -l tier=web -l 'note=a b' "$B" sleep 1000)
  arrow run -d --name second -l tier=db "$B" sh -c $'sleep 1000 # \e[31m a command that is too long'

  arrow ps --format json >json
  [ "$(jq -r .Names json | xargs)" = 'second first' ]
  [ ${#id} -eq 64 ]
  # An object a line, whose fields docs/commands.md lists.
  [ "$(wc -l <json)" -eq 2 ]
  [ "$(jq -r 'keys_unsorted[]' json | sort -u | xargs)" = "$(sed -n '/^JSON has one object a line/,/^$/p' \
    "$SOURCE/docs/commands.md" | grep -o '`[A-Z][A-Za-z]*`' | tr -d '`' | sort -u | xargs)" ]
  arrow ps >table
  [ "$(wc -l <table)" -eq 3 ]
  grep -qE "^${id:0:12} +busybox +\"$B sleep …\" .* ago +Up .* first\$" table
  # A command is cut, and nothing in it reaches the terminal as it is.
  arrow ps --no-trunc >table
  run ! grep -q $'\e' table
  grep -qE "^$id +$B " table
  grep -q "a command that is too long'\"" table
  # Columns are aligned: every name begins at the same place.
  [ "$(awk '{ print match($0, /(NAMES|first|second)$/) }' table | sort -u | wc -l)" -eq 1 ]

  [ "$(arrow ps -q | wc -l)" -eq 2 ]
  [ "$(arrow ps -q -f name=irs)" = "${id:0:12}" ]
  [ "$(arrow ps -q --no-trunc --filter name=first)" = "$id" ]
  [ "$(arrow ps -q --no-trunc -f name=first -f is-task=false)" = "$id" ]
  [ -z "$(arrow ps -aq -f is-task=true)" ]
  [ "$(arrow ps -q -f name=first -f name=second | wc -l)" -eq 2 ]
  # Names and ids are regular expressions, with Docker's slash or without; nothing given is no filter.
  [ "$(arrow ps -q -f name=^first$)" = "${id:0:12}" ]
  [ "$(arrow ps -q -f name=^/first$)" = "${id:0:12}" ]
  [ "$(arrow ps -q -f 'name=^(first|second)$' | wc -l)" -eq 2 ]
  [ -z "$(arrow ps -q -f name=^irst)" ]
  [ -z "$(arrow ps -q -f 'name=[')" ]
  [ "$(arrow ps -q -f "id=^${id:0:7}")" = "${id:0:12}" ]
  [ "$(arrow ps -q -f "id=${id:5:20}")" = "${id:0:12}" ]
  [ "$(arrow ps -q -f '' -f name= | wc -l)" -eq 2 ]
  [ "$(arrow ps -q -n -1 | wc -l)" -eq 2 ]
  [ "$(arrow ps -q -f label=tier | wc -l)" -eq 2 ]
  [ "$(arrow ps -q -f label=tier=web)" = "${id:0:12}" ]
  [ "$(arrow ps -q -f label=tier=web -f 'label=note=a b')" = "${id:0:12}" ]
  [ -z "$(arrow ps -q -f label=tier=web -f name=second)" ]
  [ -z "$(arrow ps -q -f label=ti)" ]
  [ "$(arrow ps -q -f since=first)" = "$(arrow ps -q -f name=second)" ]
  [ "$(arrow ps -q -f before=second)" = "${id:0:12}" ]
  [ "$(arrow ps -f label=tier=db --format json | jq -r .Labels)" = tier=db ]
  [ "$(arrow ps -f name=first --format '{{.Names}} {{.State}} {{.Image}}')" = 'first running busybox' ]
  [ "$(arrow ps -q -l)" = "$(arrow ps -q -n 1)" ]

  arrow rm -f first second
  [ -z "$(arrow ps -aq)" ]
}

@test "ps: those that ended, by status and exit code" {
  run -3 arrow run --name three "$B" sh -c 'exit 3'
  run -0 arrow run --name zero "$B" true
  arrow create --name never "$B" true
  [ -z "$(arrow ps -q)" ]
  [ "$(arrow ps -a --format '{{.Names}}' | xargs)" = 'never zero three' ]
  [ "$(arrow ps -a --format '{{.Names}}' -f exited=3)" = three ]
  [ "$(arrow ps --format '{{.Names}}' -f status=created)" = never ]
  [ "$(arrow ps --format '{{.Names}}' -f status=exited -f status=created | wc -l)" -eq 3 ]
  [[ $(arrow ps -a -f name=three --format '{{.Status}}') == 'Exited (3) '*' ago' ]]
  # What cannot match is an error, as Docker has it.
  for filter in status=gone status=Running exited=x health=fine is-task=maybe expose=http publish=90-80 publish=80/; do
    run -1 --separate-stderr arrow ps -a -f "$filter"
    [[ $stderr == *"invalid filter '$filter'"* ]]
  done
  arrow create --name ports --expose 8000/udp --expose 90 "$B" true
  [ "$(arrow ps -a --format '{{.Names}}' -f expose=7999-8001/udp)" = ports ]
  [ "$(arrow ps -a --format '{{.Names}}' -f expose=80-90)" = ports ]
  [ -z "$(arrow ps -aq -f expose=8000)" ]
  [ -z "$(arrow ps -aq -f publish=90)" ]
  arrow rm ports
  [ "$(arrow ps -a --format 'table {{.Names}}\t{{.State}}' -f name=zero)" = $'NAMES     STATE\nzero      exited' ]
}

@test "ps: a program, an argument and a label that are not UTF-8" {
  cp "$B" $'busybox\xff'
  arrow run -d --name odd -l $'a=\xfe' $'./busybox\xff' sh -c 'sleep 1000; : "$0"' $'\xe9'
  arrow ps --format json >json
  [ "$(jq -r .Image json)" = 'busybox?' ]
  [ "$(jq -r .Labels json)" = 'a=?' ]
  arrow ps --no-trunc | grep -q 'busybox? sh -c .* ?"'
}

@test "ps: an Arrow starts while others are listed" {
  for i in 1 2 3 4 5; do
    while [ ! -e stop ]; do "$ARROW" ps -q >/dev/null || touch failed; done &
  done
  for i in 1 2 3; do arrow run --rm "$B" true || touch failed; done
  touch stop
  wait
  [ ! -e failed ]
}

@test "ps: a template that is none, or names a field that is not there" {
  arrow create --name one "$B" true
  for format in '{{.Nam}}' '{{.Names' '{{nosuch .ID}}' 'table {{end}}'; do
    run -1 --separate-stderr arrow ps -a --format "$format"
    [[ $stderr == 'arrow: --format: '* ]]
    [ -z "$output" ]
  done
}

@test "inspect: what Docker's scripts ask for" {
  arrow run -d --name web -e A=1 -w /tmp -l x=y -m 128m --hostname h --user 5:6 \
    --restart on-failure:3 -v "$PWD:/data:ro" --stop-signal INT "$B" sleep 1000
  ask() { arrow inspect -f "$1" web; }
  [ "$(ask '{{.State.Status}} {{.State.Running}} {{.State.ExitCode}}')" = 'running true 0' ]
  kill -0 "$(ask '{{.State.Pid}}')"
  [ "$(ask '{{.Name}} {{.Path}} {{join .Args " "}}')" = "/web $B sleep 1000" ]
  [ "$(ask '{{.Config.Hostname}} {{.Config.User}} {{.Config.WorkingDir}}')" = 'h 5:6 /tmp' ]
  [ "$(ask '{{index .Config.Labels "x"}}{{index .Config.Labels "none"}}')" = y ]
  [ "$(ask '{{range .Config.Env}}{{println .}}{{end}}' | grep -c '^A=1$')" = 1 ]
  [ "$(ask '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}')" = '134217728 1000000000' ]
  [ "$(ask '{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}')" = on-failure:3 ]
  [ "$(ask '{{range .Mounts}}{{.Source}}:{{.Destination}}:{{.RW}}{{end}}')" = "$PWD:/data:false" ]
  [ "$(ask '{{.Config.StopSignal}}')" = SIGINT ]
  [ "$(ask '{{json .State.Paused}}')" = false ]
  arrow kill web
  [ "$(ask '{{.State.Status}} {{.State.ExitCode}} {{.State.Pid}}')" = 'exited 137 0' ]

  arrow inspect web | jq -e '.[0].Id | length == 64' >/dev/null
  for format in '{{' '{{.Id' '{{end}}' '{{nosuch .Id}}'; do
    run -64 --separate-stderr arrow inspect -f "$format" web
    [[ $stderr == 'arrow: --format: '* ]]
  done
  run -1 --separate-stderr arrow inspect -f '{{.Nosuch}}' web
  run -1 --separate-stderr arrow inspect web nosuch
  [ "$(jq length <<<"$output")" -eq 1 ]
  [[ $stderr == *"no such Arrow or image: 'nosuch'"* ]]
}
