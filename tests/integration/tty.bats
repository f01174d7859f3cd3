#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `arrow run -t` in a real terminal: tmux, which types the keys and shows what is on the screen.

load common

setup_file() {
  arrow_setup_file
  guest probe
  ROOTFS=$("$SOURCE/tests/rootfs" "$SOURCE/build/test-rootfs")
  export ROOTFS
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  P=$G/probe
  B=$BUSYBOX
  # A shell in a terminal of 80 x 24, of a server of this test's own.
  export TMUX_TMPDIR=$BATS_TEST_TMPDIR T=arrow
  env -u TMUX TERM=xterm LC_ALL=C.UTF-8 tmux -L "$T" -f /dev/null new-session -d -x 80 -y 24 \
    "env PS1='host> ' bash --norc --noprofile" 3>&-
  tmux -L "$T" set-option -g status off
  tmux -L "$T" set-option -g window-size manual
  wait_for 30 sees '^host>$'
}

teardown() {
  tmux -L "$T" kill-server || true
  wait_for 30 assert_no_leftovers
}

# What the terminal shows, without trailing blanks; -e keeps colours.
screen() {
  tmux -L "$T" capture-pane -p "$@"
}

sees() {
  screen | grep -q -- "$1"
}

lacks() {
  ! sees "$1"
}

# expect PATTERN: waits until the screen shows it, or shows the screen.
expect() {
  wait_for 60 sees "$1" || {
    echo "no '$1' on the screen:"
    screen
    return 1
  }
}

keys() {
  tmux -L "$T" send-keys "$@"
}

# Types a command line to the shell.
type_line() {
  tmux -L "$T" send-keys -l -- "$1"
  tmux -L "$T" send-keys Enter
}

# The terminal is raw, which bash's own editor does not make it: the program runs and gets all keys.
raw() {
  stty -a -F "$(tmux -L "$T" display-message -p '#{pane_tty}')" | grep -q -- '-opost'
}

prompts() {
  screen | grep . | tail -n 1 | grep -q 'host>$'
}

# back STATUS: the shell has the terminal again, and the command had this status.
back() {
  wait_for 60 prompts || { echo "no prompt:"; screen; return 1; }
  type_line 'echo "status=$?"'
  expect "^status=$1\$"
}

# The terminal is as `before` says it was.
assert_restored() {
  type_line 'stty -a >after'
  wait_for 30 test -s after
  cmp before after
}

note_terminal() {
  type_line 'stty -a >before'
  wait_for 30 test -s before
}

@test "tty: less, full screen" {
  note_terminal
  mkdir data
  seq -f 'line %.0f' 1000 >data/text
  type_line "$ARROW run -it -v ./data:/data --rootfs $ROOTFS less /data/text"
  expect '^line 1$'
  sees '^line 23$'
  lacks '^line 24$'
  keys Space
  expect '^line 46$'
  keys G
  expect '^line 1000$'
  keys -l '/line 77$'
  keys Enter
  keys -l '?line 500$'
  keys Enter
  expect '^line 500$'
  keys q
  # The alternate screen is left, and what was below it is there again.
  back 0
  sees 'stty -a >before'
  lacks '^line 500$'
  assert_restored
}

@test "tty: vim edits a file of a volume, and follows the window" {
  mkdir data
  printf 'one\ntwo\n' >data/text
  type_line "$ARROW run -it -v ./data:/data --rootfs $ROOTFS vim.tiny -u NONE /data/text"
  expect '^one$'
  expect '^~$'
  [ "$(screen | grep -c '^~$')" -eq 21 ]
  tmux -L "$T" resize-window -x 60 -y 12
  wait_for 60 eval '[ "$(screen | grep -c "^~$")" -eq 9 ]'
  keys -l 'Gothree ünï'
  keys Escape
  expect '^three ünï$'
  keys -l 'ggdd'
  keys -l ':wq'
  keys Enter
  back 0
  [ "$(cat data/text)" = $'two\nthree ünï' ]
}

# bats test_tags=start
@test "tty: the window's size, at the start and when it changes" {
  type_line "$ARROW run -it $B sh -c 'trap \"stty size\" WINCH; stty size; while :; do sleep 0.1; done'"
  expect '^24 80$'
  tmux -L "$T" resize-window -x 100 -y 30
  expect '^30 100$'
  tmux -L "$T" resize-window -x 132 -y 50
  expect '^50 132$'
  keys C-c
  back 130
  type_line "clear; $ARROW run -it $B stty size"
  expect '^50 132$'
}

# bats test_tags=start
@test "tty: Ctrl-C, Ctrl-\\ and Ctrl-D" {
  note_terminal
  type_line "$ARROW run -it $P signals"
  expect '^ready$'
  keys C-c
  expect 'got 2$'
  back 2
  type_line "clear; $ARROW run -it $P signals"
  wait_for 60 raw # the "ready" of the run before may still be on the screen
  expect '^ready$'
  keys 'C-\'
  expect 'got 3$'
  back 3
  type_line "clear; $ARROW run -it $B cat; echo over"
  wait_for 60 raw
  keys -l 'abc'
  keys Enter
  wait_for 60 eval '[ "$(screen | grep -c "^abc$")" -eq 2 ]'
  keys C-d
  expect '^over$'
  # A program without a handler dies of it.
  type_line "clear; $ARROW run -it $B sleep 100"
  wait_for 60 raw
  keys C-c
  back 130
  assert_restored
}

@test "tty: Ctrl-Z stops a job of the shell in the Arrow, not the Arrow" {
  type_line "$ARROW run -it --rootfs $ROOTFS env 'PS1=guest> ' bash --norc --noprofile"
  expect '^guest>$'
  type_line 'sleep 1000'
  wait_for 60 eval '"$ARROW" top "$("$ARROW" ps -q)" | grep -q "sleep 1000"'
  keys C-z
  expect 'Stopped  *sleep 1000'
  type_line 'kill %1; jobs; tty; exit 7'
  expect '/dev/pts/0'
  back 7
}

@test "tty: the terminal is as before, however an Arrow ends" {
  note_terminal
  for end in 'kill -KILL %1' 'kill -TERM %1'; do
    type_line "clear; $ARROW run -it $B sleep 1000"
    wait_for 60 raw
    case $end in
    *KILL*)
      kill -KILL "$(state keeper_pid)"
      expect 'arrow: the keeper of this Arrow was killed'
      back 125
      ;;
    *)
      pkill -TERM -P "$(tmux -L "$T" display-message -p '#{pane_pid}')" arrow
      back 143
      ;;
    esac
    rm -f after
    assert_restored
  done
  type_line "clear; $ARROW run -it $B sleep 1000"
  wait_for 60 raw
  kill -KILL "$(state vm_pid)"
  expect '^arrow: QEMU (process [0-9]*) was killed'
  back 125
  rm -f after
  assert_restored
  # A failed start has not touched it.
  type_line "clear; $ARROW run -it --entrypoint /nowhere $B"
  expect '^arrow: '
  back 127
  rm -f after
  assert_restored
}

@test "tty: colours and all bytes of UTF-8 pass" {
  type_line "$ARROW run -it $B printf '\\033[1;31mred\\033[0m \\342\\202\\254 \\360\\237\\217\\271\\n'"
  expect '^red € 🏹'
  screen -e | grep -q $'\e\\[1m\e\\[31mred'
  back 0 # what is typed earlier would go to the Arrow that ends
  # What is typed arrives as it is, above ASCII too.
  type_line "clear; $ARROW run -it $B sh -c 'read -r x; printf %s \"\$x\" | od -An -tx1'"
  wait_for 60 raw
  keys -l 'é€'
  keys Enter
  expect ' c3 a9 e2 82 ac'
  back 0
}

@test "tty: the program has a terminal, and knows it by TERM" {
  type_line "$ARROW run -t $B sh -c 'echo \$TERM; tty; test -t 0 && test -t 1 && test -t 2 && echo all; ls -l /dev/console'"
  expect '^xterm$'
  expect '^/dev/pts/0$'
  expect '^all$'
  back 0
  # Without -i nothing is typed to it, and Ctrl-C is for arrow, which passes it on.
  type_line "clear; $ARROW run -t $P signals"
  expect '^ready$'
  keys C-c
  expect 'got 2$'
  back 2
}

@test "tty: without -t Ctrl-C reaches the program as a signal" {
  note_terminal
  type_line "$ARROW run -i $P signals"
  expect '^ready$'
  keys C-c
  expect 'got 2$'
  back 2
  type_line "clear; $ARROW run $B sleep 1000"
  wait_for 60 running
  keys C-c
  back 130
  assert_restored
}

@test "tty: -it without a terminal is an error, -t alone is not" {
  run arrow run -it "$B" true </dev/null
  [ "$status" -eq 125 ]
  [ "$output" = 'arrow: the input is not a terminal: leave out -t, or run it in a terminal' ]
  run arrow run -t "$B" stty size </dev/null
  [ "$status" -eq 0 ]
  [ "$output" = $'24 80\r' ]
}
