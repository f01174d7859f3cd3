#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Packs the loader as /init of an initramfs: mkinitramfs.sh LOADER OUTPUT. The same loader gives the
# same bytes.
set -eu
loader=$(realpath "$1")
output=$(realpath -m "$2")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
install -m 0755 "$loader" "$dir/init"
touch -d @0 "$dir/init" "$dir"
cd "$dir"
echo init | cpio --quiet -o -H newc --reproducible --owner=0:0 >"$output"
