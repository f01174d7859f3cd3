#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What people put on networks, and much of it: see network.bash for where.

load common
load network
# shellcheck disable=SC2030,SC2031 # PIDS is of one test

# serve NAME PATTERN [OPTION...] PROGRAM...: an Arrow in the background; back when its output says PATTERN.
serve() {
  local name=$1 pattern=$2
  shift 2
  rm -f "$name.log"
  ip netns exec "$NS" "$ARROW" run --rm --name "$name" "$@" >"$name.log" 2>&1 </dev/null 3>&- &
  PIDS+=($!)
  wait_for 60 grep -qs "$pattern" "$name.log"
}

@test "netapps: redis in one Arrow, its client in another, by name" {
  arrow network create --ipv6 shop
  serve db 'Ready to accept' --network shop --network-alias cache -m 256m /usr/bin/redis-server \
    --bind '* -::*' --protected-mode no --save '' --dir /tmp
  arrow run --rm --network shop /usr/bin/redis-cli -h db set key value
  run arrow run --rm --network shop /usr/bin/redis-cli -h cache get key
  [ "$output" = value ]
  run arrow run --rm --network shop -m 256m /usr/bin/redis-benchmark -h db -n 500 -c 10 -t set,get --csv
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -cE '^"(SET|GET)","[0-9.]+"' <<<"$output")" -eq 2 ]
}

@test "netapps: nginx, published and loaded with wrk from another host" {
  mkdir web
  head -c 4096 /dev/zero | tr '\0' x >web/index.html
  cat >web/nginx.conf <<'CONF'
daemon off;
master_process off;
error_log stderr notice;
pid /tmp/pid;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4;
  scgi_temp_path /tmp/5;
  server { listen 8080; root /web; }
}
CONF
  chmod -R a+rX web
  serve web 'start worker\|nginx/' -p 8080:8080 -u 1000 -v "$PWD/web:/web:ro" /usr/sbin/nginx -e stderr -c /web/nginx.conf
  answers() { [ "$(peer curl -s http://192.0.2.1:8080/ | wc -c)" -eq 4096 ]; }
  wait_for 60 answers
  run peer wrk -t 1 -c 16 -d 3s --timeout 20s http://192.0.2.1:8080/
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output != *'Socket errors'* && $output != *Non-2xx* ]]
  requests=$(sed -n 's/^ *\([0-9]*\) requests in.*/\1/p' <<<"$output")
  [ "$requests" -gt 50 ]
}

# Bytes that came, of a run of iperf3, whose JSON is on stdin; fails if more than half was lost.
received() {
  jq -e '(.end.sum_received.bytes // .end.sum.bytes) as $n | select((.end.sum.lost_percent // 0) < 50) | $n' <"$1"
}

@test "netapps: iperf3 between two Arrows and to another host, TCP and UDP, IPv4 and IPv6" {
  arrow network create --ipv6 six
  serve meter 'Server listening' --network six /usr/bin/iperf3 -s --forceflush
  ip netns exec "$PEER" iperf3 -s -p 5202 --forceflush >peer.log 2>&1 3>&- &
  PIDS+=($!)
  wait_for 30 grep -q 'Server listening' peer.log
  for way in '-4 -c meter' '-6 -c meter' '-4 -p 5202 -c 192.0.2.2' '-6 -p 5202 -c 2001:db8::2'; do
    for kind in '' '-u -b 4M'; do
      # shellcheck disable=SC2086
      arrow run --rm --network six /usr/bin/iperf3 $way $kind -n 512K -J >out.json
      bytes=$(received out.json)
      echo "iperf3 $way $kind: $bytes bytes"
      [ "$bytes" -gt 100000 ]
    done
  done
}

@test "netapps: an ordinary user's network, by passt: TCP, UDP, names, published ports; and without a way out" {
  guest udpecho
  HERE=$(mktemp -d /var/tmp/arrow-net.XXXXXX)
  NOBODY=1999999987 # no user of that number
  chmod 755 "$HERE"
  mkdir "$HERE/data" "$HERE/run" "$HERE/tmp"
  ln -s /var/lib/arrow/kernels "$HERE/data/kernels"
  cp "$G/udpecho" "$BARE" "$HERE/"
  chmod -R a+rX "$HERE"
  chown -R "$NOBODY" "$HERE/data" "$HERE/run" "$HERE/tmp"
  echo 'nameserver 192.0.2.2' >resolv.conf
  as_user() {
    # shellcheck disable=SC2016
    ip netns exec "$NS" unshare -m sh -c 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"' - \
      "$PWD/resolv.conf" timeout -k 10 180 setpriv --reuid "$NOBODY" --regid "$NOBODY" --clear-groups \
      env -i HOME="$HERE" TMPDIR="$HERE/tmp" PATH=/usr/bin:/bin:/usr/sbin:/sbin ARROW_DATA_DIR="$HERE/data" \
      ARROW_RUN_DIR="$HERE/run" ARROW_ZYGOTE_IDLE=1 "$HERE/arrow" "$@" 3>&-
  }
  ip netns exec "$PEER" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-hosts --no-resolv --bind-interfaces \
    --listen-address=192.0.2.2 --pid-file --user= --group= --address=/outside.test/192.0.2.2 3>&- &
  PIDS+=($!)
  ip netns exec "$PEER" iperf3 -s -p 9001 --forceflush >outside.log 2>&1 3>&- &
  PIDS+=($!)
  wait_for 30 grep -q 'Server listening' outside.log
  # What passt has taken is not there yet when iperf3 ends: so the way in is measured.
  for kind in -R '-u -b 2M'; do
    # shellcheck disable=SC2086
    as_user run --rm --network user /usr/bin/iperf3 -4 -c outside.test -p 9001 $kind -n 256K -J >out.json
    echo "iperf3 $kind: $(received out.json) bytes"
    [ "$(received out.json)" -gt 50000 ]
  done

  as_user run --rm --network user -p 8088:80 -p 192.0.2.1:8089:80 -p 127.0.0.1:8090:80 "$BUSYBOX" sh -c \
    'echo hello >/tmp/index.html; echo up; exec busybox httpd -f -p 80 -h /tmp' >web.log 2>&1 &
  PIDS+=($!)
  as_user run --rm --network user -p 5353:5353/udp "$HERE/udpecho" >echo.log 2>&1 &
  PIDS+=($!)
  wait_for 60 grep -q '^up' web.log
  wait_for 60 grep -q '^up' echo.log
  # On all addresses, on one that others reach, on one that they do not.
  for url in 192.0.2.1:8088 192.0.2.1:8089; do
    run peer wget -qO - "http://$url"
    [ "$output" = hello ]
  done
  run host wget -qO - http://127.0.0.1:8090
  [ "$output" = hello ]
  run peer timeout 3 wget -qO - http://192.0.2.1:8090
  [ "$status" -ne 0 ]
  run as_user run --rm --network user -p 127.0.0.1:8091:80 -p 192.0.2.1:8091:80 "$BUSYBOX" true
  [ "$status" -eq 125 ]
  [[ $output == *'port 8091/tcp on two addresses'* ]]
  cat >ask.py <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
for i in range(10):
    s.sendto(b"ping", ("192.0.2.1", 5353))
    try:
        print(s.recv(99).decode())
        break
    except OSError:
        pass
END
  run peer python3 ask.py
  [ "$output" = ping ]
  # shellcheck disable=SC2046
  as_user kill $(as_user ps -q)

  ip -n "$NS" route del default via 192.0.2.2
  run as_user run --rm --network user /usr/bin/iperf3 -4 -c 192.0.2.2 -p 9001 -n 64K -J
  ip -n "$NS" route add default via 192.0.2.2
  [ "$status" -eq 0 ]
  wait_for 60 only_ours
}

# The Arrows of the user have ended; those of the test itself are in PEER.
only_ours() {
  [ -z "$(ip netns pids "$NS")" ]
}

@test "netapps: many Arrows come and go on one network, and no address is lost" {
  # Each address has its turn several times; `make stress` has 200 of them.
  n=${ARROW_TEST_ARROWS:-60} batch=10
  arrow network create --subnet 10.77.0.0/28 small # 13 addresses
  for ((i = 0; i < n; i += batch)); do
    for ((k = 0; k < batch; k++)); do
      ip netns exec "$NS" "$ARROW" run --rm --network small "$BUSYBOX" ip -o -4 addr show eth0 \
        >"out.$((i + k))" 2>&1 3>&- &
      PIDS+=($!)
    done
    wait "${PIDS[@]}"
    PIDS=()
  done
  cat out.* | grep -v '10\.77\.0\.' || true
  [ "$(cat out.* | grep -c '10\.77\.0\.')" -eq "$n" ]
  [ "$(arrow network inspect small | jq '.[0].Containers | length')" -eq 0 ]
  [ -z "$(host nft list set bridge arrow mac | grep awt || true)" ]
  # All of them are free, up to the last.
  serve last up --network small --ip 10.77.0.14 "$BUSYBOX" sh -c 'echo up; exec sleep 1000'
  run arrow run --rm --network small --ip 10.77.0.14 "$BUSYBOX" true
  [ "$status" -eq 125 ]
  [[ $output == *'10.77.0.14 is in use'* ]]
}
