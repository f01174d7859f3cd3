#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# compare.sh TOOL IMAGE: one and the same use of TOOL, docker or arrow, in the current directory.
# Prints each command, its stdout and its exit status, with ids, times and ages made equal.
# shellcheck disable=SC2016 # the shell in the container expands these
set -u
TOOL=$1 IMAGE=$2
LOOP='trap "exit 3" TERM; trap "echo got USR1" USR1; echo ready; while :; do sleep 0.1; done'

normal() {
  sed -E -e 's/\b[0-9a-f]{64}\b/ID/g; s/\b[0-9a-f]{12}\b/SHORT/g' \
    -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+(\.[0-9]+)?(Z|[+-][0-9:]{5})/TIME/g' \
    -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8} \+0000 UTC/TIME/g' \
    -e 's/(Less than a second|About a minute|About an hour|[0-9]+ (second|minute|hour)s?)/AGE/g' \
    -e 's/AGE +/AGE /g; s/ +$//'
}

# t ARGS...: a command, its output and status.
t() {
  local status
  printf '$ %s\n' "$*"
  timeout -k 10 120 "$TOOL" "$@" >out 2>err </dev/null
  status=$?
  normal <out
  echo "= $status"
}

# until_ TEXT ARGS...: until the output of a command has this.
until_() {
  local text=$1 end=$((SECONDS + 60))
  shift
  until "$TOOL" "$@" 2>/dev/null | grep -q -- "$text"; do
    [ $SECONDS -lt $end ] || { echo "never: $text"; return; }
    sleep 0.1
  done
}

NAMES='{{.Names}} {{.State}} {{.Status}} {{.Image}} {{.Command}}'

echo '# made and started'
t create --name one -l a=1 -l b=two "$IMAGE" sh -c 'echo out; echo err >&2; sleep 0.2; echo last; exit 3'
t ps --format "$NAMES"
t ps -a --format "$NAMES"
t ps -a --no-trunc --format '{{.ID}} {{.Command}} {{.Labels}} {{.Mounts}} {{.Ports}}'
t ps -a --format '{{.Label "a"}} {{.Label "c"}}'
t inspect -f '{{.State.Status}} {{.State.Running}} {{.State.ExitCode}} {{.RestartCount}}' one
t inspect -f '{{json .Config.Cmd}} {{json .Config.Labels}} {{.Config.Image}} {{.Name}}' one
t inspect -f '{{.State.StartedAt}} {{.State.FinishedAt}} {{.State.Pid}} {{.State.OOMKilled}} {{.State.Error}}' one
t inspect -f '{{index .Config.Labels "b"}} {{len .Id}} {{.HostConfig.RestartPolicy.Name}} {{.HostConfig.AutoRemove}}' one
t start one
t wait one
t logs one
normal <err
t logs --tail 1 one
t logs -t one
t start -a one
normal <err
t wait one
t ps -a --format "$NAMES"
t ps -aq
t inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.Running}} {{.State.Pid}}' one

echo '# in the background'
t run -d --name two --hostname box -e GREETING=hello -w /tmp "$IMAGE" sh -c "$LOOP"
until_ ready logs two
t ps --format '{{.Names}} {{.Status}}'
t ps -a --filter status=exited --format '{{.Names}}'
t ps --filter name=tw --format '{{.Names}}'
t ps -a --filter label=a --format '{{.Names}}'
t ps -a --filter label=a=2 --format '{{.Names}}'
t ps -a --filter exited=3 --format '{{.Names}}'
t ps -a --filter before=two --format '{{.Names}}'
t ps -a --filter since=one --format '{{.Names}}'
t ps -a --filter "ancestor=$IMAGE" --format '{{.Names}}'
t ps -a -n 1 --format '{{.Names}}'
t ps -l -q
t ps --format 'table {{.Names}}\t{{.State}}'
t ps -a --filter name=one --format '{{json .Names}}{{json .State}}'
t exec two sh -c 'echo $GREETING; hostname; pwd; exit 5'
t exec -e A=b -w / -u 1000:1000 two sh -c 'echo $A; pwd; id -u; id -g'
t exec two /etc >etc
tail -n 1 etc
t exec -d two sh -c 'echo x >/tmp/detached'
until_ x exec two cat /tmp/detached
t exec nobody true
t exec one true
t kill -s USR1 two
until_ USR1 logs two
t logs two
t logs --tail 0 two
t logs --since 1h --tail 1 two
t logs --until 1h two
t pause two
t ps --format '{{.Names}} {{.State}} {{.Status}}'
t exec two true
t pause two
t unpause two
t unpause two
t inspect -f '{{.State.Paused}} {{.State.Running}}' two

echo '# files'
mkdir -p dir/below
echo one >dir/file
echo two >dir/below/file
t cp dir two:/tmp/copy
t exec two sh -c 'cat /tmp/copy/file /tmp/copy/below/file'
t cp two:/tmp/copy back
"$TOOL" cp two:/tmp/copy - | tar -t | sort
t cp dir/. two:/tmp
t exec two ls /tmp
t cp two:/nothing here
t cp dir nobody:/tmp
t cp nothing two:/tmp
t cp dir/file two:/no/such/place
find back | sort
t exec two touch /etc/new
t diff two | sort

echo '# renamed, stopped, removed'
t rename two three
t rename two four
t rename three one
t ps --format '{{.Names}}'
t rm three
t stop -t 20 three
t ps -a --filter name=three --format '{{.Names}} {{.Status}}'
t stop three
t kill three
t restart -t 20 three
until_ ready logs --tail 1 three
t inspect -f '{{.State.Status}} {{.State.ExitCode}}' three
t kill three
t wait three
t inspect -f '{{.State.Status}} {{.State.ExitCode}}' three
t rm three one
t rm three
t rm -f three
t ps -aq

echo '# in the foreground, and what goes wrong'
t run --rm "$IMAGE" sh -c 'exit 7'
t run --rm "$IMAGE" nothing
t run --rm "$IMAGE" /etc
t run --rm --nothing "$IMAGE" true
t run --rm -w relative "$IMAGE" true
t run --rm --name 'a b' "$IMAGE" true
t run --rm -u nobody_at_all "$IMAGE" true
t run --rm -m 1k "$IMAGE" true
t run --rm --restart always "$IMAGE" true
t run --rm -e A=1 -e B --env C=3 "$IMAGE" sh -c 'echo $A-$B-$C'
t run --rm --entrypoint /bin/echo "$IMAGE" by entrypoint
t run --rm --read-only "$IMAGE" touch /file
t run --rm --tmpfs /scratch "$IMAGE" touch /scratch/file
t run --rm --cap-drop ALL "$IMAGE" chown 1:1 /tmp
"$TOOL" run --rm -v "$PWD/dir:/volume:ro" "$IMAGE" cat /volume/file
t run --rm --init "$IMAGE" echo init
t run --name taken "$IMAGE" true
t run --name taken "$IMAGE" true
t create --name taken "$IMAGE" true
t run -d --name failed "$IMAGE" nothing
t inspect -f '{{.State.Status}} {{.State.ExitCode}}' failed
t ps -a --format '{{.Nothing}}'
t rm taken failed
t start nobody
t stop nobody
t kill nobody
t restart nobody
t logs nobody
t inspect nobody
t wait nobody
t rename nobody somebody
t rm nobody
t rm -f nobody
t top nobody
t port nobody
t attach nobody
t pause nobody
t cp nobody:/x .
t diff nobody
t update --restart no nobody
t ps --filter nothing=1
t kill -s NOTHING nobody
t logs --tail many nobody

echo '# restart policies, signals, events'
t run -d --name again --restart on-failure:2 "$IMAGE" false
until_ 'exited 2' inspect -f '{{.State.Status}} {{.RestartCount}}' again
t inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}' again
t update --restart no again
t inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}' again
t rm again
begin=$(date +%s)
t run -d --name sig --stop-signal INT "$IMAGE" sh -c 'trap "exit 9" INT; echo ready; while :; do sleep 0.1; done'
until_ ready logs sig
t exec sig true
t stop -t 20 sig
t wait sig
t rm sig
"$TOOL" events --since "$begin" --until "$(($(date +%s) + 1))" --filter container=sig \
  --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}' | tr -s ' '
"$TOOL" events --since "$begin" --until "$(date +%s)" --filter container=sig --filter event=die | normal
t run --rm -l 'odd=a,b=c' --name labels "$IMAGE" true
t container prune -f
