#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Networks of Arrows: see network.bash for where.

load common
load network

web="echo hello-from-\$(hostname) >/tmp/index.html; echo up; exec busybox httpd -f -p 80 -h /tmp"

parent() {
  ps -o ppid= -p "$1" | tr -d ' '
}

# ticks PID: for how many hundredths of a second it has run.
ticks() {
  awk '{ print $14 + $15 }' "/proc/$1/stat"
}

# The zygotes that wait for a start.
zygotes() {
  find "$ARROW_DATA_DIR/templates" -type s -name zygote 2>/dev/null | sort
}

another_zygote() {
  [ "$(zygotes)" != "$before" ]
}

# The first test: there are no zygotes yet. Both ways: what it asks for, and what comes to it by itself.
@test "network: an Arrow that is forked off a zygote has its card, on a bridge and by passt" {
  export ARROW_START=
  [ "$(arrow info --format json | jq -r '.engines[0].path, .engine.accel' | xargs)" = \
    "$(realpath /var/lib/arrow/hypervisor/current/qemu-system-x86_64) tcg" ] ||
    skip "no zygotes here; they need: sudo make hypervisor"
  ip netns exec "$PEER" busybox nc -ll -p 7000 -e /bin/echo hello-from-peer 3>&- &
  PIDS+=($!)
  arrow network create tapped
  for net in tapped user; do
    before=$(zygotes)
    busy --network $net true
    wait_for 90 another_zygote
    [ -z "$(ip -n "$NS" -o link show type tun)" ]
    for name in first second; do
      start $name --network $net -p 8080:80 "mkfifo /tmp/f; nc 192.0.2.2 7000 <>/tmp/f; $web"
      wait_for 30 running
      qemu=$(parent "$(state vm_pid)")
      [[ $(ps -o args= -p "$(parent "$qemu")") == arrow-zygote* ]]
      [[ $(peer curl -s -m 20 --retry 9 --retry-all-errors --retry-delay 1 http://192.0.2.1:8080/) == hello-from-* ]]
      grep -q '^hello-from-peer' $name.log
      arrow kill $name
      wait "${PIDS[-1]}" || true
    done
  done
}

# bats test_tags=smoke
@test "network: networks are made, listed, inspected and removed" {
  run arrow network create --subnet 10.99.0.0/24 --gateway 10.99.0.254 --ip-range 10.99.0.64/26 \
    --label a=b -o com.docker.network.driver.mtu=1400 one
  [ "$status" -eq 0 ]
  [[ $output =~ ^[0-9a-f]{64}$ ]]
  id=$output
  run arrow network inspect "${id:0:12}"
  [ "$(jq -r '.[0].Name' <<<"$output")" = one ]
  [ "$(jq -c '.[0].IPAM.Config' <<<"$output")" = \
    '[{"Subnet":"10.99.0.0/24","Gateway":"10.99.0.254","IPRange":"10.99.0.64/26"}]' ]
  [ "$(jq -r '.[0].Labels.a' <<<"$output")" = b ]
  run busy --network one --hostname me 'ip -o -4 addr show eth0; ip route; cat /sys/class/net/eth0/mtu; cat /etc/hosts'
  [ "$status" -eq 0 ]
  [[ $output == *'10.99.0.64/24'* ]]
  [[ $output == *'default via 10.99.0.254'* ]]
  [[ $output == *1400* ]]
  [[ $output == *$'10.99.0.64\tme'* ]]
  run -1 arrow network create one
  [[ $output == *'already exists'* ]]
  # Docker's filters and templates.
  arrow network create --internal two >/dev/null
  [ "$(arrow network ls -q | wc -l)" -eq 2 ]
  [ "$(arrow network ls -q -f name=one)" = "${id:0:12}" ]
  [ "$(arrow network ls -q --no-trunc -f "id=^${id:0:7}")" = "$id" ]
  [[ $(arrow network ls -f label=a=b) =~ ^NETWORK\ ID\ +NAME\ +DRIVER\ +SCOPE\ .*"${id:0:12}"\ +one\ +bridge\ +local\  ]]
  [ "$(arrow network ls --format '{{.Name}} {{.Internal}} {{.Label "a"}}' | sort)" = $'one false b\ntwo true ' ]
  [ "$(arrow network ls -f label=a -f name= --format json | jq -r '[.ID, .Name, .Driver, .Scope, .IPv6, .Labels] | join(" ")')" = \
    "${id:0:12} one bridge local false a=b" ]
  names() { arrow network ls --format '{{.Name}}' "$@" | sort | xargs; }
  [ "$(names -f driver=bridge -f scope=local -f type=custom)" = 'one two' ]
  [ "$(names -f 'name=^(on|tw)' -f name=x)" = 'one two' ]
  [ -z "$(names -f driver=overlay)$(names -f type=builtin)$(names -f label=a -f label=c)$(names -f dangling=false)" ]
  [ "$(names -f dangling=1 -f '')" = 'one two' ]
  for filter in colour=red dangling=maybe type=odd driver=; do
    run -1 --separate-stderr arrow network ls -f "$filter"
    [[ $stderr == *"invalid filter '$filter'"* ]]
  done
  [ "$(arrow network inspect -f '{{.Name}} {{.Internal}}' one two)" = $'one false\ntwo true' ]
  run -1 --separate-stderr arrow network inspect none-such two
  [ "$(jq -r '.[].Name' <<<"$output")" = two ]
  [[ $stderr == *"none-such not found"* ]]
  # It asks first, and removes what matches only.
  run -0 arrow network prune <<<n
  [ "$(names)" = 'one two' ]
  run -0 arrow network prune -f --filter label!=a --filter until=1h
  [ -z "$output" ]
  run -0 arrow network prune -f --filter label!=a
  [ "$output" = $'Deleted Networks:\ntwo' ]
  run -0 arrow network rm one
  run -1 arrow network inspect one
  [[ $output == *'not found'* ]]
  run -1 --separate-stderr arrow network rm one
  [[ $stderr == *'not found'* ]]
  run -0 arrow network rm -f one
  [ -z "$output" ]
}

@test "network: subnets collide with no address, no route and no other network" {
  run -1 arrow network create --subnet 192.0.2.0/25 bad
  [[ $output == *'collides with 192.0.2.'*', which this host uses: choose another'* ]]
  host ip route add 10.80.0.0/13 dev wire
  arrow network create one
  arrow network create two
  host ip route del 10.80.0.0/13 dev wire
  subnets=$(arrow network inspect one two | jq -r '.[].IPAM.Config[0].Subnet')
  [ "$subnets" = $'10.88.0.0/20\n10.88.16.0/20' ]
  run -1 arrow network create --subnet 10.88.0.0/16 bad
  [ "$output" = 'arrow: the subnet 10.88.0.0/16 collides with 10.88.0.0/20 of the network one: choose another with --subnet' ]
  mkdir -p "$ARROW_DATA_DIR/networks"
  echo '[{"base": "10.7.0.0/16", "size": 24}]' >"$ARROW_DATA_DIR/networks/pools.json"
  arrow network create three
  rm "$ARROW_DATA_DIR/networks/pools.json"
  [ "$(arrow network inspect three | jq -r '.[0].IPAM.Config[0].Subnet')" = 10.7.0.0/24 ]
  for wrong in 10.0.0.0/31 10.0.0.1 x/24 fd00::/64/64; do
    run arrow network create --subnet "$wrong" bad
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
  done
}

@test "network: an Arrow reaches the outside by the host's address; --cold is the same" {
  cat >who.py <<'END'
# Tells each client its address, over IPv4 and IPv6.
import socket, threading
def serve(family, address):
    s = socket.socket(family)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((address, 9000))
    s.listen()
    while True:
        c, a = s.accept()
        c.sendall((a[0] + "\n").encode())
        c.close()
threading.Thread(target=serve, args=(socket.AF_INET6, "::"), daemon=True).start()
serve(socket.AF_INET, "0.0.0.0")
END
  ip netns exec "$PEER" python3 who.py 3>&- &
  PIDS+=($!)
  wait_for 30 peer python3 -c 'import socket; socket.create_connection(("127.0.0.1", 9000))'
  both="nc 192.0.2.2 9000 </dev/null; ping -c 1 -W 10 192.0.2.2 >/dev/null && echo ping"
  run busy "$both"
  echo "$output"
  [ "$output" = $'192.0.2.1\nping' ]
  arrow network create --ipv6 six
  run busy --cold --network six "nc 2001:db8::2 9000 </dev/null; $both"
  [ "$output" = $'2001:db8::1\n192.0.2.1\nping' ]
  # Without IPv4: published ports are reached over both all the same.
  arrow network create --ipv4=false --ipv6 only
  [ "$(arrow network inspect only | jq -c '.[0] | [.EnableIPv4, .EnableIPv6, (.IPAM.Config | length)]')" = '[false,true,1]' ]
  [ "$(arrow network ls -f name=only --format '{{.IPv4}} {{.IPv6}}')" = 'false true' ]
  run -1 --separate-stderr arrow network create --ipv4=false bad
  [[ $stderr == *'requires IPv4 or IPv6: add --ipv6'* ]]
  start web --network only -p 8080:80 "$web"
  run busy --network only 'ip -o -4 addr show eth0; ip -4 route; nc 2001:db8::2 9000 </dev/null; wget -qO - http://web'
  echo "$output"
  [[ $output == $'2001:db8::1\nhello-from-'* ]]
  for url in 'http://[2001:db8::1]:8080' http://192.0.2.1:8080; do
    run peer wget -qO - "$url"
    [[ $output == hello-from-* ]]
  done
  for url in 'http://[::1]:8080' http://127.0.0.1:8080; do
    run host wget -qO - "$url"
    [[ $output == hello-from-* ]]
  done
  # The kernel that an image names has no IPv6: it is a default, and gives way. Each family has its way out.
  arrow build -q -t box --kernel micro "$BUSYBOX" >/dev/null
  run arrow run --network only --network six box sh -c \
    "nc 2001:db8::2 9000 </dev/null; $both; wget -qO - http://192.0.2.1:8080"
  [[ $output == $'2001:db8::1\n192.0.2.1\nping\nhello-from-'* ]]
}

# The host's resolver, on another host: one name is there, and none else. It tells what it was asked.
host_resolver() {
  cat >resolver.py <<'END'
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("192.0.2.2", 53))
print("up", flush=True)
while True:
    query, client = s.recvfrom(4096)
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    name, kind = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0]
    print("asked", name, flush=True)
    known = name == "known.corp.test"
    head = query[:2] + struct.pack(">BBHHHH", 0x81, 0x80 if known else 0x83, 1, known and kind == 1, 0, 0)
    answer = b"\xc0\x0c" + query[at + 1:at + 5] + struct.pack(">IH", 60, 4) + socket.inet_aton("192.0.2.77")
    s.sendto(head + query[12:at + 5] + (answer if known and kind == 1 else b""), client)
END
  ip netns exec "$PEER" python3 resolver.py >resolver.log 3>&- &
  PIDS+=($!)
  wait_for 30 grep -q '^up' resolver.log
  mkdir -p "/etc/netns/$NS"
  printf 'nameserver 192.0.2.2\nsearch corp.test\noptions ndots:2\n' >"/etc/netns/$NS/resolv.conf"
}

# Programs that resolve names: with musl, static, and with the C library of this host.
resolvers() {
  guest resolve
  [ -x "$G/resolve-host" ] || gcc -O2 -o "$G/resolve-host" "$SOURCE/tests/guests/resolve.c"
}

@test "network: names are those of all networks of an Arrow, and of their moment" {
  host_resolver
  resolvers
  arrow network create net
  arrow network create other
  start web --network name=net,alias=api.v1 --network-alias www --network-alias site "$web"
  start db --network other 'echo up; exec sleep 1000'
  id=$(arrow ps -q --no-trunc -f name=web)
  a=$(address web net) b=$(address db other)
  run busy --network net "for n in web www site ${id:0:12} web.net; do wget -qO - http://\$n; done
    nslookup nowhere >/dev/null 2>&1 || echo unknown; nslookup db >/dev/null 2>&1 || echo unknown
    cat /etc/resolv.conf"
  echo "$output"
  [ "$(grep -c "^hello-from-${id:0:12}" <<<"$output")" -eq 5 ]
  [ "$(grep -c '^unknown' <<<"$output")" -eq 2 ]
  # The host's domains and options are the Arrow's, behind a domain for the names of Arrows.
  [[ $output == *$'search arrow.internal corp.test\noptions ndots:2' ]]
  # What has a dot is a name of an Arrow first, and what has none is looked for in the domains.
  for program in resolve resolve-host; do
    run arrow run --network net --network other "$G/$program" \
      web WWW api.v1 "${id:0:12}" web.net db db.other db.arrow.internal known known.corp.test nowhere
    echo "$output"
    [ "$output" = "web $a
WWW $a
api.v1 $a
${id:0:12} $a
web.net $a
db $b
db.other $b
db.arrow.internal $b
known 192.0.2.77
known.corp.test 192.0.2.77
nowhere unknown" ]
  done
  # Nobody else was asked for what is local.
  run grep -E -c '(web|www|site|v1|db\.other)\.' resolver.log
  [ "$output" = 0 ]
  grep -q 'asked known.corp.test' resolver.log
  # A joined bridge may lead out, so an internal network beside it does not hide the names of the outside.
  arrow network create --internal inside
  host ip link add br9 up type bridge
  run arrow run --network inside "$G/resolve" known.corp.test
  [ "$output" = 'known.corp.test unknown' ]
  run arrow run --network inside --network bridge:br9 "$G/resolve" known.corp.test
  [ "$output" = 'known.corp.test 192.0.2.77' ]
  host ip link del br9

  # At once: one that is connected, and one that is renamed.
  for program in resolve resolve-host; do
    arrow run -d --name $program --network net "$G/$program" -l "db $b" db
    arrow network connect other $program
    resolved() { [ "$(arrow logs $program)" = "db $b" ]; }
    wait_for 60 resolved
    arrow rm -f $program >/dev/null
  done
  arrow rename db store
  run arrow run --network net --network other "$G/resolve" db store
  [ "$output" = "db unknown"$'\n'"store $b" ]
  [ "$(arrow network inspect other | jq -r '.[0].Containers[].Name')" = store ]
  # The network's watch sleeps when nothing happens; what it does itself does not wake it.
  local watch before
  watch=$(ip netns pids "$NS" | xargs ps -o pid=,comm= -p | awk '$2 == "arrow-net" { print $1; exit }')
  sleep 1
  before=$(ticks "$watch")
  sleep 5
  [ $(($(ticks "$watch") - before)) -lt 25 ]
  # No other host is answered.
  gateway=$(arrow network inspect net | jq -r '.[0].IPAM.Config[0].Gateway')
  peer ip route add "$gateway" via 192.0.2.1
  run peer timeout 3 busybox nslookup web "$gateway"
  [ "$status" -ne 0 ]
  peer ip route del "$gateway"
  kill -9 "${PIDS[@]:1}"
  wait_for 30 assert_no_leftovers
  run busy --network net 'nslookup web >/dev/null 2>&1 || echo unknown'
  [ "$output" = unknown ]
}

# bats test_tags=smoke, start
@test "network: published ports, from other hosts, over the loopback and from Arrows" {
  start web -p 8080:80 -p 192.0.2.1:8081:80 -p 127.0.0.1:8082:80 "$web"
  run peer wget -qO - http://192.0.2.1:8080
  [[ $output == hello-from-* ]]
  run peer wget -qO - http://192.0.2.1:8081
  [[ $output == hello-from-* ]]
  run peer timeout 5 wget -qO - http://192.0.2.1:8082
  [ "$status" -ne 0 ]
  for url in 127.0.0.1:8080 '[::1]:8080' 192.0.2.1:8080 192.0.2.1:8081 127.0.0.1:8082; do
    run host wget -qO - "http://$url"
    [[ $output == hello-from-* ]]
  done
  run peer wget -qO - 'http://[2001:db8::1]:8080'
  [[ $output == hello-from-* ]]
  # Hairpin: from another Arrow, and from itself; also where frames of bridges pass the host's firewall.
  for on in 0 1; do
    if ! host sysctl -qw net.bridge.bridge-nf-call-iptables=$on net.bridge.bridge-nf-call-ip6tables=$on; then
      echo 'no br_netfilter here'
      continue
    fi
    run busy 'wget -qO - http://192.0.2.1:8080; timeout 5 wget -qO - http://web'
    [ "$(grep -c ^hello-from- <<<"$output")" -eq 2 ]
    run arrow exec web busybox timeout 5 busybox wget -qO - http://192.0.2.1:8080
    [[ $output == hello-from-* ]]
  done
  run arrow port web
  [ "$(grep -c '^80/tcp -> ' <<<"$output")" -eq 4 ]
  run arrow port web 80
  [[ $output == *'0.0.0.0:8080'* && $output == *'[::]:8080'* && $output == *192.0.2.1:8081* ]]
  run arrow port web 81
  [ "$status" -eq 1 ]
  [[ $(arrow ps --filter name=web --format '{{.Ports}}') == *'0.0.0.0:8080->80/tcp, [::]:8080->80/tcp'* ]]
  [ "$(arrow inspect web | jq -r '.[0].NetworkSettings.Ports["80/tcp"][:2] | map(.HostIp + "|" + .HostPort) | join(" ")')" = \
    '0.0.0.0|8080 ::|8080' ]

  # Taken: by an Arrow, by a process; nothing was started.
  before=$(states | wc -l)
  run arrow run --rm -p 8080:80 "$BUSYBOX" true
  [ "$status" -eq 125 ]
  [[ $output == *'8080/tcp'*'in use'* ]]
  [ "$(states | wc -l)" -eq "$before" ]
}

@test "network: ports by ranges, at random, exposed ones, and over UDP" {
  start web -p 9000-9002:80 -p 80 --expose 81 --expose 82/udp -P "$web"
  run arrow port web 80
  [ "$(grep -c '0.0.0.0:' <<<"$output")" -eq 2 ]
  grep -q '0.0.0.0:9000' <<<"$output"
  run arrow port web
  grep -q '81/tcp -> 0.0.0.0:' <<<"$output"
  grep -q '82/udp -> 0.0.0.0:' <<<"$output"
  run host wget -qO - http://127.0.0.1:9000
  [[ $output == hello-from-* ]]
  # A client that begins before the Arrow, while the network is up, and never stops.
  cat >begun.py <<'END'
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.2)
while True:
    time.sleep(0.1)
    s.sendto(b"begun", ("192.0.2.1", 5353))
    print("sent", flush=True)
    try:
        print(s.recv(99).decode(), flush=True)
    except OSError:
        pass
END
  ip netns exec "$PEER" python3 begun.py >begun.log 2>&1 3>&- &
  PIDS+=($!)
  wait_for 30 grep -q sent begun.log

  guest udpecho
  ip netns exec "$NS" "$ARROW" run --rm -p 5353:5353/udp "$G/udpecho" >echo.log 2>&1 3>&- &
  PIDS+=($!)
  wait_for 60 grep -q '^up' echo.log
  wait_for 30 grep -q begun begun.log
  cat >ask.py <<'END'
import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
for i in range(10):
    s.sendto(b"hi %d" % i, (sys.argv[1], 5353))
    try:
        print(s.recv(99).decode()); break
    except OSError:
        pass
END
  for from in host peer; do
    run "$from" python3 ask.py 192.0.2.1
    [[ $output == hi* ]]
  done
  run host python3 ask.py 127.0.0.1
  [[ $output == hi* ]]
  run host python3 ask.py ::1
  [[ $output == hi* ]]
}

@test "network: networks are apart, and nobody comes in but by a published port" {
  arrow network create one
  arrow network create two
  arrow network create --internal inner
  start web --network one "$web"
  ip=$(address web one)
  run busy --network one "timeout 5 wget -qO - http://$ip"
  [[ $output == hello-from-* ]]
  run busy --network two "timeout 3 wget -qO - http://$ip || echo refused; timeout 3 wget -qO - http://web || echo unknown"
  [[ $output != *hello-from-* ]]
  # Another host that knows the way.
  peer ip route add "$ip" via 192.0.2.1
  run peer timeout 3 wget -qO - "http://$ip"
  [ "$status" -ne 0 ]
  peer ip route del "$ip"
  run busy --network inner "ip route | grep -c default; timeout 3 wget -qO - http://$ip || echo refused
    ping -c 1 -W 2 192.0.2.2 >/dev/null || echo no way out"
  [[ $output == *'no way out'* && $output != *hello-from-* ]]
  run busy --network one --network two 'ip -o -4 addr | grep -c eth'
  [ "$output" = 2 ]
}

@test "network: of the host an Arrow reaches names, what is published, and a ping" {
  cat >serve.py <<'END'
# A service of the host on all of its addresses.
import socket
s = socket.create_server(("::", 7777), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    c, _ = s.accept()
    c.sendall(b"the-host\n")
    c.close()
END
  ip netns exec "$NS" python3 serve.py 3>&- &
  PIDS+=($!)
  answers() { [ "$(peer timeout 5 busybox nc "$1" 7777 </dev/null)" = the-host ]; }
  wait_for 30 answers 192.0.2.1
  wait_for 30 answers 2001:db8::1
  arrow network create --ipv6 open
  arrow network create --ipv6 --internal inner
  # One without an address of IPv6 is reached over that by arrow-proxy.
  start web -p 8080:80 "$web"
  for net in open inner; do
    four=$(arrow network inspect $net | jq -r '.[0].IPAM.Config[0].Gateway')
    six=$(arrow network inspect $net | jq -r '.[0].IPAM.Config[1].Gateway')
    run busy --network $net "for a in $four $six 192.0.2.1 2001:db8::1; do
        timeout 3 nc \$a 7777 </dev/null
      done
      ping -c 1 -W 10 $four >/dev/null && echo ping4
      ping -c 1 -W 10 $six >/dev/null && echo ping6
      nslookup \$(hostname) >/dev/null 2>&1 && echo names
      timeout 5 wget -qO - http://192.0.2.1:8080
      timeout 5 wget -qO - 'http://[2001:db8::1]:8080'
      true"
    echo "$net: $output"
    [[ $output != *the-host* ]]
    [[ $output == *ping4*ping6*names* ]]
    if [ $net = open ]; then
      [ "$(grep -c hello-from- <<<"$output")" -eq 2 ]
    else
      [[ $output != *hello-from-* ]]
    fi
  done
}

@test "network: an Arrow sends from its own addresses only" {
  start ear 'echo up; exec sleep 1000'
  tap=$(host ip -o link show type tun | sed -n 's/^[0-9]*: \(awt0[^:]*\):.*/\1/p' | tail -n 1)
  [ -n "$tap" ]
  ip netns exec "$NS" tcpdump -i "$tap" -U -w heard.pcap >tcpdump.log 2>&1 3>&- &
  PIDS+=($!)
  wait_for 30 grep -q 'listening on' tcpdump.log
  ip=$(address ear)
  guest spoof
  all='honest honest-arp mac ip arp-ip arp-mac dhcp ra na ip6 vlan stp'
  for what in $all honest; do
    run arrow run --rm --kernel general "$G/spoof" "$what" "$ip"
    [ "$status" -eq 0 ]
    [ "$output" = '1 sent' ]
  done
  heard() { [ "$(grep -a -o 'spoof-honest-' heard.pcap | wc -l)" -ge 3 ]; }
  wait_for 30 heard
  # What follows in the file may be letters, too.
  run grep -a -o -E "spoof-(${all// /|})-" heard.pcap
  echo "heard: $(sort -u <<<"$output" | xargs)"
  [ "$(sort -u <<<"$output")" = $'spoof-honest-\nspoof-honest-arp-' ]
}

@test "network: a storm of broadcasts is bounded" {
  start ear 'echo up; exec sleep 1000'
  tap=$(host ip -o link show type tun | sed -n 's/^[0-9]*: \(awt0[^:]*\):.*/\1/p' | tail -n 1)
  guest spoof
  run arrow run --rm "$G/spoof" storm 10.0.0.1 20000
  [ "$status" -eq 0 ]
  sent=${output% sent}
  [ "$sent" -ge 5000 ]
  # What came to the other one: 500 a second and 1000 at once, out of what was sent.
  packets=$(host cat "/proc/net/dev" | sed -n "s/^ *$tap: *//p" | awk '{ print $10 }')
  echo "$sent sent, $packets came"
  [ "$packets" -lt $((sent / 2)) ]
}

@test "network: the connections that an Arrow begins are bounded, each Arrow for itself" {
  arrow network create --subnet 10.97.0.0/24 one
  ip netns exec "$PEER" busybox nc -ll -p 7000 -e /bin/echo hello-from-peer 3>&- &
  PIDS+=($!)
  start ear --network one 'echo up; exec sleep 1000'
  # It stands for an Arrow, and is fast on every machine.
  unshare -n sleep 1000 3>&- &
  flood=$!
  PIDS+=("$flood")
  apart() { [ "$(readlink "/proc/$flood/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
  wait_for 30 apart
  ip -n "$NS" link add flood type veth peer name eth0 netns "$flood"
  ip -n "$NS" link set flood master "$(arrow network inspect one | jq -r '.[0].Bridge')" up
  nsenter -t "$flood" -n sh -c 'ip addr add 10.97.0.77/24 dev eth0; ip link set eth0 up; ip route add default via 10.97.0.1'
  # The peer counts, and does not answer.
  peer nft 'add table inet counted; add chain inet counted heard { type filter hook prerouting priority -300; }
    add rule inet counted heard udp dport > 1024 counter drop'
  began=$SECONDS
  nsenter -t "$flood" -n python3 - <<'END'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(1025, 61025):
    s.sendto(b"x", ("192.0.2.2", port))
END
  came=$(peer nft list table inet counted | sed -n 's/.*counter packets \([0-9]*\) .*/\1/p')
  peer nft delete table inet counted
  allowed=$((10000 + 1000 * (SECONDS - began + 2)))
  known=$(host cat /proc/sys/net/netfilter/nf_conntrack_count)
  echo "$came came, $known are known, $allowed are allowed"
  [ "$allowed" -lt 60000 ]
  [ "$came" -gt 1000 ]
  [ "$came" -le "$allowed" ]
  [ "$known" -le "$allowed" ]
  run busy --network one 'nc 192.0.2.2 7000 </dev/null'
  [ "$output" = hello-from-peer ]
}

# capabilities NAME: the sets of the processes of that name in the host's namespace, each once.
capabilities() {
  local pid
  for pid in $(processes "$1"); do
    sed -n 's/^Cap\(Prm\|Eff\|Bnd\):\t//p' "/proc/$pid/status"
  done | sort -u
}

@test "network: the watch and the proxy keep the capabilities that they need, and no others" {
  start web -p 8080:80 "$web"
  [ "$(capabilities arrow-proxy)" = 0000000000000000 ]
  # dac_override, kill, setgid, setuid, net_bind_service, net_admin
  [ "$(capabilities arrow-net)" = 00000000000014e2 ]
  run host wget -qO - http://127.0.0.1:8080
  [[ $output == hello-from-* ]]
}

@test "network: a firewall that is flushed is mended, by the watch and by the next start" {
  start web -p 8080:80 "$web"
  # One network that is mended is not all.
  arrow network create second
  start away --network second 'echo up; exec sleep 1000'
  host nft flush ruleset
  both() { [ "$(host nft -j list set inet arrow bridges 2>/dev/null | jq '[.nftables[].set.elem // empty] | flatten | length')" = 2 ]; }
  wait_for 30 both
  whole() { host nft list chain inet arrow forward 2>/dev/null | grep -q '@same accept'; }
  wait_for 30 whole
  host nft list map inet arrow any4 | grep -q 8080
  run peer wget -qO - http://192.0.2.1:8080
  [[ $output == hello-from-* ]]
  host nft flush chain inet arrow forward
  wait_for 30 whole
  host nft delete table bridge arrow
  run busy 'wget -qO - http://web'
  [[ $output == hello-from-* ]]
  host nft list table bridge arrow | grep -q jump
  # What is not Arrow's stays.
  host nft add table inet other
  kill "${PIDS[@]}"
  wait_for 30 assert_no_leftovers
  wait_for 60 network_is_down
  host nft list table inet other
  host nft delete table inet other
}

# Another process of that name than this one lives.
another() {
  local now
  now=$(processes "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}

@test "network: SIGKILL of the client, keeper and QEMU leaves nothing" {
  for victim in client keeper qemu watch-and-keeper; do
    start web -p 8080:80 "$web"
    case $victim in
    client) kill -9 "${PIDS[-1]}" ;;
    keeper) kill -9 "$(state keeper_pid)" ;;
    qemu) kill -9 "$(state vm_pid)" ;;
    watch-and-keeper)
      keeper=$(state keeper_pid)
      # Or it starts another watch before it is killed.
      kill -STOP "$keeper"
      # shellcheck disable=SC2046
      kill -9 $(processes arrow-net) "$keeper"
      run arrow doctor
      [[ $output == *'networks that are up without an Arrow: 1'* ]]
      ;;
    esac
    wait_for 30 no_state
    wait_for 60 network_is_down
  done
}

@test "network: SIGKILL of the name server and of the watch: names, rules and addresses come back" {
  start web -p 8080:80 "$web"
  fetch() { [[ $(busy 'wget -qO - http://web') == hello-from-* ]]; }
  server=$(processes arrow-dns) watch=$(processes arrow-net)
  kill -9 "$server"
  # One that starts meanwhile has its address all the same.
  wait_for 60 fetch
  wait_for 30 another arrow-dns "$server"
  [ "$(processes arrow-net)" = "$watch" ]

  # Nobody but the keeper is there to see it.
  server=$(processes arrow-dns)
  kill -9 "$watch"
  host nft flush ruleset
  host ip link del arrow0
  wait_for 30 another arrow-net "$watch"
  wait_for 30 another arrow-dns "$server"
  [ "$(processes arrow-dns | wc -l)" -eq 1 ]
  wait_for 60 fetch # it reads the names first
  run peer wget -qO - http://192.0.2.1:8080
  [[ $output == hello-from-* ]]
  run arrow doctor
  [[ $output != *'doctor --fix'* ]]

  # The watch puts back a bridge, and its names go on.
  host ip link del arrow0
  wait_for 30 host ip link show arrow0 >/dev/null 2>&1
  wait_for 60 fetch

  # What no watch sees, doctor does.
  id=$(arrow ps -q --filter name=web)
  tap=awt0-${id:0:10}
  # Again, for the watch sees to it when it sees to something else, as the Arrow before.
  astray() {
    host ip link set "$tap" nomaster
    arrow doctor "$@" | grep -q "$what: 1"
  }
  what='networks without their rules, names or bridge' wait_for 30 astray
  what='restored rules, names and bridges' wait_for 30 astray --fix
  fetch
}

no_state() {
  arrow doctor --fix >/dev/null 2>&1 || true
  assert_no_leftovers
}

@test "network: connect and disconnect Arrows that do not run" {
  arrow network create --subnet 10.97.0.0/24 one
  arrow network create --subnet 10.98.0.0/24 two
  two=$(arrow network inspect two | jq -r '.[0].Id')
  arrow create --name box --network none "$BUSYBOX" sh -c 'ip -o -4 addr | grep -c " eth"; ip -o -4 addr show eth0; ip -o -4 addr show eth1; exec sleep 1000'
  # None of the network's, the network's own, the gateway's, and one that another Arrow has.
  start first --network two 'echo up; exec sleep 1000'
  for ip in 10.97.0.9 10.98.0.0 10.98.0.255 10.98.0.9/24; do
    run -1 arrow network connect --ip $ip two box
    [ "$output" = "arrow: invalid address $ip: network two has the subnet 10.98.0.0/24" ]
  done
  for ip in 10.98.0.1 "$(address first two)"; do
    run -1 arrow network connect --ip "$ip" two box
    [ "$output" = "arrow: the address $ip is in use on network two" ]
  done
  [ "$(arrow inspect box | jq -r '.[0].HostConfig.NetworkMode')" = none ]
  # What was chosen at its creation is for its first network.
  arrow create --name early --network none --ip 10.98.0.1 "$BUSYBOX" true
  run -1 arrow network connect two early
  [ "$output" = 'arrow: the address 10.98.0.1 is in use on network two' ]
  arrow network connect --ip 10.98.0.7 two early
  arrow start -a early
  arrow rm early >/dev/null
  arrow rm -f first >/dev/null
  arrow network connect --alias crate --ip 10.98.0.9 two box
  run -1 arrow network connect --ip 10.98.0.10 one box
  [ "$output" = 'arrow: invalid address 10.98.0.10: network one has the subnet 10.97.0.0/24' ]
  run -1 arrow network connect --ip6 fd00::9 one box
  [ "$output" = 'arrow: network one has no IPv6: leave out the address fd00::9' ]
  arrow network connect --ip 10.97.0.77 one box
  run arrow network connect "${two:0:12}" box
  [ "$status" -eq 1 ]
  [[ $output == *'on network two already' ]]
  [ "$(arrow inspect box | jq -r '.[0].HostConfig.NetworkMode')" = two ]
  arrow start box
  says() { [[ $(arrow logs box) == 2*10.98.0.9/24*10.97.0.77/24* ]]; }
  wait_for 60 says
  run busy --network two 'ping -c 1 -W 10 crate >/dev/null && echo ping'
  [ "$output" = ping ]
  arrow stop -t 0 box
  arrow network disconnect "${two:0:12}" box
  run arrow network disconnect two box
  [ "$status" -eq 1 ]
  [[ $output == *'is not on network two' ]]
  arrow network disconnect -f one box
  arrow start box
  says() { [[ $(arrow logs box | tail -n 1) == 0 ]]; }
  wait_for 60 says
  run arrow network connect nosuch box
  [ "$status" -ne 0 ]
  [[ $output == *'network nosuch not found'* ]]
  arrow rm -f box
}

@test "network: eight networks beside volumes; what QEMU has no devices for is refused before a start" {
  for i in {1..9}; do
    arrow network create --subnet "10.96.$i.0/24" "n$i"
    options+=(--network "n$i")
    [ "$i" -ne 2 ] || options[-1]=name=n2,ip=10.96.2.77,mac-address=02:00:00:00:96:02
  done
  mkdir a b
  options+=(-v ./a:/a -v ./b:/b:ro)
  own=$(arrow info | grep -c 'built for Arrow') || true
  fit=$((own ? 8 : 5)) # with a disk, the volumes and a serial port
  run arrow run --rm "${options[@]:0:2*fit}" "${options[@]:18}" "$BUSYBOX" sh -c \
    'touch /a/x; ip -o -4 addr show | grep -o "10[.]96[.][0-9]*[.][0-9]*/24" | sort; cat /sys/class/net/eth1/address'
  [ "$status" -eq 0 ]
  [ "$output" = "$(seq -f '10.96.%g.2/24' 1 "$fit" | sed 's/2\.2\//2.77\//')"$'\n'02:00:00:00:96:02 ]
  [ -e a/x ]
  run arrow run --rm "${options[@]:0:16}" "${options[@]:18}" "$BUSYBOX" true
  if ((own)); then
    [ "$status" -eq 0 ]
  else
    [ "$status" -eq 125 ]
    [[ $output == *'with volumes can be on at most 5 networks with this QEMU, not on 8: install '* ]]
  fi
  run arrow run --rm "${options[@]}" "$BUSYBOX" true
  [ "$status" -eq 125 ]
  [ "$output" = 'arrow: an Arrow can be on at most 8 networks' ]
  arrow network rm n{1..9}
}

# bats test_tags=start
@test "network: Arrows that run leave networks and go on others, by the cards that they have" {
  cat >box.sh <<'END'
echo hello >/tmp/index.html
busybox httpd -p 80 -h /tmp
while sleep 0.2; do
  echo "$(ip -o -4 addr show eth0 | grep -o 'inet [0-9.]*') $(ip route | grep -o 'default via [0-9.]*') $(grep -c 10.98.0.1 /etc/resolv.conf) $(ip -o link | grep -c eth)"
done
END
  arrow network create --subnet 10.97.0.0/24 one
  arrow network create --subnet 10.98.0.0/24 two
  arrow network create --subnet 10.94.0.0/24 three
  arrow network create four
  arrow run -d --name box --network one -p 8087:80 "$BUSYBOX" sh -c "$(cat box.sh)"
  sees() { [[ $(arrow logs box | tail -n 1) == "$1" ]]; }
  echoes() { [ "$(host curl -s -m 10 http://127.0.0.1:8087/index.html)" = hello ]; }
  wait_for 60 echoes
  id=$(arrow inspect box | jq -r '.[0].Id')
  arrow network disconnect one box
  wait_for 60 sees '  0 1'
  [ "$(arrow network inspect one | jq -c '.[0].Containers')" = '{}' ]
  [ "$(arrow inspect box | jq -c '.[0].NetworkSettings.Networks')" = '{}' ]
  [ "$(ip -n "$NS" -o link show "awt0-${id:0:10}" | grep -c 'master\|UP')" = 0 ]
  [ "$(host nft list ruleset | grep -c '10.97.0.2')" = 0 ]
  run host curl -s -m 10 http://127.0.0.1:8087/index.html
  [ "$status" -eq 7 ] # refused

  run arrow network connect --ip 10.97.0.9 two box
  [ "$status" -eq 1 ]
  [ "${#lines[@]}" -eq 1 ]
  arrow network connect --alias crate --ip 10.98.0.9 two box
  wait_for 60 sees 'inet 10.98.0.9 default via 10.98.0.1 1 1'
  wait_for 60 echoes
  run busy --network two 'wget -q -O - http://crate/index.html'
  [ "$output" = hello ]
  # By the spare card, which nobody saw before. Then all are taken: what fails changes nothing.
  arrow network connect --ip 10.94.0.33 --alias third three box
  wait_for 60 sees 'inet 10.98.0.9 default via 10.98.0.1 1 2'
  run busy --network three 'wget -q -O - http://box/index.html; wget -q -O - http://third/index.html; nslookup crate >/dev/null 2>&1 || echo unknown'
  [ "$output" = $'hello\nhello\nunknown' ]
  [ "$(address box three)" = 10.94.0.33 ]
  [ "$(arrow inspect box | jq -c '.[0].NetworkSettings.Networks[] | [.IPAMConfig, .Aliases]' | sort)" = \
    '[{"IPv4Address":"10.94.0.33"},["third"]]'$'\n''[{"IPv4Address":"10.98.0.9"},["crate"]]' ]
  run arrow network connect four box
  [ "$status" -eq 1 ]
  [[ $output == *'all network cards'* ]]
  [ "${#lines[@]}" -eq 1 ]
  [ "$(arrow network inspect four | jq -c '.[0].Containers')" = '{}' ]
  [ "$(arrow inspect box | jq -c '.[0].NetworkSettings.Networks | keys')" = '["three","two"]' ]
  # Its kernel has no IPv6, which it was not chosen for.
  arrow network create --ipv6 six >/dev/null
  arrow network disconnect three box
  run -1 arrow network connect six box
  [ "$output" = "arrow: cannot connect Arrow box: the guest did not accept the network: the guest's kernel has no IPv6, which the network of eth1 has: run the program with --kernel general" ]
  [ "$(arrow network inspect six | jq -c '.[0].Containers')" = '{}' ]
  [ "$(arrow inspect box | jq -c '.[0].NetworkSettings.Networks | keys')" = '["two"]' ]
  arrow network connect --ip 10.94.0.33 --alias third three box
  # The next VM of the same keeper is on them, too; and with the keeper all goes.
  arrow restart -t 0 box >/dev/null
  wait_for 60 sees 'inet 10.98.0.9 default via 10.98.0.1 1 2'
  wait_for 60 echoes
  [ "$(address box three)" = 10.94.0.33 ]
  kill -9 "$(jq .keeper_pid "$ARROW_DATA_DIR/arrows/$id/state.json")"
  left() { [ "$(host nft list ruleset | grep -c '10\.98\.0\.9')" = 0 ] && [ -z "$(ip -n "$NS" -o link | grep awt)" ]; }
  wait_for 60 left
  [ "$(arrow network inspect two | jq -c '.[0].Containers')" = '{}' ]
  arrow rm -f box >/dev/null
}

@test "network: the default network of an Arrow is chosen when it is created" {
  arrow network create one
  ARROW_NETWORK=none arrow create --name box "$BUSYBOX" sh -c 'ip -o link | grep -c " eth"'
  [ "$(arrow inspect box | jq -r '.[0].HostConfig.NetworkMode')" = none ]
  # Another default, later: 'bridge', as ARROW_NETWORK is not set.
  run arrow start -a box
  [ "$output" = 0 ]
  arrow network connect one box
  [ "$(arrow inspect box | jq -r '.[0].HostConfig.NetworkMode')" = one ]
  arrow rm box >/dev/null
  run arrow network rm one
  [ "$output" = one ]
  # What is saved has the cards that it runs with.
  ARROW_NETWORK=none arrow run -d --name kept "$BUSYBOX" sh -c 'while sleep 0.2; do ip -o link | grep -c " eth"; done' >/dev/null
  sees() { [[ $(arrow logs "$1" | tail -n 1) == 0 ]]; }
  wait_for 60 sees kept
  arrow save kept "$BATS_TEST_TMPDIR/saved" >/dev/null
  arrow rm -f kept >/dev/null
  arrow run -d --name again --from "$BATS_TEST_TMPDIR/saved" >/dev/null
  wait_for 60 sees again
  arrow rm -f again >/dev/null
}

networks_are_locked() {
  ! flock -n "$ARROW_RUN_DIR/networks/lock" true
}

# True while a process waits for the lock of all networks.
waits_for_networks() {
  grep -q -- "-> FLOCK .*:$(stat -c %i "$ARROW_RUN_DIR/networks/lock") " /proc/locks
}

@test "network: 'system prune' and 'network prune' change networks under their lock only" {
  for command in system network; do
    arrow network create unused
    flock --no-fork "$ARROW_RUN_DIR/networks/lock" sleep 1000 3>&- &
    holder=$!
    PIDS+=("$holder")
    wait_for 60 networks_are_locked
    ip netns exec "$NS" "$ARROW" $command prune -f >prune.log 2>&1 3>&- &
    PIDS+=($!)
    wait_for 60 waits_for_networks
    [ -e "$ARROW_DATA_DIR/networks/unused.json" ]
    kill "$holder"
    wait "${PIDS[-1]}"
    grep -q unused prune.log
    [ ! -e "$ARROW_DATA_DIR/networks/unused.json" ]
  done
}

@test "network: none, and what cannot be" {
  run busy --network none 'ip -o link | grep -c eth'
  [ "$output" = 0 ]
  for wrong in host container:x nosuch ns:relative bridge:nosuch ns:/nosuch; do
    run arrow run --rm --network "$wrong" "$BUSYBOX" true
    [ "$status" -eq 125 ]
    [ "${#lines[@]}" -eq 1 ]
  done
  run arrow run --rm --network none -p 80:80 "$BUSYBOX" true
  [ "$status" -eq 125 ]
  for wrong in 80:0 x 80:80/sctp 1-2:3-5 70000 1.2.3.4.5:80:80; do
    run arrow run --rm -p "$wrong" "$BUSYBOX" true
    echo "$wrong: $status $output"
    [ "$status" -eq 125 ]
    [ "${#lines[@]}" -eq 1 ]
  done
}

# bats test_tags=start
@test "network: joining a bridge that is not Arrow's" {
  host ip link add br9 type bridge
  host ip addr add 172.30.9.1/24 dev br9
  host ip link set br9 up
  run busy --network bridge:br9 --ip 172.30.9.5 --mac-address 02:00:00:00:09:05 \
    'cat /sys/class/net/eth0/address; ip route | grep default; ping -c 1 -W 10 172.30.9.1 >/dev/null && echo ping'
  [ "$output" = $'02:00:00:00:09:05\ndefault via 172.30.9.1 dev eth0 \nping' ]
  run busy --network bridge:br9 'ip -o -4 addr show eth0; ip -o link show eth0 | grep -c UP'
  [ "$output" = 1 ]
  # It is guarded like any other: there, and as long as it is there.
  start ear --network bridge:br9 --ip 172.30.9.6 'echo up; exec sleep 1000'
  host nft list set bridge arrow addr4 | grep -q '"awt0-.*" . 172.30.9.6'
  # A flushed firewall is mended though no network of Arrow's is up, and also after its watch was killed.
  guarded() { host nft list set bridge arrow addr4 2>&1 | grep -q '"awt0-.*" . 172.30.9.6'; }
  watch=$(processes arrow-net)
  host nft flush ruleset
  wait_for 30 guarded
  kill -9 "$watch"
  host nft flush ruleset
  wait_for 30 guarded
  wait_for 30 another arrow-net "$watch"
  run arrow doctor
  [[ $output != *'doctor --fix'* ]]
  kill "${PIDS[0]}"
  wait_for 30 assert_no_leftovers
  [ -z "$(host nft list ruleset)" ]
  host ip link del br9
}

# bats test_tags=start
@test "network: joining a network namespace by taking over its interface" {
  pod=arrow-pod-$$
  ip netns add "$pod"
  ip -n "$pod" link set lo up
  ip -n "$NS" link add pod0 type veth peer name eth0 netns "$pod"
  host ip addr add 10.244.1.1/24 dev pod0
  host ip addr add fd00:244::1/64 dev pod0 nodad
  host ip link set pod0 up
  ip -n "$pod" addr add 10.244.1.7/24 dev eth0
  ip -n "$pod" addr add fd00:244::7/64 dev eth0 nodad
  ip -n "$pod" link set eth0 mtu 1450 up
  ip -n "$pod" route add default via 10.244.1.1
  mac=$(ip netns exec "$pod" cat /sys/class/net/eth0/address)
  start web --network "ns:/run/netns/$pod" "$web"
  run host timeout 20 wget -qO - http://10.244.1.7
  [[ $output == hello-from-* ]]
  run host timeout 20 wget -qO - 'http://[fd00:244::7]'
  [[ $output == hello-from-* ]]
  # One Arrow a namespace.
  run arrow run --rm --network "ns:/run/netns/$pod" "$BUSYBOX" true
  [ "$status" -eq 125 ]
  [[ $output == *'taken over already'* ]]
  kill -9 "$(state keeper_pid)"
  wait_for 30 no_state
  run busy --network "ns:/run/netns/$pod" \
    'cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu; ping -c 1 -W 10 10.244.1.1 >/dev/null && echo ping'
  [ "$output" = "$mac"$'\n1450\nping' ]
  # It is given back.
  [ -z "$(ip netns exec "$pod" tc qdisc show dev eth0 ingress)" ]
  run ip netns exec "$pod" "$BUSYBOX" ping -c 1 -W 10 10.244.1.1
  [ "$status" -eq 0 ]
  ip netns del "$pod"
}
