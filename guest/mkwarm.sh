#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the root image of the rehearsal: mkwarm.sh MKUNIFORM OUTPUT PROGRAM... The same programs give
# the same bytes.
set -eu
mkuniform=$(realpath "$1")
output=$(realpath -m "$2")
shift 2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/etc" "$dir/dev" "$dir/proc" "$dir/sys" "$dir/tmp"
install -m 0755 "$@" "$dir/"
echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
echo 'root:x:0:' >"$dir/etc/group"
rm -f "$output"
mkfs.erofs --quiet -T0 -U 00000000-0000-0000-0000-000000000000 --all-root "$output" "$dir" >/dev/null
"$mkuniform" "$output"
