#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Signatures and policy: what is not signed as the policy wants is neither pulled nor run.

load common
load registry

setup_file() {
  arrow_setup_file
  registry_up
  cd "$R" || return 1
  openssl genpkey -algorithm ed25519 -out ed.key
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.key
  openssl genpkey -algorithm ed25519 -out other.key
  for key in ed ec other; do
    openssl pkey -in $key.key -pubout -out $key.pub
  done
  login
  NAME=$HOST/team/signed:1
  export NAME
  # One image by two ways, and one that nobody signed.
  arrow build -q -t "$NAME" --sign ed.key "$BUSYBOX"
  arrow image sign --key ec.key "$NAME"
  arrow push -q "$NAME"
  arrow build -q -t "$HOST/team/plain:1" --label plain=1 "$BUSYBOX"
  arrow push -q "$HOST/team/plain:1"
}

teardown_file() {
  registry_down
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
  export ARROW_DATA_DIR=$BATS_TEST_TMPDIR/data
  mkdir -p "$ARROW_DATA_DIR"
}

# policy REQUIREMENT...: for $HOST/team; all else is rejected.
policy() {
  local IFS=, list
  list="$*"
  cat >"$ARROW_DATA_DIR/policy.json" <<END
{"default": [{"type": "reject"}],
 "transports": {"docker": {"$HOST/team": [$list]}}}
END
}

signed_by() {
  echo "{\"type\": \"sigstoreSigned\", \"keyPath\": \"$R/$1.pub\"}"
}

# refused ARGS...: fails with one line, and nothing got a name in the store.
refused() {
  run arrow "$@"
  echo "$output"
  [ "$status" -eq "$([ "$1" = run ] && echo 125 || echo 1)" ]
  [[ ${lines[-1]} == *"${expect:?}"* ]]
}

@test "trust: pull --verify takes what the key signed, and nothing else" {
  arrow pull -q --verify "$R/ed.pub" "$NAME"
  arrow image verify --key "$R/ed.pub" "$NAME"
  arrow image verify --key "$R/ec.pub" "$NAME"
  run arrow image verify --key "$R/other.pub" "$NAME"
  [ "$status" -eq 1 ]
  rm -rf "$ARROW_DATA_DIR"
  expect='is not signed by' refused pull -q --verify "$R/other.pub" "$NAME"
  expect='is not signed by' refused pull -q --verify "$R/ed.pub" "$HOST/team/plain:1"
  [ ! -e "$ARROW_DATA_DIR/oci/index.json" ]
  [ -z "$(ls "$ARROW_DATA_DIR/oci/blobs/sha256")" ]
}

@test "trust: a signature also counts for an image pulled by digest" {
  digest=$(arrow pull "$NAME" | sed -n 's/^Digest: //p')
  policy "$(signed_by ec)"
  arrow pull -q "$HOST/team/signed@$digest"
  arrow run "$HOST/team/signed@$digest" true
}

@test "trust: the policy judges a pull, and run, before anything is stored or started" {
  policy "$(signed_by ec)"
  arrow pull -q "$NAME"
  arrow run "$NAME" echo trusted | grep -qx trusted
  expect='is not signed by' refused pull -q "$HOST/team/plain:1"
  run -125 arrow run "$HOST/team/plain:1" true
  [[ $output == *'is not signed by'* ]]
  policy "$(signed_by ec)" "$(signed_by other)"
  expect='is not signed by' refused run "$NAME" echo trusted
  policy '{"type": "reject"}'
  expect='rejects' refused run "$NAME" echo trusted
  echo nonsense >"$ARROW_DATA_DIR/policy.json"
  expect='cannot be used' refused run "$NAME" echo trusted
  rm "$ARROW_DATA_DIR/policy.json"
  arrow run "$NAME" true
}

@test "trust: what came into the store by another way or name is judged, too" {
  arrow pull -q "$HOST/team/plain:1"
  policy "$(signed_by ec)"
  expect='is not signed by' refused run "$HOST/team/plain:1" true
  arrow tag "$HOST/team/plain:1" "$NAME"
  expect='is not signed by' refused run "$NAME" true
  id=$(arrow images -q --no-trunc | head -n 1)
  expect='is not signed by' refused run "${id#sha256:}" true
  # A signature for another name is none for this one.
  openssl pkey -in "$R/ec.key" -out key
  arrow tag "$NAME" "$HOST/other/name:1"
  arrow image sign --key key "$HOST/other/name:1"
  expect='is signed under another name' refused run "$NAME" true
}

@test "trust: a program that was made is judged again when it is started" {
  arrow pull -q "$NAME"
  arrow create --name judged "$NAME" true
  policy '{"type": "reject"}'
  run arrow start -a judged
  [ "$status" -ne 0 ]
  [[ $output == *rejects* ]]
  rm "$ARROW_DATA_DIR/policy.json"
  arrow start -a judged
  arrow rm judged
}

@test "trust: a signature that was tampered with counts for nothing" {
  arrow pull -q --verify "$R/ec.pub" "$NAME"
  policy "$(signed_by ec)"
  arrow run "$NAME" true
  for blob in "$ARROW_DATA_DIR"/oci/blobs/sha256/*; do
    if grep -q 'cosign container image signature' "$blob"; then
      chmod 600 "$blob"
      sed -i 's/signed/sIgned/' "$blob"
    fi
  done
  run arrow run "$NAME" true
  [ "$status" -eq 125 ]
}

@test "trust: prune keeps signatures as long as their image" {
  arrow pull -q --verify "$R/ec.pub" "$NAME"
  arrow image prune -f
  arrow image verify --key "$R/ec.pub" "$NAME"
  arrow rmi "$NAME"
  arrow image prune -f
  [ -z "$(find "$ARROW_DATA_DIR/oci/blobs" -type f)" ]
}

@test "trust: referrers without a registry's help: the tag of the digest lists them" {
  digest=$(arrow pull --verify "$R/ec.pub" "$NAME" | sed -n 's/^Digest: //p')
  skopeo inspect --raw --creds user:secret --cert-dir "$CERTS" \
    "docker://$HOST/team/signed:sha256-${digest#sha256:}" >list
  [ "$(jq -r '.manifests[0].artifactType' list)" = application/vnd.dev.cosign.artifact.sig.v1+json ]
  skopeo inspect --raw --creds user:secret --cert-dir "$CERTS" \
    "docker://$HOST/team/signed:sha256-${digest#sha256:}.sig" >signature
  [ "$(jq -r .subject.digest signature)" = "$digest" ]
  [ "$(jq '.layers | length' signature)" -eq 2 ]
  [ "$(jq -r '.manifests[0].digest' list)" = "sha256:$(sha256sum <signature | cut -d ' ' -f 1)" ]
}

@test "trust: a key that is none is told before anything is built" {
  echo nothing >key
  run arrow build -t "$HOST/team/x:1" --sign key "$BUSYBOX"
  [ "$status" -eq 1 ]
  [[ $output == *'does not hold a private key'* ]]
  [ -z "$(arrow images -q)" ]
  run arrow build --sign "$R/ec.key" "$BUSYBOX"
  [ "$status" -eq 1 ]
}
