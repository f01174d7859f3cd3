#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What Arrow says of the host, of itself and of the Arrows that run: info, doctor, ps, version, help,
# manual pages and completion.

load common

SYSTEM=/var/lib/arrow
COMMANDS=(run ps template kernel info doctor version 'kernel build' 'kernel ls' 'kernel inspect' 'kernel rm' system 'system df' 'system prune' 'template ls' 'image sign' network 'network create' 'network ls' 'network connect')

setup_file() {
  arrow_setup_file
  # Where an ordinary user gets to, which bats's own folder is not.
  export OPEN
  OPEN=$(mktemp -d /var/tmp/arrow-info-XXXXXX)
  chmod 755 "$OPEN"
  cp "$ARROW" "$OPEN/arrow"
}

teardown_file() {
  rm -rf "$OPEN"
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  B=$BUSYBOX
}

# as_user COMMAND...: as a user without rights, with directories of his own.
as_user() {
  mkdir -p "$OPEN/home"
  chown 65534:65534 "$OPEN/home"
  env -i PATH="$PATH" HOME="$OPEN/home" ARROW_RUN_DIR="$OPEN/home/run" \
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# without_system COMMAND...: where the system's store is empty.
without_system() {
  # shellcheck disable=SC2016
  unshare --mount sh -c 'mount -t tmpfs none "$0" && exec "$@"' "$SYSTEM" "$@"
}

# check NAME [KEY]: what the doctor's JSON on stdin says of a check.
check() {
  jq -r --arg check "$1" ".[] | select(.check == \$check) | .${2:-state}"
}

# A private store with a copy of the system's kernel of a profile. Prints the kernel's id.
copy_kernel() {
  local id
  id=$(readlink "$SYSTEM/kernels/$2")
  mkdir -p "$1/kernels"
  cp -a "$SYSTEM/kernels/$2" "$SYSTEM/kernels/$id" "$1/kernels"
  echo "$id"
}

# Changes one byte of a file.
damage() {
  printf '\377' | dd of="$1" bs=1 seek=100000 conv=notrunc status=none
}

@test "info: a table and JSON of the same" {
  run -0 --separate-stderr arrow info
  [ -z "$stderr" ]
  table=$output
  arrow info --format json >json
  jq -e . json >/dev/null
  [[ $table == *"Engine:"*"$(jq -r .engine.name json) with"* ]]
  [[ $table == *"$(jq -r .kvm.reason json)"* ]]
  [[ $table == *"$(jq -r '.engines[0].version' json)"* ]]
  [[ $table == *"$(jq -r '.engines[0].path' json)"* ]]
  [ "$(jq .host.cpus json)" -eq "$(getconf _NPROCESSORS_ONLN)" ]
  [ "$(jq .host.memory json)" -eq $(($(awk '/^MemTotal/ { print $2 }' /proc/meminfo) * 1024)) ]
  [ "$(jq -r .user.name json)" = "$(id -un)" ]
  [ "$(jq -r .user.root json)" = true ]
  [ "$(jq -r .directories.data.path json)" = "$ARROW_DATA_DIR" ]
  [ "$(jq -r .directories.run.writable json)" = true ]
}

@test "info: the engine, KVM and what arrow run takes agree" {
  arrow info --format json >json
  case $(jq -r .kvm.usable json) in
  true) [ "$(jq -r .engine.accel json)" = kvm ] ;;
  false)
    [ "$(jq -r .engine.accel json)" = tcg ]
    run -125 arrow run --engine qemu:kvm "$B" true
    [[ $output == *"$(jq -r .kvm.reason json)"* ]]
    ;;
  esac
}

@test "info: control groups, devices and namespaces are those of this host" {
  arrow info --format json >json
  v1=$(grep -c ' - cgroup ' /proc/self/mountinfo || true)
  v2=$(grep -c ' - cgroup2 ' /proc/self/mountinfo || true)
  case $(jq -r .cgroups.layout json) in
  hybrid) want='true true' ;;
  v1) want='true false' ;;
  v2) want='false true' ;;
  none) want='false false' ;;
  esac
  [ "$(jq -nr "\"\($v1 > 0) \($v2 > 0)\"")" = "$want" ]
  jq -r '.cgroups.controllers[].group' json | while read -r dir; do [ -d "$dir" ]; done
  jq -r '.devices[] | "\(.usable) \(.path)"' json | while read -r usable path; do
    # Never opened where it is not: the shell would make it.
    can=false
    if [ -c "$path" ] && (exec 9<>"$path") 2>/dev/null; then can=true; fi
    [ "$usable" = "$can" ]
  done
  if setpriv --reuid=65534 --clear-groups unshare --user --mount true 2>/dev/null; then
    [ "$(jq -r .user.user_namespaces.usable json)" = true ]
  else
    [ "$(jq -r .user.user_namespaces.usable json)" = false ]
  fi
}

@test "info: kernels of every profile, and whether they are current" {
  arrow info --format json >json
  [ "$(jq -r '.kernels[].profile' json | sort | xargs)" = 'general micro' ]
  [ "$(jq -r '.kernels[] | select(.profile == "micro").state' json)" = current ]
  [ "$(jq -r '.kernels[] | select(.profile == "micro").id' json)" = "$(readlink "$SYSTEM/kernels/micro")" ]
  without_system "$ARROW" info --format json >json
  [ "$(jq -r '.kernels[].state' json | sort -u)" = missing ]

  # One that its profile names and that was made from another configuration.
  data=$BATS_TEST_TMPDIR/old
  id=$(copy_kernel "$data" micro)
  sed -i 's/"config_sha256": "./"config_sha256": "x/' "$data/kernels/$id/kernel.json"
  ARROW_DATA_DIR=$data without_system "$ARROW" info --format json >json
  [ "$(jq -r '.kernels[] | select(.profile == "micro").state' json)" = old ]
}

@test "info and doctor: a host that has neither QEMU nor mkfs.erofs" {
  without_system env PATH=/nonexistent "$ARROW" info --format json >json
  [ "$(jq -r '.engines[0].path' json)" = null ]
  [[ $(jq -r '.engines[0].problem' json) == *'sudo apt-get install qemu-system-x86'* ]]
  [ "$(jq -r .images.tool json)" = null ]

  status=0
  without_system env PATH=/nonexistent "$ARROW" doctor --format json >json || status=$?
  [ "$status" -eq 1 ]
  [ "$(check qemu <json)" = missing ]
  [ "$(check qemu mend <json)" = 'sudo apt-get install qemu-system-x86' ]
  [ "$(check mkfs.erofs <json)" = missing ]
  [ "$(check mkfs.erofs mend <json)" = 'sudo apt-get install erofs-utils' ]
  [[ $(check 'kernel build' mend <json) == 'sudo apt-get install'*' flex '* ]]
  run -1 without_system env PATH=/nonexistent "$ARROW" doctor
  [[ $output == *missing*qemu*'sudo apt-get install qemu-system-x86'* ]]
}

# bats test_tags=smoke
@test "doctor: one line a check, and JSON of the same" {
  run -0 --separate-stderr arrow doctor
  [ -z "$stderr" ]
  [[ ${lines[-1]} == 'Arrow can run programs here.' ]]
  arrow doctor --format json >json
  [ "$(jq length json)" -eq $((${#lines[@]} - 1)) ]
  [ "$(jq -r '.[].state' json | sort -u | grep -cvxE 'ok|optional')" -eq 0 ]
  jq -r '.[].check' json | while read -r check; do [[ $output == *"$check"* ]]; done
}

@test "doctor: kernels that are not built, and the command that builds them" {
  export ARROW_DATA_DIR=$BATS_TEST_TMPDIR/empty
  status=0
  without_system "$ARROW" doctor --format json >json || status=$?
  [ "$status" -eq 1 ]
  for profile in micro general; do
    [ "$(check "kernel $profile" <json)" = missing ]
    [ "$(check "kernel $profile" mend <json)" = "arrow kernel build $profile" ]
  done
}

@test "doctor: a damaged kernel is found by its digest, and --fix removes it" {
  export ARROW_DATA_DIR=$BATS_TEST_TMPDIR/data
  id=$(copy_kernel "$ARROW_DATA_DIR" micro)
  "$ARROW" doctor --format json >json || [ $? -eq 1 ]
  [ "$(check 'kernel micro' <json)" = ok ]
  [ "$(check 'kernel digests' <json)" = ok ]

  damage "$ARROW_DATA_DIR/kernels/$id/vmlinux"
  run -1 arrow doctor --format json
  [ "$(check 'damaged kernel' mend <<<"$output")" = 'arrow doctor --fix' ]
  [[ $(check 'damaged kernel' text <<<"$output") == "${id:0:12} (micro)"* ]]
  [ "$(check 'kernel micro' <<<"$output")" = missing ]
  [ "$(check 'kernel micro' text <<<"$output")" = damaged ]
  [ -e "$ARROW_DATA_DIR/kernels/$id" ]

  "$ARROW" doctor --fix --format json >json || [ $? -eq 1 ]
  [ "$(check 'damaged kernel' <json)" = fixed ]
  [ ! -e "$ARROW_DATA_DIR/kernels/$id" ]
  # The system's store has a whole one.
  [ "$(check 'kernel micro' <json)" = ok ]

  # A record that cannot be read is damage, too.
  id=$(copy_kernel "$ARROW_DATA_DIR" micro)
  echo '{' >"$ARROW_DATA_DIR/kernels/$id/kernel.json"
  run -1 arrow doctor --format json
  [[ $(check 'damaged kernel' text <<<"$output") == *unreadable* ]]
  "$ARROW" doctor --fix --format json >json || [ $? -eq 1 ]
  [ "$(check 'damaged kernel' <json)" = fixed ]
  [ ! -e "$ARROW_DATA_DIR/kernels/$id" ]
}

@test "doctor: what a killed keeper left is counted, and --fix removes it" {
  "$ARROW" run --name left "$B" sleep 100 2>err &
  pid=$!
  wait_for 60 running
  kill -KILL "$(state keeper_pid)"
  wait $pid || true
  [ -n "$(states)" ]

  arrow doctor --format json >json
  [ "$(check 'leftover Arrows' <json)" = optional ]
  [ "$(check 'leftover Arrows' mend <json)" = 'arrow doctor --fix' ]
  [[ $(check 'leftover Arrows' text <json) == *': 1' ]]
  [ -n "$(states)" ]

  arrow doctor --fix --format json >json
  [ "$(check 'leftover Arrows' <json)" = fixed ]
  assert_no_leftovers
  arrow doctor --format json >json
  [ "$(check 'leftover Arrows' <json)" = ok ]
}

@test "doctor --fix leaves an Arrow that runs, and an image in the making, alone" {
  "$ARROW" run --name alive "$B" sleep 100 &
  pid=$!
  wait_for 60 running
  mkdir -p "$ARROW_DATA_DIR/images/tmp-living"
  exec 8<"$ARROW_DATA_DIR/images/tmp-living"
  flock 8
  arrow doctor --fix --format json >json
  [ "$(check 'leftover Arrows' <json)" = ok ]
  [ -d "$ARROW_DATA_DIR/images/tmp-living" ]
  [ "$(arrow ps --format '{{.Names}}')" = alive ]
  exec 8<&-
  kill -TERM $pid
  wait $pid || true
  wait_for 30 assert_no_leftovers
  arrow doctor --fix --format json >json
  [ "$(check 'leftover images' <json)" = fixed ]
  [ ! -e "$ARROW_DATA_DIR/images/tmp-living" ]
}

@test "doctor: halves of images and builds are counted, and --fix removes them only" {
  export ARROW_DATA_DIR=$BATS_TEST_TMPDIR/data
  arrow run "$B" true
  before=$(cd "$ARROW_DATA_DIR/images" && find . -name '*.erofs')
  a=$(printf '%064d' 1) b=$(printf '%064d' 2)
  mkdir -p "$ARROW_DATA_DIR"/images/tmp-dead "$ARROW_DATA_DIR"/kernels/.build-dead/src
  echo x >"$ARROW_DATA_DIR/images/$a.erofs"
  echo {} >"$ARROW_DATA_DIR/images/$b.json"

  arrow doctor --format json >json
  [[ $(check 'leftover images' text <json) == *': 3' ]]
  [[ $(check 'leftover builds' text <json) == *': 1' ]]
  arrow doctor --fix --format json >json
  [ "$(check 'leftover images' <json)" = fixed ]
  [ "$(check 'leftover builds' <json)" = fixed ]
  [ "$(cd "$ARROW_DATA_DIR/images" && find . -name '*.erofs')" = "$before" ]
  [ ! -e "$ARROW_DATA_DIR/images/tmp-dead" ]
  [ ! -e "$ARROW_DATA_DIR/kernels/.build-dead" ]
  arrow doctor --format json | jq -e 'all(.state != "fixed")' >/dev/null
}

@test "doctor: directories that cannot be used" {
  : >file
  ARROW_DATA_DIR=$PWD/file/data run -1 arrow doctor --format json
  [ "$(check directories <<<"$output")" = missing ]
  [[ $(check directories text <<<"$output") == *"$PWD/file/data"* ]]
  [[ $(check directories mend <<<"$output") == 'export ARROW_DATA_DIR='* ]]
  [[ $(check qemu <<<"$output") =~ ^(ok|optional)$ ]]
  mkdir open && chmod 777 open
  ARROW_RUN_DIR=$PWD/open run -1 arrow doctor
  [[ $output == *missing*directories*"$PWD/open"* ]]
}

@test "info and doctor as an ordinary user" {
  as_user "$OPEN/arrow" info --format json >json
  [ "$(jq -r .user.uid json)" -eq 65534 ]
  [ "$(jq -r .user.root json)" = false ]
  [ "$(jq -r .directories.data.path json)" = "$OPEN/home/.local/share/arrow" ]
  [ "$(jq -r '.kernels[] | select(.profile == "micro").state' json)" = current ]
  as_user "$OPEN/arrow" info | grep -q 'an ordinary user'

  run -0 as_user "$OPEN/arrow" doctor --fix --format json
  [ "$(check volumes <<<"$output")" = ok ] || [ "$(check volumes <<<"$output")" = optional ]
  # nobody has no range of ids, unless somebody gave it one.
  if ! grep -qE '^(nobody|65534):' /etc/subuid; then
    [[ $(check 'user ids' mend <<<"$output") == 'sudo usermod --add-subuids '*' nobody' ]]
  fi
}

@test "version: as text and JSON" {
  run -0 arrow version
  [[ $output =~ ^arrow\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
  [ "$(arrow --version)" = "$output" ]
  [ "arrow $(arrow version --format json | jq -r .version)" = "$output" ]
  # By Docker's names, which scripts ask for.
  [ "arrow $(arrow version -f '{{.Server.Version}}')" = "$output" ]
  [ "$(arrow version -f '{{.Client.Os}}/{{.Client.Arch}}')" = linux/amd64 ]
  [ "$(arrow info -f '{{.NCPU}} {{.OSType}} {{.KernelVersion}}')" = "$(getconf _NPROCESSORS_ONLN) linux $(uname -r)" ]
  [ "$(arrow info --format '{{.engine.name}}')" = "$(arrow info --format json | jq -r .engine.name)" ]
  for command in version info; do
    run -64 --separate-stderr arrow $command -f '{{.'
    [[ $stderr == *--format:* ]]
    run -1 arrow $command -f '{{.Nothing}}'
  done
}

@test "help: every command, each option once" {
  all=$(arrow help | sed -n 's/^  \([a-z]*\)  .*/\1/p' | grep -v '^help$')
  [ -z "$(sort <<<"$all" | uniq -d)" ]
  for command in $all; do
    run -0 arrow "$command" --help
    [[ ${lines[0]} == "Usage: arrow $command"* ]]
  done
  arrow help | cmp - <(arrow --help)
  for command in "${COMMANDS[@]}"; do
    # shellcheck disable=SC2086
    run -0 --separate-stderr arrow $command --help
    [ -z "$stderr" ]
    [[ ${lines[0]} == "Usage: arrow $command"* ]]
    [ -z "$(options_of <<<"$output" | sort | uniq -d)" ]
  done
  for command in run ps template info doctor version 'kernel ls' 'system prune'; do
    # shellcheck disable=SC2086
    arrow help $command | cmp - <(arrow $command --help)
  done
}

# The options that a help text lists.
options_of() {
  sed -n 's/^ *\(-[^ ]\), \(--[a-z0-9-]*\).*/\1\n\2/p; s/^ *\(--[a-z0-9-]*\).*/\1/p'
}

@test "wrong use is told on stderr, with the status that Docker has" {
  for command in "${COMMANDS[@]}"; do
    # shellcheck disable=SC2086
    run -125 --separate-stderr arrow $command --no-such-option
    [ -z "$output" ]
    [[ $stderr == arrow* ]]
  done
  for command in doctor 'kernel ls'; do
    # shellcheck disable=SC2086
    run -125 --separate-stderr arrow $command --format yaml
    [[ $stderr == *"--format takes table or json, not 'yaml'"* ]]
  done
  # As Docker: what is missing or superfluous is 1, as what comes to light once a command does its work.
  for command in info doctor version 'kernel ls' 'images one' 'ps' 'diff one' 'tag a b' 'load' 'network create one'; do
    # shellcheck disable=SC2086
    run -1 --separate-stderr arrow $command superfluous
    [ -n "$stderr" ]
  done
  for command in run create exec 'exec one' save tag 'tag one' import pull push rmi history inspect logs stop kill wait \
    'rename one' rm top diff port 'cp one' update export 'network create' 'volume rm' 'image inspect' build login; do
    # shellcheck disable=SC2086
    run -1 --separate-stderr arrow $command </dev/null
    [ -n "$stderr" ]
  done
  for command in 'save none' 'load -i /none' 'tag none other' 'import /none' 'rmi none' 'history none' 'inspect none' \
    'image inspect none' 'export none out' 'logs none' 'start none' 'start -a none' 'attach none' 'stop none' 'kill none' \
    'wait none' 'rename none other' 'rm none' 'top none' 'stats --no-stream none' 'diff none' 'port none' 'cp none:/a .' \
    'cp a b' 'update --cpus 1 none' 'exec none true' 'network rm none' 'network inspect none' 'network connect none none' \
    'volume rm none' 'volume inspect none' 'kernel rm none' 'template rm none' 'push localhost:1/none' \
    'pull localhost:1/none' 'pull NONE' 'build /none' 'create --pull never none' 'image sign --key /none none'; do
    # shellcheck disable=SC2086
    run -1 --separate-stderr arrow $command </dev/null
    [[ $stderr == *arrow:* ]]
  done
  run -125 arrow run --pull never none
  run -127 arrow run /none
  run -127 arrow run ./none
  for command in ps images 'network ls' 'volume ls' events 'image prune -f' 'network prune -f' 'container prune -f'; do
    # shellcheck disable=SC2086
    run -125 --separate-stderr timeout 60 "$ARROW" $command --filter name
    [[ $stderr == *"--filter: invalid filter 'name': give KEY=VALUE; 'arrow ${command% -f} --help' lists the keys" ]]
    # shellcheck disable=SC2086
    run -1 --separate-stderr timeout 60 "$ARROW" $command --filter x=1
    [[ $stderr == *"--filter: invalid filter 'x=1': 'arrow ${command% -f} --help' lists the keys and their values" ]]
  done
  for filter in tier=web label= =x; do
    run -1 --separate-stderr arrow ps --filter "$filter"
    [[ $stderr == *"invalid filter '$filter'"* ]]
  done
  for words in no-such-command 'help no-such-command' 'help image no-such-command' \
    'image no-such-command' 'kernel no-such-command' 'container no-such-command' 'container kernel'; do
    # shellcheck disable=SC2086
    run -1 --separate-stderr arrow $words
    [[ $stderr == "arrow: no such command: ${words#help }; 'arrow"*"--help' lists them" ]]
  done
}

@test "a group of commands lists them, as help or where none is named" {
  groups=$(sed -n 's/^\tGROUP(\([a-z]*\),.*/\1/p' "$SOURCE/cli/commands.h")
  [ "$(wc -w <<<"$groups")" -ge 7 ]
  for group in $groups; do
    run -0 --separate-stderr arrow $group
    [ -z "$output" ]
    cmp <(echo "$stderr") <(arrow $group --help)
    run -1 --separate-stderr arrow $group no-such
    [ "$stderr" = "arrow: no such command: $group no-such; 'arrow $group --help' lists them" ]
    run -125 --separate-stderr arrow $group --no-such
    [[ $stderr == *'no such command'*" --no-such;"* ]]
  done
  arrow network --help | grep -q '^  disconnect  *disconnect an Arrow'
  run -0 --separate-stderr arrow
  cmp <(echo "$stderr") <(arrow --help)
}

@test "wrong use: the beginning of an option is not taken for it" {
  run -125 --separate-stderr arrow run --pid host /bin/true
  [ "$stderr" = "arrow run: unknown option '--pid'; did you mean '--pids-limit'?" ]
  run -125 --separate-stderr arrow run -m 64m --nam=x /bin/true
  [ "$stderr" = "arrow run: unknown option '--nam'; did you mean '--name'?" ]
  run -125 --separate-stderr arrow ps -n 3 --al
  [ "$stderr" = "arrow ps: unknown option '--al'; did you mean '--all'?" ]
  run -125 --separate-stderr arrow kernel ls --nonsense
  [ "$stderr" = "arrow kernel ls: unknown option '--nonsense'; 'arrow kernel ls --help' lists the options" ]
  # Values and what belongs to the program are not options.
  run -0 arrow ps --filter name=--al
  run -0 arrow ps -a --format --al
  run -125 --separate-stderr arrow run --kernel no-such-kernel /bin/true --nam
  [[ $stderr != *--nam* ]]
}

@test "wrong use: an error about a value names the option" {
  run -125 --separate-stderr arrow run --pids-limit host /bin/true
  [[ $stderr == "arrow: --pids-limit: "*"'host'"* ]]
  run -125 --separate-stderr arrow create -m much /bin/true
  [[ $stderr == "arrow: --memory: "*"'much'"* ]]
  # Whatever follows, which is the program's.
  run -125 --separate-stderr arrow run -d --name w image httpd -f -p 80
  [[ $stderr == "arrow: --name: invalid name 'w'"* ]]
  run -125 --separate-stderr arrow exec -w here there true
  [[ $stderr == "arrow: --workdir: "*"'here'"* ]]
  run -125 --separate-stderr arrow update --cpus none x
  [[ ${stderr_lines[0]} == "arrow update: --cpus: "*"'none'"* ]]
  run -1 --separate-stderr arrow kill -s NONE x
  [[ ${stderr_lines[0]} == "arrow kill: --signal: "*NONE* ]]
  run -125 --separate-stderr arrow stop -t never x
  [[ ${stderr_lines[0]} == "arrow stop: --time: "*"'never'"* ]]
}

# Every command, as it is written behind arrow.
all_commands() {
  local name sub
  for name in $(arrow help | sed -n 's/^  \([a-z]*\)  .*/\1/p' | grep -vx help); do
    if grep -q "GROUP($name," "$SOURCE/cli/commands.h"; then
      for sub in $(arrow "$name" --help | sed -n '1,/^Commands:$/d; s/^  \([a-z]*\)  .*/\1/p'); do
        echo "$name $sub"
      done
    else
      echo "$name"
    fi
  done
}

@test "wrong use: of every command, an error names the option" {
  # What takes any text, and what is looked up only once the command does its work.
  any='--(alias|cidfile|cmd|dns-option|dns-search|engine|entrypoint|env|file|format|from|gateway|group-add|health-cmd|iidfile|input|ip-range'
  any+='|kernel|key|label|log-driver|message|network|network-alias|opt|output|password|rootfs|sign|source|subnet|tag|user|username|verify)'
  all_commands >commands
  [ "$(wc -l <commands)" -gt 70 ]
  # Hundreds of them, none of which starts an Arrow: without the shell that adds --rm.
  arrow() { "$BARE" "$@"; }
  sort -u commands | while read -r command; do
    # "container ls" and others are another command by a longer name.
    [[ $command != image\ * || $command == 'image prune' ]] || continue
    # shellcheck disable=SC2086
    run -125 --separate-stderr arrow $command --no-such-option
    [[ $stderr == *"'--no-such-option'"* ]]
    # shellcheck disable=SC2086
    arrow $command --help | sed -n 's/^ *\(-., \)*\(--[a-z0-9-]*\)=.*/\2/p' >options
    read -r option <options || continue
    # shellcheck disable=SC2086
    run -125 --separate-stderr arrow $command "$option"
    [[ $stderr == *"'$option' requires an argument"* ]]
    while read -r option; do
      [[ ! $option =~ ^$any$ ]] || continue
      # Those of registries take any platform that an image has.
      [[ ! "$command $option" =~ ^(push|pull)\ --platform$ ]] || continue
      operands=
      [[ ! $command =~ ^(run|create)$ ]] || operands=./none
      status=0
      # shellcheck disable=SC2086
      arrow $command "$option" '!bad,' $operands >out 2>err </dev/null || status=$?
      echo "$command $option: $status $(<err)"
      [ "$status" -ne 0 ]
      [[ $(<err) == *"$option"* ]]
    done <options
  done
}

@test "every option of run is taken" {
  arrow run --help | sed -n 's/^ *\(-., \)*\(--[a-z0-9-]*\)\(=.\)*.*/\2 \3/p' | grep -v -e '^--help' -e '^--usage' >options
  [ "$(wc -l <options)" -gt 60 ]
  while read -r option value; do
    status=0
    arrow run "$option" ${value:+1} ./none 2>err </dev/null || status=$?
    echo "$option: $status $(cat err)"
    # A wrong value, or one that is fine and a program that is not there.
    [ "$status" -eq 125 ] || [ "$status" -eq 127 ]
    [[ $(cat err) == 'arrow: '* ]]
  done <options
}

@test "output that cannot be written is an error" {
  [ -e /dev/full ]
  run -1 sh -c '"$ARROW" ps >/dev/full'
  for command in info doctor version; do
    for format in table json; do
      status=0
      "$ARROW" $command --format $format >/dev/full 2>err || status=$?
      wanted=1
      [ $command != doctor ] || wanted=125
      [ "$status" -eq $wanted ]
      grep -q 'cannot write the output: No space left on device' err
    done
  done
}

@test "manual pages have every option and command of --help" {
  man=$(dirname "$BARE")/man
  ninja -C "$(dirname "$BARE")" --quiet manuals
  [ -s "$man/arrow.1" ]
  for command in "${COMMANDS[@]}"; do
    page=$man/arrow-${command// /-}.1
    [ -s "$page" ]
    sed 's/\\-/-/g' "$page" >text
    grep -q "arrow-${command// /-} - " text
    # shellcheck disable=SC2086
    arrow $command --help | options_of | while read -r option; do
      grep -qE -- "(^|[^a-z-])$option([^a-z-]|\$)" text || {
        echo "$option is not in $page"
        false
      }
    done
  done
  sed 's/\\-/-/g' "$man/arrow.1" >text
  for command in $(arrow help | sed -n 's/^  \([a-z]*\)  .*/\1/p'); do
    grep -qx "$command" text || grep -q "$command" text
  done
}

@test "make install: the command, its pages and its completion, below DESTDIR and PREFIX" {
  [ "$(dirname "$BARE")" = "$SOURCE/build" ] || skip 'not the build folder that make knows'
  make -C "$SOURCE" --no-print-directory DESTDIR="$PWD/root" install
  bin=$(find root -type f -name arrow -perm -111)
  [ -n "$bin" ]
  prefix=${bin%/bin/arrow}
  "$bin" version
  [ -s "$prefix/share/man/man1/arrow-run.1" ]
  cmp "$SOURCE/completions/arrow.bash" "$prefix/share/bash-completion/completions/arrow"
}

# complete_line LINE: what bash would offer, one a line.
complete_line() {
  PATH=$(dirname "$BARE"):$PATH bash -c '
    source "$1/completions/arrow.bash"
    complete -p arrow >/dev/null || exit 1
    COMP_LINE=$2 COMP_POINT=${#2}
    read -ra COMP_WORDS <<<"$2"
    _arrow
    printf "%s\n" "${COMPREPLY[@]}"
  ' - "$SOURCE" "$1"
}

@test "completion: commands, options, values" {
  for command in run ps kernel info doctor version help; do
    complete_line 'arrow ' | grep -qx "$command"
  done
  [ "$(complete_line 'arrow do')" = doctor ]
  [ "$(complete_line 'arrow help do')" = doctor ]
  [ "$(complete_line 'arrow kernel ' | xargs)" = 'build ls inspect rm --help' ]
  [ "$(complete_line 'arrow system ' | xargs)" = 'df prune events info --help' ]
  [ "$(complete_line 'arrow boot ' | xargs)" = 'start stop --help' ]
  [ "$(complete_line 'arrow network con')" = connect ]
  [ "$(complete_line 'arrow network ls --no')" = --no-trunc ]
  for command in run ps info doctor version 'kernel build' 'kernel ls'; do
    # shellcheck disable=SC2086
    arrow $command --help | options_of | grep -vxF -e '-?' | sort >want
    complete_line "arrow $command -" | sort | cmp - want
  done
  [ "$(complete_line 'arrow run --engine ' | xargs)" = 'qemu qemu:kvm qemu:tcg' ]
  [ "$(complete_line 'arrow run --engine=qemu' | xargs)" = 'qemu qemu:kvm qemu:tcg' ]
  # bash keeps what stands before the colon.
  [ "$(complete_line 'arrow run --engine qemu:k')" = kvm ]
  [ "$(complete_line 'arrow info --format ' | xargs)" = 'table json' ]
  complete_line 'arrow run --kernel ' | grep -qx micro
  [ "$(complete_line 'arrow ps -f ' | xargs)" = 'name= label=' ]
}

@test "completion: every engine that it offers is one" {
  for engine in $(complete_line 'arrow run --engine '); do
    run arrow run --engine "$engine" "$B" true
    [[ $output != *'no such'* ]]
  done
}

@test "completion: values of options are not the program, and behind it all is the program's" {
  mkdir d && : >d-file
  [ "$(complete_line 'arrow run -e A=b -m 64m --rm --nam')" = --name ]
  [ "$(complete_line 'arrow run --rm d-f')" = d-file ]
  [ "$(complete_line 'arrow run --rootfs d')" = d ]
  [ -z "$(complete_line 'arrow run ./prog --na')" ]
  [ "$(complete_line 'arrow run ./prog d-f')" = d-file ]
}
