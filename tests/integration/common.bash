# SPDX-License-Identifier: Apache-2.0
# What the integration tests share. ARROW names the built command.

bats_require_minimum_version 1.5.0

ARROW=${ARROW:-$BATS_TEST_DIRNAME/../../build/arrow}
ARROW=$(realpath "$ARROW")
SOURCE=$(realpath "$BATS_TEST_DIRNAME/../..")
BUSYBOX=/bin/busybox
export ARROW SOURCE
# Networks are for network.bats, which makes namespaces for them.
export ARROW_NETWORK=none
BATS_TEST_RETRIES=${ARROW_TEST_RETRIES:-0}

# Every file of tests has directories of its own; kernels are found in the system's store.
arrow_setup_file() {
  export ARROW_DATA_DIR=$BATS_FILE_TMPDIR/data ARROW_RUN_DIR=$BATS_FILE_TMPDIR/run
  export G=$BATS_FILE_TMPDIR/guests
  mkdir -p "$G"

  # What these tests run is removed with its end; lifecycle.bats tests what is kept, by $BARE.
  # ARROW_START=cold: every `arrow run` and `create` boots, instead of cloning; but in a test of clones,
  # which says `export ARROW_START=`.
  export BARE=$ARROW
  mkdir "$BATS_FILE_TMPDIR/bin"
  cat >"$BATS_FILE_TMPDIR/bin/arrow" <<END
#!/bin/sh
start=\${ARROW_START-${ARROW_START-}}
case "\$1" in
run) shift; set -- run --rm \${start:+--\$start} "\$@" ;;
create) shift; set -- create \${start:+--\$start} "\$@" ;;
esac
exec "$ARROW" "\$@"
END
  chmod +x "$BATS_FILE_TMPDIR/bin/arrow"
  export ARROW=$BATS_FILE_TMPDIR/bin/arrow
}

# guest NAME: builds tests/guests/NAME.c as a static program, once a file.
guest() {
  [ -x "$G/$1" ] || musl-gcc -static -O2 -pthread -o "$G/$1" "$SOURCE/tests/guests/$1.c"
}

# The deadline of one command: far above what the slowest machine needs.
arrow() {
  timeout -k 10 180 "$ARROW" "$@"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

# The state files of this file's Arrows.
states() {
  find "$ARROW_DATA_DIR/arrows" -name state.json 2>/dev/null
}

# state KEY: a value of the only Arrow that runs.
state() {
  jq -r ".$1" "$(states | head -n 1)"
}

running() {
  [ -n "$(states)" ] && [ "$(state status)" = running ]
}

# A process has ended. Whether its parent has taken note is not its matter: some inits look late.
gone() {
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
  [[ $stat == *') Z '* ]]
}

# Nothing of an Arrow is left: no state, no name, no process that names this directory.
assert_no_leftovers() {
  [ -z "$(ls "$ARROW_DATA_DIR/arrows" 2>/dev/null)" ]
  [ -z "$(ls -A "$ARROW_DATA_DIR/names" 2>/dev/null)" ]
  [ -z "$(ls -A "$ARROW_RUN_DIR/arrows" 2>/dev/null)" ]
  # Who can open a lock can hold it for ever.
  [ -z "$(find "$ARROW_DATA_DIR" "$ARROW_RUN_DIR" -name '*lock*' -type f -perm /077 2>/dev/null)" ]
}
