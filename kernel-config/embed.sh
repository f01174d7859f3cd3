#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the files as a C table, so that arrow needs no source tree: embed.sh FILE... >OUTPUT
set -eu
echo '#include "kernel/config.h"'
echo 'const struct kernel_config_file kernel_config_files[] = {'
for file; do
	printf '\t{"%s",\n' "${file##*/}"
	sed 's/[\\"]/\\&/g; s/.*/\t\t"&\\n"/' "$file"
	printf '\t},\n'
done
printf '\t{NULL, NULL},\n};\n'
