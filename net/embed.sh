#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# rules.nft as a header: its text without comments, and how many rules each table has.
set -eu
printf '/* Made of rules.nft. */\n#define NET_RULES_INET %su\n#define NET_RULES_BRIDGE %su\n' \
	"$(grep -c '^add rule inet ' "$1")" "$(grep -c '^add rule bridge ' "$1")"
echo 'static const char net_rules_text[] ='
sed -e '/^#/d; /^$/d; s/"/\\"/g; s/.*/\t"&\\n"/' "$1"
echo '	"";'
