# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# bash completion for arrow. Commands and options are asked of arrow itself, so they are always those
# of the version that is installed.

# The commands in a help text on stdin; the options; and the ways to use it, one a line: what stands
# behind [OPTION...].
_arrow_commands() { sed -n '1,/^Commands:$/d; s/^  \([a-z][a-z]*\) .*/\1/p'; }
_arrow_options() {
  sed -n 's/^ *\(-[^ ]\), \(--[a-z0-9-]*\).*/\1\n\2/p; s/^ *\(--[a-z0-9-]*\).*/\1/p' | grep -vxF -e '-?'
}
_arrow_usage() {
  awk '/^Usage:|^  or:/ { if (use) print use; use = $0; next }
    use && /^      / { use = use $0; next }
    use { print use; exit }' | sed -n 's/^.*\[OPTION\.\.\.\] *//p'
}

# Whether an option of a help text takes a value: it is written --name=VALUE.
_arrow_takes_value() {
  case $2 in
  --*=*) return 1 ;;
  --*) grep -qE -- "^ +(-., )?$2=" <<<"$1" ;;
  *) grep -qE -- "^ +-${2: -1}, --[a-z0-9-]+=" <<<"$1" ;;
  esac
}

# Arrows that there are, by name.
_arrow_names() { "$1" ps -a --format '{{.Names}}' 2>/dev/null; }

# Kernels that are there, by profile and by id.
_arrow_kernels() { "$1" kernel ls 2>/dev/null | awk 'NR > 1 { print $1; print $2 }'; }

_arrow_templates() { "$1" template ls 2>/dev/null | awk 'NR > 1 { print $1 }'; }

# Names of local images.
_arrow_images() { "$1" images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | grep -v '^<none>'; }

_arrow() {
  local arrow=${COMP_WORDS[0]} line=${COMP_LINE:0:COMP_POINT} cur='' prev='' help='' usage='' want='' subcommands='' files='' i at=2
  local -a words command

  # bash parts words at ':' and '=', as in qemu:tcg and --engine=qemu; here spaces part them.
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  cur=${words[-1]}
  [ ${#words[@]} -gt 2 ] && prev=${words[-2]}
  command=("${words[1]}")

  COMPREPLY=()
  if [ ${#words[@]} -le 2 ] || { [ "${words[1]}" = help ] && [ ${#words[@]} -eq 3 ]; }; then
    want="$("$arrow" help | _arrow_commands) --help --version"
  else
    help=$("$arrow" "${command[@]}" --help 2>/dev/null) || return 0
    if grep -qx 'Commands:' <<<"$help"; then
      at=3 subcommands=$(_arrow_commands <<<"$help")
      command+=("${words[2]}")
      [ ${#words[@]} -eq 3 ] || help=$("$arrow" "${command[@]}" --help 2>/dev/null) || return 0
      usage=$(_arrow_usage <<<"$help")
    else
      # A word in small letters is a command of it: "start|stop", "connect NETWORK ARROW".
      usage=$(_arrow_usage <<<"$help")
      subcommands=$(sed -n 's/^\([a-z|]*\)\( .*\)*$/\1/p' <<<"$usage" | tr '|' '\n')
      if [ -n "$subcommands" ]; then
        at=3
        [ ${#words[@]} -eq 3 ] || usage=$(awk -v name="${words[2]}" '$1 == name' <<<"$usage")
      fi
    fi
    # Behind the program of `arrow run`, all is the program's.
    for ((i = at; i < ${#words[@]} - 1; i++)); do
      if [[ ${words[i]} != -* ]]; then
        [[ $usage == *'[ARG...]'* ]] || continue
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return 0
      fi
      _arrow_takes_value "$help" "${words[i]}" && i=$((i + 1))
    done

    # --option=VALUE is like --option VALUE.
    if [[ $cur == --*=* ]]; then
      prev=${cur%%=*} cur=${cur#*=}
    elif [[ $prev != -* ]] || ! _arrow_takes_value "$help" "$prev"; then
      prev=
    fi
    case "$prev" in
    --format) want='table json' ;;
    --pull) want='always missing never' ;;
    --as) want='oci docker folder' ;;
    --engine) want='qemu qemu:kvm qemu:tcg' ;;
    --network) want="none user $("$arrow" network ls --format '{{.Name}}' 2>/dev/null)" ;;
    --kernel) want=$(_arrow_kernels "$arrow") ;;
    --filter | -f) want='name= label=' ;;
    --restart) want='no on-failure always unless-stopped' ;;
    --log-driver) want='json-file journald none' ;;
    --log-opt) want='max-size= max-file=' ;;
    --cap-add | --cap-drop) want=ALL ;;
    --security-opt) want=no-new-privileges ;;
    --rootfs | --from)
      mapfile -t COMPREPLY < <(compgen -d -- "$cur")
      return 0
      ;;
    '')
      if [ "$at" -eq 3 ] && [ ${#words[@]} -eq 3 ]; then
        want="$subcommands --help"
      elif [[ $cur == -* ]]; then
        want=$(_arrow_options <<<"$help")
      else
        [[ $usage != *ARROW* ]] || want=$(_arrow_names "$arrow")
        [[ $usage != *IMAGE* ]] || want+=" $(_arrow_images "$arrow")"
        [[ $usage != *NETWORK* ]] || want+=" $("$arrow" network ls --format '{{.Name}}' 2>/dev/null)"
        [[ $usage != *VOLUME* ]] || want+=" $("$arrow" volume ls -q 2>/dev/null)"
        [[ $usage != *KERNEL* ]] || want+=" $(_arrow_kernels "$arrow")"
        [[ $usage != *PROFILE* ]] || want+=' micro general'
        [[ $usage != *TEMPLATE* ]] || want+=" $(_arrow_templates "$arrow")"
        [[ ! $usage =~ PROGRAM|SOURCE|FILE|PATH|DIR ]] || files=1
      fi
      ;;
    *) files=1 ;;
    esac
  fi

  mapfile -t COMPREPLY < <(compgen -W "$want" -- "$cur"; [ -z "$files" ] || compgen -f -- "$cur")
  # What stands before a colon is a word of its own to bash, which it does not replace.
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
  fi
  [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}

complete -o filenames -F _arrow arrow
