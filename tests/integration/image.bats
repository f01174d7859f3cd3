#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Container images: run as they are, exchanged with podman, skopeo and tar, built, and hostile ones.

# The variables in what guests run are theirs.
# shellcheck disable=SC2016

load common

setup_file() {
  arrow_setup_file
  export W=$BATS_FILE_TMPDIR/work
  mkdir -p "$W"
  cd "$W" || return 1
  # A root of busybox that shows what must be kept.
  mkdir -p root/bin root/etc root/data root/home/web
  cp "$BUSYBOX" root/bin/busybox
  for applet in sh cat echo env id ls pwd readlink sleep stat; do ln -s busybox "root/bin/$applet"; done
  printf 'root:x:0:0::/root:/bin/sh\nweb:x:1234:77::/home/web:/bin/sh\n' >root/etc/passwd
  printf 'root:x:0:\nweb:x:77:\nextra:x:88:web\n' >root/etc/group
  echo content >root/data/file
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C root -cf root.tar .
  "$ARROW" import -q -c 'CMD ["/bin/sh","-c","echo $GREETING; id -u; id -g; id -G; pwd"]' -c 'ENV GREETING=hello' \
    -c 'USER web' -c 'WORKDIR /srv/new' -c 'VOLUME /data' -c 'EXPOSE 80' -c 'LABEL a=b' -c 'STOPSIGNAL INT' root.tar box:1
}

setup() {
  cd "$BATS_TEST_TMPDIR" || return 1
}

teardown() {
  assert_no_leftovers
}

# Podman with a store of its own, which goes with the file's directory.
pod() {
  podman --root "$BATS_FILE_TMPDIR/podman" --runroot "$BATS_FILE_TMPDIR/podman-run" --storage-driver vfs \
    --events-backend file --cgroup-manager cgroupfs "$@"
}

pod_run() {
  pod run --rm --network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$@"
}

need() {
  command -v "$1" >/dev/null || skip "$1 is not installed"
}

# image_of NAME FILE: an image whose only layer is an archive.
image_of() {
  "$ARROW" import -q "$2" "$1"
}

# bats test_tags=smoke, start
@test "image: command, environment, user, groups and directory are the image's" {
  run arrow run box:1
  [ "$status" -eq 0 ]
  [ "$output" = $'hello\n1234\n77\n77 88\n/srv/new' ]
}

@test "image: options replace what the image says, as under docker" {
  run arrow run -e GREETING=bye -u 5:6 -w / box:1 /bin/sh -c 'echo $GREETING; id -u; id -g; pwd'
  [ "$output" = $'bye\n5\n6\n/' ]
  run arrow run --group-add extra --group-add 99 --group-add '' -u 5:6 box:1
  [ "${lines[3]}" = '6 88 99' ]
  run -125 arrow run --group-add nobody box:1
  [ "$output" = 'arrow: unable to find group nobody: no matching entries in group file' ]
  run arrow run --entrypoint /bin/echo box:1 a b
  [ "$output" = 'a b' ]
  # --entrypoint takes the image's command away, too.
  run arrow run --entrypoint /bin/pwd box:1
  [ "$output" = /srv/new ]
}

@test "image: entrypoint and command come together, arguments replace the command" {
  arrow import -q -c 'ENTRYPOINT ["/bin/echo","first"]' -c 'CMD ["second"]' "$W/root.tar" entry
  run arrow run entry
  [ "$output" = 'first second' ]
  run arrow run entry x y
  [ "$output" = 'first x y' ]
  run arrow run --entrypoint '' entry /bin/echo z
  [ "$output" = z ]
}

# bats test_tags=start
@test "image: volumes of the image hold its content, are written, and go with the Arrow" {
  run --separate-stderr arrow run --verbose -u 0 box:1 /bin/sh -c 'cat /data/file; echo new >/data/file; cat /data/file'
  [ "$status" -eq 0 ]
  # shellcheck disable=SC2154
  [[ $stderr == *'volume /data of the image is in memory'* ]]
  [ "$output" = $'content\nnew' ]
  run arrow run box:1 /bin/cat /data/file
  [ "$output" = content ]
  run arrow run --read-only -u 0 box:1 /bin/sh -c 'echo x >/data/x && ! echo x 2>/dev/null >/x && echo ok'
  [[ $output == *ok* ]]
}

@test "image: which is meant: a path is a program, a name an image before a program" {
  cp "$BUSYBOX" busybox
  mkdir bin
  cp "$BUSYBOX" bin/echo
  run arrow run ./busybox echo program
  [ "$output" = program ]
  run arrow run box:1 /bin/echo image
  [ "$output" = image ]
  PATH=$PWD/bin:$PATH run arrow run echo 'from PATH'
  [ "$output" = 'from PATH' ]
  arrow tag box:1 echo
  PATH=$PWD/bin:$PATH run arrow run --verbose echo /bin/echo now
  [[ $output == *'echo is the image docker.io/library/echo:latest'* ]]
  arrow rmi echo
  run -125 arrow run --pull never no-such-thing
  [[ $output == *'no such image, and no such program'* ]]
}

@test "image: --platform is this host's" {
  [ "$(arrow run --platform linux/amd64 box:1 /bin/echo same)" = same ]
  run arrow run --platform linux/arm64 box:1
  [ "$status" -eq 125 ]
  [[ $output == *'cannot run images of linux/arm64: Arrows here are linux/amd64'* ]]
}

@test "image: two starts at once make one root; later ones make none" {
  arrow import -q -c 'CMD ["/bin/echo","up"]' <(cat "$W/root.tar"; head -c 10240 /dev/zero) twice 2>/dev/null ||
    arrow import -q -c 'CMD ["/bin/echo","up"]' "$W/root.tar" twice
  rm -f "$ARROW_DATA_DIR"/images/*.json
  for i in 1 2 3; do arrow run --verbose twice >out.$i 2>&1 & done
  wait
  cat out.*
  [ "$(cat out.* | grep -c '^up$')" = 3 ]
  [ "$(cat out.* | grep -c 'made the root image')" = 1 ]
}

@test "image: images, inspect, history, tag, rmi" {
  arrow tag box:1 localhost:5000/team/box:v2
  run arrow images
  [[ ${lines[0]} =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
  [[ $output =~ localhost:5000/team/box\ +v2\ + ]]
  id=$(arrow images --no-trunc -q box | head -n 1)
  [[ $id =~ ^sha256:[0-9a-f]{64}$ ]]
  [ "$(arrow image inspect box:1 | jq -r '.[0].Id')" = "$id" ]
  [ "$(arrow image inspect "${id:7:12}" | jq -r '.[0].Config.User')" = web ]
  [ "$(arrow image inspect box:1 | jq -r '.[0].RepoTags | sort | join(" ")')" = 'box:1 localhost:5000/team/box:v2' ]
  arrow history box:1 | grep -q 'arrow import'
  [[ $(arrow history --human=false box:1 | tail -n 1) =~ \ [0-9-]{10}T[0-9:]{8}Z?.*\ [0-9]{5,}\  ]]
  [ "$(arrow history --format '{{.Size}}' -H box:1)" = "$(arrow history --format '{{.Size}}' box:1)" ]
  [ "$(arrow history --format '{{.ID}} {{.Size}}' box:1 | wc -l)" -eq "$(arrow history -q box:1 | wc -l)" ]
  # Docker's templates, and filters; of two images the second is made a second later.
  [ "$(arrow images --format '{{.Repository}}:{{.Tag}} {{.ID}}' --filter reference='localhost:5000/*/b?x')" = "localhost:5000/team/box:v2 ${id:7:12}" ]
  [ "$(arrow images --format json box:1 | jq -r '.Repository + " " + .Tag + " " + .ID')" = "box 1 ${id:7:12}" ]
  [[ $(arrow images --no-trunc --format 'table {{.ID}}\t{{.CreatedAt}}' box:1 | tail -n 1) =~ ^$id\ +[0-9-]{10}\ [0-9:]{8}\ \+0000\ UTC$ ]]
  [[ $(arrow images --digests box:1 | head -n 1) =~ ^REPOSITORY\ +TAG\ +DIGEST\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
  sleep 1
  arrow import -q -c 'LABEL kind=later' -m 'it was later' "$W/root.tar" later:1
  [ "$(arrow history --format '{{.Comment}}' later:1)" = 'it was later' ]
  [ "$(arrow images --format '{{.Repository}}' -f since=box:1 -f label=kind)" = later ]
  [ "$(arrow images --format '{{.Repository}}' -f before=later:1 -f reference=later -f reference=box)" = box ]
  [ "$(arrow images -q -f label=kind=later -f label=a=b | wc -l)" -eq 0 ]
  [ "$(arrow images -q -f dangling=true | wc -l)" -eq 0 ]
  [ "$(arrow images -q -f until=1h -f '' | wc -l)" -eq 0 ]
  [ "$(arrow images --format '{{.Repository}}' -f label=kind -f until="$(date -d '+1 hour' +%s)")" = later ]
  [ "$(arrow image inspect -f '{{.Config.User}} {{.Os}}' box:1)" = 'web linux' ]
  arrow rmi later:1
  for wrong in --filter=kind=x --filter=dangling=maybe --filter=until=later '--format={{.Colour}}' '--filter=since=none:1'; do
    run arrow images "$wrong"
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
  done
  run arrow rmi "${id:7:12}"
  [ "$status" -eq 1 ]
  [[ $output == *'several names'* ]]
  run arrow rmi localhost:5000/team/box:v2
  [ "$output" = 'Untagged: localhost:5000/team/box:v2' ]
  run arrow image inspect nothing
  [ "$status" -ne 0 ]
  [[ $output == *'no such image: nothing'* ]]
  # One that an Arrow uses stays.
  arrow tag box:1 used:1
  arrow run --name holder box:1 /bin/sleep 60 &
  wait_for 60 running
  run arrow rmi box:1
  [ "$status" -eq 0 ]
  run arrow rmi used:1
  [ "$status" -eq 1 ]
  [[ $output == *'an Arrow uses it'* ]]
  arrow tag used:1 box:1
  arrow rmi used:1
  arrow kill holder || true
  wait
  arrow rm -f holder 2>/dev/null || true
  # What a label, a command or an author says never moves the cursor of a terminal.
  arrow import -q -c $'LABEL csi=\xc2\x9b31mred' -c $'CMD ["\xc2\x9b2J"]' "$W/root.tar" csi:1
  format='{{.Config.Labels.csi}}'
  [ "$("$ARROW" image inspect -f "$format" csi:1)" = $'\xc2\x9b31mred' ]
  for command in "image inspect -f $format csi:1" "image inspect csi:1" 'history --no-trunc csi:1' "history --format {{.CreatedBy}} csi:1"; do
    script -qec "'$ARROW' $command" /dev/null </dev/null >shown
    [ -s shown ]
    run ! grep -q $'\xc2\x9b' shown
  done
  [ "$(script -qec "'$ARROW' image inspect -f $format csi:1" /dev/null </dev/null)" = $'?31mred\r' ]
  arrow rmi csi:1
}

@test "image: prune removes what nothing reaches, and nothing else" {
  echo one >root.txt
  tar -cf one.tar root.txt
  image_of pruned one.tar
  blobs=$(find "$ARROW_DATA_DIR/oci/blobs" -type f | wc -l)
  arrow rmi pruned
  [ "$(find "$ARROW_DATA_DIR/oci/blobs" -type f | wc -l)" -lt "$blobs" ]
  # With filters: only what matches.
  arrow import -q -c 'LABEL keep=1' one.tar kept:1
  arrow image prune -f --filter label=keep
  arrow image prune -a -f --filter label=keep=2
  arrow image prune -a -f --filter label=keep --filter until=1h
  [ -n "$(arrow images -q kept:1)" ]
  arrow image prune -f --filter label=keep --filter dangling=false
  [ -z "$(arrow images -q kept:1)" ]
  run -1 --separate-stderr arrow image prune -f --filter dangling=maybe
  [[ $stderr == *"--filter: invalid filter 'dangling=maybe'"* ]]
  # What killed writers leave: a part, and a blob that no name leads to.
  echo part >"$ARROW_DATA_DIR/oci/ingest/0123456789abcdef.new"
  sum=$(echo stray | sha256sum | cut -d ' ' -f 1)
  echo stray >"$ARROW_DATA_DIR/oci/blobs/sha256/$sum"
  # It asks first.
  run -0 arrow image prune <<<n
  [ -e "$ARROW_DATA_DIR/oci/blobs/sha256/$sum" ]
  run arrow image prune --filter dangling=true -f
  [ "$status" -eq 0 ]
  [[ $output == *'Total reclaimed space: '* ]]
  [ ! -e "$ARROW_DATA_DIR/oci/blobs/sha256/$sum" ]
  [ -z "$(ls "$ARROW_DATA_DIR/oci/ingest")" ]
  run arrow run box:1 /bin/echo still
  [ "$output" = still ]
}

@test "image: doctor finds a damaged blob, and removes it" {
  arrow doctor | grep -q 'image digests'
  head -c 100000 /dev/urandom >f
  tar -cf f.tar f
  image_of damaged f.tar
  blob=$(arrow image inspect damaged | jq -r '.[0].RootFS.Layers[0]' | cut -d : -f 2)
  printf x | dd of="$ARROW_DATA_DIR/oci/blobs/sha256/$blob" bs=1 seek=5000 conv=notrunc status=none
  run arrow run damaged /f
  [ "$status" -eq 125 ]
  [ "$(printf '%s\n' "$output" | wc -l)" -eq 1 ]
  arrow doctor | grep -q "the blob ${blob:0:19} is damaged"
  arrow doctor --fix | grep -q "removed the blob ${blob:0:19}"
  arrow rmi damaged
}

@test "image: skopeo reads the store, and writes into it" {
  need skopeo
  [ "$(skopeo inspect "oci:$ARROW_DATA_DIR/oci:docker.io/library/box:1" | jq -r '.Labels.a')" = b ]
  skopeo copy -q "oci:$ARROW_DATA_DIR/oci:docker.io/library/box:1" "oci:$ARROW_DATA_DIR/oci:docker.io/library/by-skopeo:1"
  run arrow run by-skopeo:1
  [ "${lines[0]}" = hello ]
  arrow rmi by-skopeo:1
}

@test "image: to podman and back, by docker archive, OCI archive and OCI layout" {
  need podman
  id=$(arrow images --no-trunc -q box:1)
  arrow save -o box.tar box:1
  pod load -q -i box.tar
  run pod_run docker.io/library/box:1
  echo "$output"
  [ "$output" = $'hello\n1234\n77\n77 88\n/srv/new' ]
  for format in docker-archive oci-archive oci-dir; do
    pod save -q --format $format -o back.$format docker.io/library/box:1
    arrow rmi box:1
    case $format in
    oci-dir) arrow import back.$format box:1 ;;
    *) arrow load -i back.$format ;;
    esac
    [ "$(arrow images --no-trunc -q box:1)" = "$id" ]
    run arrow run box:1
    [ "${lines[0]}" = hello ]
  done
  # Packed ones, and from a pipe.
  gzip -c back.docker-archive | arrow load
  zstd -qc back.oci-archive | arrow load
  arrow import "podman:docker.io/library/none-such" x 2>&1 | grep -q 'cannot get'
}

@test "image: save refuses two names that are images, and the first an Arrow" {
  arrow tag box:1 twin
  arrow create --kernel micro --name twin box:1
  run -1 --separate-stderr arrow save twin box:1
  [[ $stderr == *"'twin' is an Arrow and an image, and 'box:1' is an image"* ]]
  [ -z "$output" ]
  [ ! -e box:1 ]
  # Said clearly, it is either.
  arrow save -o both.tar twin box:1
  [ "$(tar -xOf both.tar manifest.json | jq length)" -eq 2 ]
  run arrow save twin ./box:1
  [[ $output == *'Arrow twin is not running'* ]]
  arrow rm twin
  arrow rmi twin
}

@test "image: save gives the same bytes twice, and docker's manifest.json" {
  arrow save -o one.tar box:1
  arrow save box:1 >two.tar
  cmp one.tar two.tar
  [ "$(tar -xOf one.tar manifest.json | jq -r '.[0].RepoTags[0]')" = box:1 ]
  config=$(tar -xOf one.tar manifest.json | jq -r '.[0].Config')
  [ "$(tar -xOf one.tar "$config" | sha256sum | cut -d ' ' -f 1)" = "${config##*/}" ]
  arrow export box:1 layout
  [ "$(jq -r '.manifests[0].annotations["org.opencontainers.image.ref.name"]' layout/index.json)" = docker.io/library/box:1 ]
  run arrow export box:1 layout
  [ "$status" -ne 0 ]
}

# bats test_tags=smoke
@test "image: build packs a program with its libraries, the same each time" {
  printf '#include <math.h>\n#include <stdio.h>\nint main(int c, char **v) { printf("%%s %%.0f\\n", c > 1 ? v[1] : "none", sqrt(c * 4.0)); }\n' >p.c
  cc -o prog p.c -lm
  echo old >id
  first=$(arrow build -q --iidfile id -t prog:1 --cmd default --env A=1 --port 80 --label x=y ./prog)
  [ "$(cat id)" = "$first" ]
  run -1 arrow build -q --iidfile id ./none
  [ ! -e id ]
  touch prog
  mkdir elsewhere
  cp prog elsewhere/
  second=$(arrow build -q -t prog:2 --cmd default --env A=1 --port 80 --label x=y elsewhere/prog)
  [ "$first" = "$second" ]
  [ "$(arrow images --format '{{.Digest}}' prog | sort -u | wc -l)" = 1 ]
  run arrow run prog:1
  [ "$output" = 'default 3' ]
  run arrow run prog:1 given
  [ "$output" = 'given 3' ]
  [ "$(arrow image inspect prog:1 | jq -r '.[0].Annotations["dev.arrow.kernel"]')" = micro ]
  if command -v podman >/dev/null; then
    arrow save prog:1 | pod load -q
    run pod_run docker.io/library/prog:1 other
    [ "$output" = 'other 3' ]
  fi
}

# bats test_tags=start
@test "image: a package brings its kernel and what its VM is to be" {
  local build=(arrow build -q --kernel micro --with-kernel --entrypoint /bin/sh)
  "${build[@]}" -t pack:1 -m 96m --restart on-failure:2 "$W/root"
  echo other >"$W/root/data/other"
  "${build[@]}" -t pack:2 "$W/root"
  rm "$W/root/data/other"
  "${build[@]}" -t pack:3 -m 96m --restart on-failure:2 "$W/root"
  [ "$(arrow images --format '{{.ID}}' pack | sort -u | wc -l)" -eq 2 ]
  layer=$(arrow image inspect -f '{{index .Annotations "dev.arrow.kernel.layer"}}' pack:1)
  [ "$(arrow image inspect -f '{{index .Annotations "dev.arrow.kernel.layer"}}' pack:2)" = "$layer" ]
  # It comes out of the layer, and it is what runs.
  [ ! -e "$ARROW_DATA_DIR/kernels/${layer#sha256:}" ]
  run arrow run pack:1 -c 'while read name size rest; do [ $name != MemTotal: ] || echo $((size < 100000)); done </proc/meminfo'
  [ "$output" = 1 ]
  cmp "$ARROW_DATA_DIR/kernels/${layer#sha256:}/vmlinux" "$(arrow kernel inspect micro | jq -r '.[0].path // .path')"
  arrow run -v "$PWD:/x" -m 200m --verbose pack:2 -c 'echo ran' | grep -qx ran
  arrow kernel ls --format json | jq -r '.[].state' | grep -qx image
  # Options go before it.
  id=$(arrow create pack:1)
  [ "$(arrow inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.HostConfig.Memory}}' "$id")" = 'on-failure 2 100663296' ]
  arrow rm "$id"
  id=$(arrow create -m 128m --restart no pack:1)
  [ "$(arrow inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.Memory}}' "$id")" = 'no 134217728' ]
  arrow rm "$id"
  # A folder for QEMU has the same kernel; a layer of something else is none.
  arrow export --as folder pack:1 packed
  cmp packed/vmlinux "$ARROW_DATA_DIR/kernels/${layer#sha256:}/vmlinux"
  arrow export pack:1 wrong
  python3 - <<'END'
import hashlib, json
i = json.load(open("wrong/index.json"))
path = "wrong/blobs/sha256/"
m = json.load(open(path + i["manifests"][0]["digest"][7:]))
m["annotations"]["dev.arrow.kernel.layer"] = m["layers"][1]["digest"]
text = json.dumps(m).encode()
digest = hashlib.sha256(text).hexdigest()
open(path + digest, "wb").write(text)
i["manifests"] = [{**i["manifests"][0], "digest": "sha256:" + digest, "size": len(text)}]
json.dump(i, open("wrong/index.json", "w"))
END
  arrow import wrong wrong:1
  run arrow run wrong:1 -c 'echo ran'
  [ "$status" -eq 125 ]
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == *"unexpected '"* ]]
  [ -z "$(find "$ARROW_DATA_DIR/kernels" -name '.build-*')" ]
}

@test "image: build packs a directory; an Arrowfile says the rest" {
  cp -r "$W/root" tree
  cat >Arrowfile <<'END'
# What arrow build reads where it is not told otherwise.
name: filed:1
directory: tree
entrypoint: [/bin/sh, -c]
cmd:
  - echo "$GREETING from $(pwd) as $(id -u)"
env:
  GREETING: hi
workdir: /data
user: web
ports: [80, 53/udp]
labels: {kind: test}
stop-signal: SIGINT
END
  arrow build
  run arrow run filed:1
  [ "$output" = 'hi from /data as 1234' ]
  [ "$(arrow image inspect filed:1 | jq -c '.[0].Config.ExposedPorts | keys')" = '["53/udp","80/tcp"]' ]
  arrow build -q -t filed:2 -f Arrowfile --env GREETING=over
  run arrow run filed:2
  [ "$output" = 'over from /data as 1234' ]
  printf 'directory: tree\nnonsense: 1\n' >bad
  run arrow build -f bad -t x
  [ "$status" -eq 1 ]
  [ "$output" = "arrow: bad: line 2: there is no key 'nonsense'; docs/build.md lists them" ]
}

# bats test_tags=start
@test "image: whiteouts, owners, modes, devices, xattrs and capabilities arrive in the guest" {
  [ "$(id -u)" = 0 ] || skip 'needs root to make devices'
  mkdir -p lower/bin lower/gone lower/opaque/old upper/opaque
  cp "$BUSYBOX" lower/bin/busybox
  for applet in sh cat ls stat; do ln -s busybox "lower/bin/$applet"; done
  touch lower/gone/file lower/opaque/old/file lower/owned lower/long
  chown 1000:2000 lower/owned
  chmod 4755 lower/owned
  mknod lower/null c 1 3
  mkfifo lower/fifo
  ln lower/owned lower/linked
  ln -s "$(printf %0200d 7)" lower/link
  touch upper/.wh.gone upper/opaque/.wh..wh..opq upper/opaque/new
  python3 -c 'import os; os.setxattr("lower/owned", "user.k", b"v"); os.setxattr("lower/owned", "security.capability", b"\1\0\0\2\0\40" + bytes(14))'
  # The root of the upper layer counts.
  chown 7:8 lower upper
  chmod 1751 lower upper
  tar --xattrs '--xattrs-include=*' -C lower -cf 1.tar .
  tar -C upper -cf 2.tar .
  # An image of two layers, as podman would write it.
  mkdir -p image/blobs/sha256
  python3 - <<'END'
import hashlib, json
def blob(data, kind):
    digest = hashlib.sha256(data).hexdigest()
    open("image/blobs/sha256/" + digest, "wb").write(data)
    return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(data)}
layers = [blob(open(f, "rb").read(), "layer.v1.tar") for f in ("1.tar", "2.tar")]
config = blob(json.dumps({"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/bin/sh"],
        "Volumes": {"/made/here": {}, "relative": {}, "/opaque": {}}},
    "rootfs": {"type": "layers", "diff_ids": [l["digest"] for l in layers]}}).encode(), "config.v1+json")
manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}).encode(), "manifest.v1+json")
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open("image/index.json", "w"))
open("image/oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')
END
  arrow import -q image kept
  run arrow run --privileged kept /bin/sh -c 'ls /opaque; ls /gone 2>&1; stat -c "%a %u %g %h" /owned; stat -c "%F %t %T" /null; stat -c %F /fifo; stat -c %N /link; echo x >/null && echo written'
  echo "$output"
  [ "${lines[0]}" = new ]
  [[ ${lines[1]} == *'No such file'* ]]
  [ "${lines[2]}" = '4755 1000 2000 2' ]
  [ "${lines[3]}" = 'character special file 1 3' ]
  [ "${lines[4]}" = fifo ]
  [[ ${lines[5]} == *"$(printf %0200d 7)"* ]]
  [ "${lines[6]}" = written ]
  # "/" is what the image says, and volumes that the layers lack are made, as docker does.
  run arrow run -w /work/in kept /bin/sh -c 'stat -c "%n %a %u %g" / /made /made/here /relative /opaque /work /work/in'
  echo "$output"
  [ "$output" = $'/ 1751 7 8\n/made 755 0 0\n/made/here 755 0 0\n/relative 755 0 0\n/opaque 755 0 0\n/work 755 0 0\n/work/in 755 0 0' ]
  # The same of a directory, packed or as it is.
  arrow import -q lower packed
  run arrow run packed /bin/stat -c '%a %u %g' /
  [ "$output" = '1751 7 8' ]
  run arrow run --rootfs lower /bin/stat -c '%a %u %g' /
  [ "$output" = '1751 7 8' ]
  run arrow run --rootfs lower -u 1000 /bin/stat -c '%a %u %g' /
  [ "$output" = '1751 7 8' ]
  # Linux reads the attributes that were written: getfattr is no applet, so a static program asks.
  printf '#include <stdio.h>\n#include <sys/xattr.h>\nint main(void) { char b[64]; long n = getxattr("/owned", "user.k", b, 64), m = getxattr("/owned", "security.capability", b + 8, 32); printf("%%ld %%c %%ld\\n", n, b[0], m); }\n' >x.c
  musl-gcc -static -o lower/bin/x x.c
  tar --xattrs '--xattrs-include=*' -C lower -cf x.tar .
  image_of attributes x.tar
  run arrow run attributes /bin/x
  [ "$output" = '1 v 20' ]
}

@test "image: hostile images are refused with a line, and nothing of them stays" {
  python3 - <<'END'
import io, tarfile
def tar(name, *entries):
    with tarfile.open(name, "w") as t:
        for path, kind, link, size in entries:
            i = tarfile.TarInfo(path)
            i.type, i.linkname, i.size = kind, link, size
            t.addfile(i, io.BytesIO(b"x" * size))
R, S, L = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
tar("up.tar", ("../../../../tmp/arrow-escaped", R, "", 1))
tar("hard.tar", ("h", L, "../../../../etc/passwd", 0))
tar("loop.tar", ("a", S, "b", 0), ("b", S, "a", 0), ("a/x", R, "", 1))
tar("many.tar", *[("f%d" % i, R, "", 0) for i in range(300)])
END
  arrow images -q >/dev/null
  for name in up hard loop; do
    image_of "hostile-$name" "$name.tar"
    run arrow run "hostile-$name" /x
    echo "$output"
    [ "$status" -eq 125 ]
    [ "${#lines[@]}" -eq 1 ]
  done
  [ ! -e /tmp/arrow-escaped ]
  image_of many many.tar
  ARROW_IMAGE_MAX_FILES=100 run arrow run many /x
  [ "$status" -eq 125 ]
  [[ $output == *ARROW_IMAGE_MAX_FILES* ]]
  head -c 3000000 /dev/zero >zeros
  tar -cf zeros.tar zeros
  ARROW_IMAGE_MAX_SIZE=1m run arrow import zeros.tar bomb
  [ "$status" -eq 1 ]
  [ -z "$(ls -d "$ARROW_DATA_DIR"/images/tmp-* 2>/dev/null)" ]
  # Damaged archives.
  arrow save -o whole.tar box:1
  head -c 500000 whole.tar >short.tar
  run arrow load -i short.tar
  [ "$status" -eq 1 ]
  # One bad image keeps no other out, neither of a layout nor of an archive of docker.
  printf 'one\n' >one
  tar -cf one.tar one
  arrow import -q one.tar one:1
  arrow save -o two.tar box:1 one:1
  python3 - <<'END'
import io, json, tarfile
def copy(to, keep, damage):
    with tarfile.open("two.tar") as old, tarfile.open(to, "w") as new:
        for m in old:
            data = old.extractfile(m).read() if m.isfile() else b""
            if m.name in keep:
                continue
            if m.isfile() and damage in data and m.name.startswith("blobs"):
                data = data.replace(damage, b"two\n")
            m.size = len(data)
            new.addfile(m, io.BytesIO(data))
copy("layout.tar", (), b"one\n")
copy("docker.tar", ("index.json", "oci-layout"), b"one\n")
END
  for name in layout docker; do
    ARROW_DATA_DIR=$PWD/$name run arrow load -i "$name.tar"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${lines[0]}" = 'Loaded image: box:1' ]
    [[ ${lines[1]} == "arrow: cannot load $name.tar: 1 of its 2 images is refused; image 2: "* ]]
    [ "${#lines[@]}" -eq 2 ]
    [ "$(ARROW_DATA_DIR=$PWD/$name "$ARROW" images --format '{{.Repository}}')" = box ]
  done
  echo nonsense >none.tar
  run arrow load -i none.tar
  [ "$status" -eq 1 ]
  [ "${#lines[@]}" -eq 1 ]
  [ -z "$(ls "$ARROW_DATA_DIR/oci/ingest")" ]
  # 10,000 layers.
  python3 - <<'END'
import hashlib, json, os
os.makedirs("deep/blobs/sha256")
d = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + "0" * 64, "size": 1}
m = json.dumps({"schemaVersion": 2, "config": d, "layers": [d] * 10000}).encode()
h = hashlib.sha256(m).hexdigest()
open("deep/blobs/sha256/" + h, "wb").write(m)
json.dump({"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + h, "size": len(m)}]}, open("deep/index.json", "w"))
open("deep/oci-layout", "w").write('{"imageLayoutVersion": "1.0.0"}')
END
  run arrow import deep x
  [ "$status" -eq 1 ]
  [[ $output == *'10000 layers, more than the 512 allowed'* ]]
  run arrow doctor
  [[ $output != *damaged* ]]
}

@test "image: SIGKILL of load at any moment leaves a whole store" {
  head -c 20000000 /dev/urandom >big
  tar -cf big.tar big
  arrow import -q big.tar big:1
  arrow save -o saved.tar big:1
  arrow rmi big:1
  for delay in 0.01 0.03 0.06 0.1 0.15; do
    "$ARROW" load -q -i saved.tar &
    pid=$!
    sleep $delay
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    run arrow doctor
    [[ $output != *damaged* && $output != *incomplete* ]]
    run arrow images
    [ "$status" -eq 0 ]
  done
  arrow load -q -i saved.tar
  arrow image prune -f
  [ -z "$(ls "$ARROW_DATA_DIR/oci/ingest")" ]
  arrow rmi big:1
}

@test "image: an exported folder starts with QEMU alone" {
  arrow export --as folder box:1 folder
  [ -x folder/run.sh ]
  [ -s folder/run.cmd ]
  [ -s folder/vmlinux ]
  [ -s folder/root.erofs ]
  mv folder moved
  run timeout -k 10 120 env QEMU=/usr/bin/qemu-system-x86_64 moved/run.sh </dev/null
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(tr -d '\r' <<<"$output")" = $'hello\n1234\n77\n77 88\n/srv/new' ]
  # What run.cmd says is the same command, in the words of another shell.
  sed -n 's/\r$//; s/ ^$/ \\/; s/ %\*$//; s/^qemu-system-x86_64.exe/qemu-system-x86_64/; /^qemu/,$p' moved/run.cmd >moved/cmd.sh
  (cd moved && timeout -k 10 120 sh ./cmd.sh </dev/null) >said
  [ "$(tr -d '\r' <said)" = $'hello\n1234\n77\n77 88\n/srv/new' ]
  # A program that fails says so, and input reaches it.
  arrow import -q -c 'CMD ["/bin/sh","-c","read line; echo got $line; exit 3"]' "$W/root.tar" reads
  arrow export --as folder reads reads
  run timeout -k 10 120 reads/run.sh <<<'a line'
  [[ $output == *'got a line'* ]]
  [[ $output == *'arrow: the program ended with status 3'* ]]
  run arrow export --as folder box:1 reads
  [ "$status" -eq 1 ]
  run arrow export --as folder /bin/sh elsewhere
  [ "$status" -eq 1 ]
}

@test "image: an ordinary user's root is the same, byte for byte" {
  [ "$(id -u)" = 0 ] || skip 'needs root to become another user'
  dir=$(mktemp -d /var/tmp/arrow-image.XXXXXX)
  chmod 777 "$dir"
  cp "$SOURCE/build/arrow" "$W/root.tar" "$dir/"
  chmod 644 "$dir/root.tar"
  run setpriv --reuid 65534 --regid 65534 --clear-groups env -i -C "$dir" HOME="$dir" PATH="$PATH" \
    ARROW_DATA_DIR="$dir/data" ARROW_RUN_DIR="$dir/run" \
    sh -c './arrow import -q root.tar own && timeout 120 ./arrow run own /bin/id -u'
  sum=$(sha256sum "$dir"/data/images/*.erofs | cut -d ' ' -f 1)
  rm -rf "$dir"
  echo "$output"
  [ "$output" = 0 ]
  arrow import -q "$W/root.tar" own
  arrow run own /bin/id -u
  sha256sum "$ARROW_DATA_DIR"/images/*.erofs | grep -q "^$sum"
}
