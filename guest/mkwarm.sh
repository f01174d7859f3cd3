#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the root image of the rehearsal: mkwarm.sh PROGRAM MKUNIFORM OUTPUT. The same program gives the same
# bytes.
set -eu
program=$(realpath "$1")
output=$(realpath -m "$3")
mkuniform=$(realpath "$2")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/etc" "$dir/dev" "$dir/proc" "$dir/sys" "$dir/tmp"
install -m 0755 "$program" "$dir/rehearsal"
echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
echo 'root:x:0:' >"$dir/etc/group"
rm -f "$output"
mkfs.erofs --quiet -T0 -U 00000000-0000-0000-0000-000000000000 --all-root "$output" "$dir" >/dev/null
"$mkuniform" "$output"
