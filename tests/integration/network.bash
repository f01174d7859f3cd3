# SPDX-License-Identifier: Apache-2.0
# What the tests of networks share. All of it happens in two network namespaces: that of the host, where
# `arrow` runs, and that of another host on the same wire (peer).

unset ARROW_NETWORK

setup_file() {
  arrow_setup_file
  [ "$(id -u)" -eq 0 ]
  # The interpreter itself, where a script chooses among several.
  PATH=$(dirname "$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')"):$PATH
  export PATH
  export ARROW_ZYGOTE_IDLE=60 # s: from test to test
  export NS=arrow-host-$$ PEER=arrow-peer-$$
  ip netns add "$NS"
  ip netns add "$PEER"
  ip -n "$NS" link set lo up
  ip -n "$PEER" link set lo up
  ip -n "$NS" link add wire type veth peer name wire netns "$PEER"
  ip -n "$NS" addr add 192.0.2.1/24 dev wire
  ip -n "$PEER" addr add 192.0.2.2/24 dev wire
  ip -n "$NS" addr add 2001:db8::1/64 dev wire nodad
  ip -n "$PEER" addr add 2001:db8::2/64 dev wire nodad
  ip -n "$NS" link set wire up
  ip -n "$PEER" link set wire up
  ip -n "$NS" route add default via 192.0.2.2
  ip -n "$NS" route add default via 2001:db8::2
}

teardown_file() {
  ip netns pids "$NS" | xargs -r kill -9
  ip netns pids "$PEER" | xargs -r kill -9
  ip netns del "$NS"
  ip netns del "$PEER"
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  PIDS=()
}

teardown() {
  local pid
  for pid in "${PIDS[@]}"; do
    kill -9 "$pid" 2>/dev/null || true
  done
  wait
  wait_for 30 assert_no_leftovers
  wait_for 60 no_watch
  wait_for 60 network_is_down
  host "$ARROW" network prune -f >/dev/null
  rm -rf "/etc/netns/$NS"
  [ -z "${HERE-}" ] || rm -rf "$HERE" "/tmp/arrow-$NOBODY"
}

# By nsenter, which takes a tenth of the time of ip; only that shows the files of /etc/netns/$NS.
host() {
  if [ -d "/etc/netns/$NS" ]; then
    timeout -k 10 180 ip netns exec "$NS" "$@"
  else
    timeout -k 10 180 nsenter --net="/run/netns/$NS" "$@"
  fi
}

peer() {
  timeout -k 10 180 nsenter --net="/run/netns/$PEER" "$@"
}

arrow() {
  host "$ARROW" "$@"
}

busy() {
  arrow run --rm "${@:1:$#-1}" "$BUSYBOX" sh -c "${*: -1}"
}

# start NAME [OPTION...] SCRIPT: an Arrow in the background, whose output is in NAME.log; back when it
# says "up".
start() {
  local name=$1
  shift
  rm -f "$name.log" # of one before
  ip netns exec "$NS" "$ARROW" run --rm --name "$name" "${@:1:$#-1}" "$BUSYBOX" sh -c "${*: -1}" \
    >"$name.log" 2>&1 </dev/null 3>&- &
  PIDS+=($!)
  wait_for 60 grep -qs '^up' "$name.log"
}

# No network is up. It is asked while networks linger, and so by the shell alone.
no_watch() {
  ! compgen -G "$ARROW_RUN_DIR/networks/*/watch" >/dev/null
}

# Nothing of any network is left on the host.
network_is_down() {
  no_watch || return 1
  [ -z "$(ip -n "$NS" -o link | grep -E ': (arrow|awt)' || true)" ] &&
    [ -z "$(host nft list ruleset | grep arrow || true)" ] &&
    [ -z "$(find "$ARROW_RUN_DIR/networks" -type f ! -name lock 2>/dev/null)" ] &&
    [ -z "$(find "$ARROW_RUN_DIR/names" ! -type d 2>/dev/null)" ] &&
    [ -z "$(busy_processes)" ]
}

# What lives in the host's namespace, but for zygotes, which wait for the next Arrow.
busy_processes() {
  local pid
  for pid in $(ip netns pids "$NS"); do
    grep -qsa arrow-zygote "/proc/$pid/cmdline" || echo "$pid"
  done
}

# The address of an Arrow, of eth0.
address() {
  host "$ARROW" network inspect "${2:-bridge}" |
    jq -r ".[0].Containers[] | select(.Name == \"$1\") | .IPv4Address" | cut -d / -f 1
}

# The processes of that name that live in the host's namespace.
processes() {
  local pid
  for pid in $(ip netns pids "$NS"); do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$1" ] || echo "$pid"
  done
}
