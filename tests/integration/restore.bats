#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Arrows that are paused, and saved while they run: what is restored goes on as somebody else, from
# files that never change.

load common

setup_file() {
  arrow_setup_file
  guest probe
  cat >"$BATS_FILE_TMPDIR/warm.py" <<'END'
import hashlib, random, re, signal, sys, threading

def told(*_):
    global restored
    restored = dict(line.strip().split("=", 1) for line in open("/run/arrow/restored"))
    random.seed()

restored = {}
signal.signal(signal.SIGUSR1, told)
data = {n: n * n for n in range(100000)}
print("warm", flush=True)
for line in sys.stdin:
    print(line.strip(), data[333], restored.get("ID"), restored.get("NAME"), random.getrandbits(64), flush=True)
END
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  P=$G/probe
  B=$BUSYBOX
}

# The root of Debian, which is made once and stays; the first time takes minutes.
debian() {
  ROOTFS=$("$SOURCE/tests/rootfs" "$SOURCE/build/test-rootfs")
}

teardown() {
  # shellcheck disable=SC2046
  arrow rm -f $(arrow ps -aq) >/dev/null 2>&1 || true
  assert_no_leftovers
}

# counting NAME OPTION...: an Arrow that counts until it is ended, and says who it is.
counting() {
  local name=$1
  shift
  arrow run -d --name "$name" "$@" "$P" tally >/dev/null
  wait_for 60 counts "$name" 2
}

# The same by a shell and its children, which keeps the guest busy.
counting_busily() {
  local name=$1
  shift
  # shellcheck disable=SC2016
  arrow run -d --name "$name" "$@" "$B" sh -c 'i=0
    while :; do i=$((i+1))
      echo $i $(hostname) $(cat /etc/machine-id /proc/sys/kernel/random/boot_id) $(head -c 8 /dev/urandom | md5sum)
      sleep 0.1
    done' >/dev/null
  wait_for 60 counts "$name" 2
}

counts() {
  arrow logs "$1" 2>/dev/null | grep -q "^$2 "
}

lines() {
  arrow logs "$1" | wc -l
}

# restore NAME OPTION...: of the directory `saved`, detached.
restore() {
  local name=$1
  shift
  arrow run -d --name "$name" --from saved "$@" >/dev/null
}

# bats test_tags=smoke
@test "pause: the program stands still, ps says Paused, and the clock is right afterwards" {
  counting one
  [ "$(arrow pause one)" = one ]
  [[ $(arrow ps) == *'(Paused)'* ]]
  before=$(lines one)
  sleep 1
  [ "$(lines one)" -eq "$before" ]
  run arrow pause one
  [ "$status" -eq 1 ]
  [[ $output == *'already paused'* ]]
  run arrow save one saved
  [ "$status" -eq 1 ]
  [[ $output == *'paused'* ]]
  [ "$(arrow unpause one)" = one ]
  [[ $(arrow ps) != *'(Paused)'* ]]
  wait_for 30 counts one $((before + 3))
  run arrow unpause one
  [ "$status" -eq 1 ]
  [[ $output == *'not paused'* ]]
  run arrow pause nobody
  [ "$status" -eq 1 ]
}

@test "pause: a paused Arrow can be killed, stopped and removed" {
  for way in 'kill one' 'stop -t 1 one' 'rm -f one'; do
    counting one
    arrow pause one
    # shellcheck disable=SC2086
    arrow $way
    arrow rm -f one >/dev/null 2>&1 || true
    [ -z "$(arrow ps -aq)" ]
  done
}

@test "pause: the clock of an unpaused program is right to the millisecond" {
  (sleep 3; arrow pause cc; sleep 2; arrow unpause cc) >/dev/null &
  cat >ask.sh <<'END'
#!/bin/sh
exec "$ARROW" run -i --rm --name cc "$G/probe" clock
END
  chmod +x ask.sh
  python3 - <<'END' >out
import subprocess, time
p = subprocess.Popen(["./ask.sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def ask():
    before = time.time_ns(); p.stdin.write(b"?"); p.stdin.flush()
    guest = int(p.stdout.readline()); after = time.time_ns()
    return max(0, before - guest), max(0, guest - after)
time.sleep(6)
ask()
time.sleep(0.3)
errors = [ask() for _ in range(50)]
print(max(e[0] for e in errors) // 1000, max(e[1] for e in errors) // 1000)
p.stdin.close(); p.wait()
END
  wait
  read -r behind ahead <out
  cat out
  [ "$behind" -lt 5000 ]
  [ "$ahead" -lt 5000 ]
}

@test "restore: each is somebody else from its first line on that it begins, and the saved one goes on" {
  counting one -l of=one --cap-add NET_ADMIN
  [ "$(arrow save one saved)" = saved ]
  at=$(arrow logs one | tail -n 1 | cut -d ' ' -f 1)
  for n in aa bb cc; do restore $n -l "is=$n" & done
  wait
  for n in aa bb cc; do
    wait_for 60 counts $n $((at + 6))
    # The first lines may have been put together before it was saved.
    arrow logs $n | tail -n +4 >log.$n
    # Nobody begins anew, and nobody says a thing as the saved one.
    [ "$(head -n 1 log.$n | cut -d ' ' -f 1)" -gt 1 ]
    [ "$(cut -d ' ' -f 2-4 log.$n | sort -u | wc -l)" -eq 1 ]
    [ "$(arrow ps -q --filter "label=is=$n" | wc -l)" -eq 1 ]
  done
  wait_for 30 counts one $((at + 3))
  arrow logs one | tail -n +2 >log.one
  [ "$(cat log.[abc][abc] log.one | cut -d ' ' -f 2 | sort -u | wc -l)" -eq 4 ]
  [ "$(cat log.[abc][abc] log.one | cut -d ' ' -f 3 | sort -u | wc -l)" -eq 4 ]
  [ "$(cat log.[abc][abc] log.one | cut -d ' ' -f 4 | sort -u | wc -l)" -eq 4 ]
  # No random number comes twice.
  cat log.[abc][abc] log.one | cut -d ' ' -f 5 | sort | uniq -d >twice
  [ ! -s twice ]
  # What had used no TCP when it was saved draws the secret for its sequence numbers now.
  for n in aa bb cc one; do
    arrow cp "$P" $n:/probe
    arrow exec $n /probe unique | grep '^tcp_secret [0-9]' >>secrets
  done
  [ "$(sort -u secrets | wc -l)" -eq 4 ]
  run arrow ps -q --filter label=of=one
  [ "${#lines[@]}" -eq 1 ]
}

@test "restore: one of several processors, and a restored one that is saved itself" {
  counting one --cpus 2
  arrow save one saved
  at=$(arrow logs one | tail -n 1 | cut -d ' ' -f 1)
  restore aa
  wait_for 60 counts aa $((at + 2))
  arrow save aa again
  mv saved first
  mv again saved
  rm -rf first
  restore bb --hostname other
  # The first lines may have been put together before it was saved.
  wait_for 60 eval '[ "$(arrow logs bb | grep -c " other ")" -ge 5 ]'
  [ "$(arrow logs bb | grep -n -m 1 " other " | cut -d : -f 1)" -le 5 ]
  arrow logs bb | sed -n '/ other /,$p' >log
  [ "$(cut -d ' ' -f 2 log | sort -u)" = other ]
  [ "$(arrow logs one | tail -n +2 | cut -d ' ' -f 4 | sort -u)" != "$(cut -d ' ' -f 4 log | sort -u)" ]
}

# bats test_tags=smoke
@test "restore: the memory is shared and never changes" {
  counting one
  arrow save one saved
  at=$(arrow logs one | tail -n 1 | cut -d ' ' -f 1)
  sums=$(sha256sum saved/*)
  for n in aa bb; do restore $n; done
  wait_for 60 counts bb $((at + 5))
  [ "$(sha256sum saved/*)" = "$sums" ]
  # Removed while it is in use, nobody notices.
  rm -rf saved
  last=$(arrow logs bb | tail -n 1 | cut -d ' ' -f 1)
  wait_for 30 counts bb $((last + 5))
}

@test "restore: python with its imports done, told by a signal, three at once" {
  debian
  arrow run -di --name warm --rootfs "$ROOTFS" -m 256m python3 -c "$(cat "$BATS_FILE_TMPDIR/warm.py")" >/dev/null
  wait_for 60 eval 'arrow logs warm | grep -qx warm'
  arrow save --stop warm saved
  [ "$(arrow ps -q | wc -l)" -eq 0 ]
  for n in 1 2 3; do
    echo "hello $n" | arrow run --rm -i --name w$n --restore-signal USR1 --from saved >out$n &
  done
  wait
  for n in 1 2 3; do
    read -r hello number square id name random <out$n
    [ "$hello $number $square $name" = "hello $n 110889 w$n" ]
    [ "${#id}" -eq 64 ]
    echo "$id $random" >>all
  done
  [ "$(cut -d ' ' -f 1 all | sort -u | wc -l)" -eq 3 ]
  [ "$(cut -d ' ' -f 2 all | sort -u | wc -l)" -eq 3 ]
}

@test "restore: redis with its data, five at once, each with what it is told since" {
  debian
  # shellcheck disable=SC2016
  arrow run -di --name db --rootfs "$ROOTFS" -m 256m bash -c '
    redis-server --save "" --bind 127.0.0.1 >/dev/null &
    until redis-cli ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
    seq 2000 | sed "s/.*/set key:& value:&/" | redis-cli >/dev/null
    echo loaded
    while read -r line; do redis-cli $line; done' >/dev/null
  wait_for 100 eval 'arrow logs db | grep -qx loaded'
  arrow save db saved
  for n in 1 2 3 4 5; do
    printf 'get key:%s\nset me %s\nget me\ndbsize\n' "$n" "$n" | arrow run --rm -i --from saved >out$n &
  done
  wait
  for n in 1 2 3 4 5; do
    [ "$(cat out$n)" = "value:$n"$'\nOK\n'"$n"$'\n2001' ]
  done
}

@test "restore: input, or its end, comes from whoever restores; a terminal stays one" {
  # shellcheck disable=SC2016
  arrow run -di --name one "$B" sh -c 'while read -r l; do echo "got $l"; done; echo end' >/dev/null
  arrow save one saved
  [ "$(printf 'x\ny\n' | arrow run --rm -i --from saved)" = $'got x\ngot y\nend' ]
  [ "$(arrow run --rm --from saved </dev/null)" = end ]
  run arrow run --rm -t --from saved
  [ "$status" -eq 125 ]
  [[ $output == *'no terminal'* ]]
  counting two
  mv saved first
  arrow save two saved
  run arrow run --rm -i --from saved
  [ "$status" -eq 125 ]
  [[ $output == *'leave out -i'* ]]
}

@test "restore: a clock that is hours old is right to the millisecond" {
  # The guest's clock is set back by five hours, which is what one finds that was saved then.
  cat >clock.sh <<'END'
date -s "@$(($(date +%s) - 18000))" >/dev/null; date +%s; exec /probe clock
END
  mkdir -p root/bin
  cp "$B" root/bin/busybox
  cp "$P" root/probe
  arrow run -di --name old --cap-add SYS_TIME --rootfs root /bin/busybox sh -c "$(sed 's/date/busybox date/g' clock.sh)" >/dev/null
  wait_for 60 eval '[ -n "$(arrow logs old)" ]'
  [ "$(arrow logs old)" -lt $(($(date +%s) - 17000)) ]
  arrow save --stop old saved
  for _ in $(seq 20); do
    "$SOURCE/tests/guests/clock_error.py" 50 timeout 180 "$ARROW" run -i --rm --from saved >out
    read -r _ behind _ ahead _ <out
    [ $((behind + ahead)) -ge 1000 ] || return 0
  done
  cat out
  return 1
}

@test "restore: a read-only root gets the new identity, and stays read-only" {
  arrow run -di --name one --read-only "$B" sh -c 'read x; cat /etc/hostname; touch /x; echo $?' >/dev/null
  arrow save one saved
  run --separate-stderr arrow run --rm -i --hostname other --from saved <<<go
  [ "$output" = $'other\n1' ]
}

@test "restore: damaged files are found before anything starts" {
  counting one
  arrow save --stop one saved
  for file in ram state root blocks arrow.json; do
    [ -e saved/$file ] || continue # blocks are for TCG, and written by Arrow's own QEMU
    cp -r --sparse=always saved bad
    chmod u+w bad/*
    printf x | dd of=bad/$file bs=1 seek=1000 conv=notrunc status=none
    run arrow run --rm --from bad
    [ "$status" -eq 125 ]
    [[ $output == *"bad/$file"*damaged* ]] || { echo "$file: $output"; return 1; }
    rm bad/$file
    if [ $file = blocks ]; then # they only save time
      arrow run -d --name without --from bad >/dev/null
      wait_for 60 eval '[ -n "$(arrow logs without)" ]'
      arrow rm -f without
    else
      run arrow run --rm --from bad
      [ "$status" -eq 125 ]
      [ "$(wc -l <<<"$output")" -eq 1 ]
    fi
    rm -rf bad
  done
  run arrow run --rm --from nowhere
  [ "$status" -eq 125 ]
  # A copy is as good.
  cp -r --sparse=always saved copy
  arrow run -d --name cc --from copy >/dev/null
  wait_for 60 eval '[ -n "$(arrow logs cc)" ]'
}

# forge PYTHON: changes arrow.json (`about`) of the directory `bad`, a copy of `saved`, as somebody does who knows how its
# digest is made.
forge() {
  rm -rf bad
  cp -r --sparse=always saved bad
  chmod u+w bad/*
  python3 - "$1" <<'END'
import hashlib, json, sys
about = json.load(open("bad/arrow.json"))
del about["digest"]
exec(sys.argv[1])
about["digest"] = hashlib.sha256(json.dumps(about, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
json.dump(about, open("bad/arrow.json", "w"))
END
}

@test "restore: a forged directory gives no volume of the host, no path for a digest, no card that is none" {
  counting one
  arrow save --stop one saved
  # So far the digest is right.
  forge 'about["name"] = "forged"'
  arrow run -d --name forged --from bad >/dev/null
  arrow rm -f forged
  mkdir host
  for change in \
    'about["spec"]["volumes"] = [{"host": "'"$PWD"'/host", "guest": "/mnt", "read_only": False}] | volumes' \
    'about["image"] = "../../../../etc/passwd" | invalid id' \
    'about["kernel"] = "/etc/passwd" | invalid id' \
    'about["cards"] = [9] | invalid network cards'; do
    forge "${change% | *}"
    run arrow run --rm --from bad
    echo "$output"
    [ "$status" -eq 125 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"${change#* | }"* ]]
  done
}

@test "restore: what other users could have written is refused" {
  counting one
  arrow save --stop one saved
  chmod g+w saved
  run arrow run --rm --from saved
  [ "$status" -eq 125 ]
  [[ $output == *'refusing to restore'*'saved: other users may write to it'* ]]
  chmod g-w saved
  local file
  for file in arrow.json ram state root; do
    cp --remove-destination --sparse=always "saved/$file" kept # the root image may have a second name in the store
    mv kept "saved/$file"
    chmod o+w "saved/$file"
    run arrow run --rm --from saved
    [ "$status" -eq 125 ]
    [[ $output == *"saved/$file: other users may write to it"* ]]
    chmod o-w "saved/$file"
    if [ "$(id -u)" -eq 0 ]; then
      chown 12345 "saved/$file"
      run arrow run --rm --from saved
      [ "$status" -eq 125 ]
      [[ $output == *"saved/$file: it belongs to user 12345"* ]]
      chown 0 "saved/$file"
    fi
    # Nor is it read by another name.
    mv "saved/$file" elsewhere
    ln -s "$PWD/elsewhere" "saved/$file"
    run arrow run --rm --from saved
    [ "$status" -eq 125 ]
    rm "saved/$file"
    mv elsewhere "saved/$file"
  done
  arrow run -d --name fine --from saved >/dev/null
  arrow rm -f fine
}

@test "restore: what was translated before is not translated again" {
  arrow info --format json | jq -e '.engine.accel == "tcg" and (.engines[0].version | endswith("built for Arrow"))' >/dev/null ||
    skip "only Arrow's own QEMU keeps what TCG has translated"
  # KiB of code that the VM of an Arrow has for itself.
  translated() {
    awk '$1 ~ /-/ { code = $2 ~ /x/ && $2 ~ /w/ } /^Anonymous:/ && code { n += $2 } END { print n }' \
      "/proc/$(jq .vm_pid "$ARROW_DATA_DIR/arrows/$(arrow inspect -f '{{.Id}}' "$1")/state.json")/smaps"
  }
  counting_busily one
  arrow save --stop one saved
  arrow run -d --name with --from saved >/dev/null
  wait_for 60 eval '[ -n "$(arrow logs with)" ]'
  cp -r --sparse=always saved copy
  rm copy/blocks
  arrow run -d --name without --from copy >/dev/null
  wait_for 60 eval '[ -n "$(arrow logs without)" ]'
  echo "$(translated with) KiB with, $(translated without) KiB without"
  [ "$(translated without)" -gt $((2 * $(translated with))) ]
  # One that is saved itself hands on both: what it was given, and what came since.
  arrow save --stop with again
  arrow run -d --name third --from again >/dev/null
  wait_for 60 eval '[ -n "$(arrow logs third)" ]'
  [ "$(translated without)" -gt $((2 * $(translated third))) ]
}

@test "restore: another engine or CPU is refused" {
  counting one
  arrow save --stop one saved
  # edit JQ: changes what it says, with a digest that fits.
  edit() {
    jq "$1 | del(.digest)" saved/arrow.json >new
    digest=$(jq -jcS . new | sha256sum | cut -d ' ' -f 1)
    jq ".digest = \"$digest\"" new >saved/arrow.json
  }
  edit '.machine.version = "1.0" | .machine.identity = "else"'
  run arrow run --rm --from saved
  [ "$status" -eq 125 ]
  [[ $output == *'another CPU'* || $output == *'was saved by'* ]]
  edit '.machine.tsc_khz = 1'
  run arrow run --rm --from saved
  [ "$status" -eq 125 ]
  [[ $output == *'another CPU'* ]]
  edit '.format = 0'
  run arrow run --rm --from saved
  [ "$status" -eq 125 ]
  [[ $output == *'another version'* ]]
}

@test "restore: what the saved one brings cannot be changed" {
  counting one
  arrow save --stop one saved
  for option in '-m 1g' '-e A=b' '-w /tmp' '--cpus 2' '-v .:/x' '--read-only'; do
    # shellcheck disable=SC2086
    run arrow run --rm $option --from saved
    [ "$status" -eq 125 ]
    [[ $output == *'cannot be changed'* ]]
  done
  run arrow run --rm --from saved program
  [ "$status" -eq 125 ]
}

@test "save: what cannot be saved is refused, and nothing is harmed" {
  mkdir v
  arrow run -d --name vol -v ./v:/v "$B" sleep 100 >/dev/null
  run arrow save vol saved
  [ "$status" -eq 1 ]
  [[ $output == *volumes* ]]
  [ ! -e saved ]
  [ ! -e saved.partial ]
  counting one
  mkdir full
  touch full/file
  run arrow save one full
  [ "$status" -eq 1 ]
  [[ $output == *'already'* ]]
  run arrow save one /nowhere/dir
  [ "$status" -eq 1 ]
  arrow create --name never "$B" true >/dev/null
  run arrow save never saved
  [ "$status" -eq 1 ]
  [[ $output == *'not running'* ]]
  last=$(arrow logs one | tail -n 1 | cut -d ' ' -f 1)
  wait_for 30 counts one $((last + 3))
  [ "$(arrow ps -q | wc -l)" -eq 2 ]
}

@test "save: killed at any moment it leaves nothing half, and the Arrow goes on" {
  counting one
  for ms in 005 050 150 300 600; do
    "$ARROW" save one saved >/dev/null 2>&1 &
    pid=$!
    sleep 0.$ms
    kill -KILL $pid 2>/dev/null || true
    wait $pid || true
    # Either it was done, or there is nothing of that name.
    if [ -e saved ]; then
      arrow run -d --rm --name rr --from saved >/dev/null
      arrow rm -f rr >/dev/null
      rm -rf saved
    fi
    last=$(arrow logs one | tail -n 1 | cut -d ' ' -f 1)
    wait_for 60 counts one $((last + 3))
  done
  # The keeper may still be writing for the one that was killed.
  wait_for 60 arrow save one saved
  [ ! -e saved.partial ]
  restore rr
  wait_for 60 eval '[ -n "$(arrow logs rr)" ]'
}

@test "save: two at once, to one directory and to two" {
  counting one
  for n in 1 2; do arrow save one saved >out$n 2>&1 & done
  wait
  [ "$(cat out1 out2 | grep -cx saved)" -ge 1 ]
  [ ! -e saved.partial ]
  counting two
  arrow save one x >/dev/null &
  arrow save two y >/dev/null
  wait
  arrow run -d --name rx --from x >/dev/null
  arrow run -d --name ry --from y >/dev/null
  wait_for 60 eval '[ -n "$(arrow logs rx)" ] && [ -n "$(arrow logs ry)" ]'
}

@test "save: a full disk is told, and the Arrow goes on" {
  [ "$(id -u)" = 0 ] || skip "needs root to mount a small file system"
  counting one
  mkdir small
  mount -t tmpfs -o size=8m small small
  run arrow save one small/saved
  [ "$status" -ne 0 ]
  [ -z "$(ls -A small)" ] || { ls -laR small; umount small; return 1; }
  umount small
  last=$(arrow logs one | tail -n 1 | cut -d ' ' -f 1)
  wait_for 30 counts one $((last + 3))
}
