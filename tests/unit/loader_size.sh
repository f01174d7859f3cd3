#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A promise: what each Arrow unpacks and keeps in its memory stays small. loader_size.sh LOADER
echo 1..1
size=$(stat -c %s "$1")
[ "$size" -lt 100000 ] || printf 'not '
echo "ok 1 - the loader has $size bytes, fewer than 100000"
