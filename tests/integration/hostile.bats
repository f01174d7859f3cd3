#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A registry that is broken or hostile: a clear error, nothing outside the store, nothing half in it,
# and no password where none belongs.

load common
load registry

setup_file() {
  arrow_setup_file
  mkdir -p "$R/docker"
  export LOG=$R/log
  python3 "$BATS_TEST_DIRNAME/hostile.py" "$R/ports" "$LOG" >"$R/out" 2>&1 3>&- 4>&- &
  echo $! >"$R/pid"
  wait_for 30 test -s "$R/ports"
  read -r port OTHER <"$R/ports"
  export HOST=127.0.0.1:$port OTHER
  export DOCKER_CONFIG=$R/docker XDG_CONFIG_HOME=$R XDG_RUNTIME_DIR=$R ARROW_REGISTRY_TIMEOUT=1
  # user:secret
  echo "{\"auths\": {\"$HOST\": {\"auth\": \"dXNlcjpzZWNyZXQ=\"}}}" >"$R/docker/config.json"
}

teardown_file() {
  registry_down
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  export ARROW_DATA_DIR=$BATS_TEST_TMPDIR/data
  : >"$LOG"
}

# refused NAME WORDS...: the pull fails with one line that has all the words; nothing is stored.
refused() {
  local name=$1 word
  shift
  run arrow pull -q "$HOST/$name"
  [ "$status" -eq 1 ]
  [ "${#lines[@]}" -eq 1 ]
  [ "${#output}" -lt 600 ]
  for word; do
    [[ $output == *"$word"* ]]
  done
  [ ! -e "$ARROW_DATA_DIR/oci/index.json" ]
  assert_store_whole
}

# bats test_tags=smoke
@test "hostile: the server's good image is pulled" {
  arrow pull -q "$HOST/good"
  [ "$(find "$ARROW_DATA_DIR/oci/blobs" -type f | wc -l)" -eq 3 ]
  assert_store_whole
}

@test "hostile: answers that are odd and harmless are taken" {
  arrow pull -q "$HOST/good"
  arrow tag "$HOST/good" "$HOST/odd:1"
  : >"$LOG"
  # HEAD is refused with 405, and POST and PUT are answered 200; the token has odd letters.
  arrow push "$HOST/odd:1"
  cat "$LOG"
  [ "$(grep -c 'PUT /v2/odd/blobs/uploads/1' "$LOG")" -eq 2 ]
  [ "$(grep -c 'PUT /v2/odd/manifests/1' "$LOG")" -eq 1 ]
  arrow pull -q "$HOST/oddtoken"
  grep -q 'GET /v2/oddtoken/manifests/latest - Bearer a!b%c:d' "$LOG"
}

@test "hostile: a download that breaks goes on where it broke" {
  arrow pull -q "$HOST/resets"
  assert_store_whole
  [ "$(grep -c 'bytes=' "$LOG")" -ge 1 ]
  [ -z "$(ls "$ARROW_DATA_DIR/oci/ingest")" ]
}

@test "hostile: also where the server knows no ranges" {
  arrow pull -q "$HOST/norange"
  assert_store_whole
}

@test "hostile: one that stands still is taken up, too" {
  arrow pull -q "$HOST/stallblob"
  assert_store_whole
}

@test "hostile: a break in the middle with damaged bytes at the end is found" {
  refused corrupt 'wrong digest'
  refused corrupt2 'wrong digest'
}

@test "hostile: a stalling manifest ends at the deadline" {
  refused stall 'did not answer'
}

@test "hostile: an overloaded registry is asked again, when it says" {
  refused down 'answered 500'
  : >"$LOG"
  arrow pull -q "$HOST/busy"
  [ "$(grep -c manifests "$LOG")" -eq 3 ]
}

@test "hostile: sizes that are wrong" {
  refused wrongsize ', not the'
  refused toolong 'sends more'
  refused short 'ends' 'bytes'
  refused enormous 'no space left'
}

@test "hostile: digests that are wrong, or paths" {
  refused wrongdigest 'wrong digest'
  refused badpath digest
  [ -z "$(find "$BATS_TEST_TMPDIR" -name '*passwd*')" ]
}

@test "hostile: manifests and answers without end, or too large" {
  refused endless 'larger than the 4194304 bytes allowed'
  refused huge 'larger than the 4194304 bytes allowed'
  refused headers 'larger than 65536 bytes'
  refused notjson 'media type that Arrow does not know'
  refused loop 'leads to another index'
  refused manylayers layers
  refused endlessblob 'sends more'
}

@test "hostile: redirects in circles, and to files" {
  arrow pull -q "$HOST/hops-5"
  rm -r "$ARROW_DATA_DIR"
  refused hops-6 'redirects more than 5 times'
  refused circle 'redirects more than 5 times'
  refused redirectfile 'redirects to no web address'
}

@test "hostile: answers of the largest size are taken, larger ones refused" {
  # 64 KiB of token in 256 KiB of answer; the image is then found.
  arrow pull -q "$HOST/token-65536"
  rm -r "$ARROW_DATA_DIR"
  refused token-65537 'more than 65536 bytes'
  refused answertoken-65536 'larger than the 262144 bytes allowed'
  arrow pull -q "$HOST/headers-65000"
  rm -r "$ARROW_DATA_DIR"
  refused headers-66000 'headers of an answer' 'larger than 65536 bytes'
  # Lists of tags that are taken: the first of them has no image.
  for name in tags-20000 pages-200; do
    run -1 arrow pull -a -q "$HOST/$name"
    [[ $output == *"$name:t"[01]* && $output != *'more than'* ]]
  done
  for name in tags-20001 pages-201; do
    run -1 arrow pull -a -q "$HOST/$name"
    [[ $output == *'has more than 20000 tags'*'more than 200 pages'* ]]
  done
  for timeout in 0 3601 x; do
    ARROW_REGISTRY_TIMEOUT=$timeout run -1 arrow pull -q "$HOST/good"
    [[ $output == *'ARROW_REGISTRY_TIMEOUT is a number of seconds from 1 to 3600'* ]]
  done
  ARROW_REGISTRY_TIMEOUT=3600 arrow pull -q "$HOST/good"
}

@test "hostile: a redirect to another host takes no credentials along" {
  arrow pull -q "$HOST/redirect"
  grep -q "^$OTHER GET /blob - -$" "$LOG"
  grep -q "manifests.*Bearer good" "$LOG"
  run ! grep -q "^$OTHER .*[Bb]earer\|^$OTHER .*Basic" "$LOG"
}

@test "hostile: a token server elsewhere without encryption gets nothing" {
  refused realmelsewhere "127.0.0.1:$OTHER" 'without encryption'
  run ! grep -q "^$OTHER " "$LOG"
  refused realmfile 'invalid URL for its token server'
}

@test "hostile: a registry that never lets us in ends soon" {
  refused loop401 "arrow login $HOST"
  [ "$(grep -c manifests "$LOG")" -eq 2 ]
  refused basicloop "arrow login $HOST"
}

@test "hostile: token servers that send noise or line breaks" {
  refused noise 'larger than the 262144 bytes allowed'
  refused inject 'without a token'
  run ! grep -q Evil "$LOG"
}

@test "hostile: a range that was not asked for" {
  refused wrongrange 'another part'
}

@test "hostile: words for the terminal are made harmless" {
  refused escape '?[31mred?line'
  [[ $output != *$'\033'* ]]
}

@test "hostile: a credential file that is none" {
  cp "$R/docker/config.json" saved
  echo '[1, 2' >"$R/docker/config.json"
  run arrow pull -q "$HOST/good"
  cp saved "$R/docker/config.json"
  [ "$status" -eq 1 ]
  [[ $output == *"$R/docker/config.json"* ]]
}
