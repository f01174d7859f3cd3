#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The manual page of a command, from its --help: mkman.sh PAGE HELP2MAN INCLUDE VERSION ARROW [COMMAND...].
set -eu
page=$1 help2man=$2 include=$3 version=$4 arrow=$(realpath "$5")
shift 5

commands() { sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | grep -vx help; }

# The line of the command in the help of what it belongs to, and what else there is to read.
case $# in
0)
	summary='run each Linux program as its own microVM'
	also=$("$arrow" help | commands | sed 's/^/arrow-/')
	;;
1)
	summary=$("$arrow" help | sed -n "s/^  $1  *//p")
	also=arrow
	# A group lists its commands.
	also="arrow $("$arrow" "$1" --help | sed '1,/^Commands:$/d' | commands | sed "s/^/arrow-$1-/")"
	;;
*)
	summary=$("$arrow" "$1" --help | sed -n "s/^  $2  *//p")
	also="arrow arrow-$1"
	;;
esac
[ -n "$summary" ] || {
	echo "mkman.sh: 'arrow $*' is not in the list of commands" >&2
	exit 1
}

sep=
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
{
	cat "$include"
	printf '[see also]\n'
	for other in $also; do
		printf '%s.BR %s (1)' "$sep" "$other"
		sep=',
'
	done
	echo
} >"$dir/include"

# help2man runs one program and takes its name for the page's. A heading that argp indents is one.
name=$dir/$(echo "arrow $*" | sed 's/ *$//; s/ /-/g')
cat >"$name" <<END
#!/bin/sh
'$arrow' $* --help | sed 's/^ \([A-Z].*:\)\$/\1/'
END
chmod +x "$name"
"$help2man" --no-info --include="$dir/include" --name="$summary" --version-string="$version" --output="$page" "$name"
