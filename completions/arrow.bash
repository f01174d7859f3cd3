# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# bash completion for arrow. Commands and options are asked of arrow itself, so they are always those
# of the version that is installed.

# The commands in a help text on stdin, and the options.
_arrow_commands() { sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'; }
_arrow_options() {
  sed -n 's/^ *\(-[^ ]\), \(--[a-z0-9-]*\).*/\1\n\2/p; s/^ *\(--[a-z0-9-]*\).*/\1/p' | grep -vxF -e '-?'
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

# Names of local images.
_arrow_images() { "$1" images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | grep -v '^<none>'; }

_arrow() {
  local arrow=${COMP_WORDS[0]} line=${COMP_LINE:0:COMP_POINT} cur='' prev='' help='' want='' i at=2
  local -a words command

  # bash parts words at ':' and '=', as in qemu:tcg and --engine=qemu; here spaces part them.
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  cur=${words[-1]}
  [ ${#words[@]} -gt 2 ] && prev=${words[-2]}
  command=("${words[1]}")
  if [[ ${words[1]} == kernel || ${words[1]} == image ]] && [ ${#words[@]} -gt 3 ]; then
    command+=("${words[2]}")
    at=3
  fi

  COMPREPLY=()
  if [ ${#words[@]} -le 2 ] || { [ "${words[1]}" = help ] && [ ${#words[@]} -eq 3 ]; }; then
    want="$("$arrow" help | _arrow_commands) --help --version"
  elif [ "${words[1]}" = kernel ] && [ ${#words[@]} -eq 3 ]; then
    want="$("$arrow" kernel --help | _arrow_commands) --help"
  elif [ "${words[1]}" = image ] && [ ${#words[@]} -eq 3 ]; then
    want="$("$arrow" image --help | _arrow_commands) --help"
  elif [ "${words[1]}" = template ] && [ ${#words[@]} -eq 3 ]; then
    want='ls inspect rm prune --help'
  elif [ "${words[1]}" = network ] && [ ${#words[@]} -eq 3 ]; then
    want='create ls inspect connect disconnect rm prune --help'
  else
    help=$("$arrow" "${command[@]}" --help 2>/dev/null) || return 0
    # Behind the program of `arrow run`, all is the program's.
    for ((i = at; i < ${#words[@]} - 1; i++)); do
      if [[ ${words[i]} != -* ]]; then
        [[ ' run create exec cp ' = *" ${words[1]} "* ]] || continue
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
    --network) want="none user $("$arrow" network ls -q 2>/dev/null)" ;;
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
      if [[ $cur == -* ]]; then
        want=$(_arrow_options <<<"$help")
      elif [[ ' start stop restart kill attach wait rename rm logs exec top stats diff update ' = *" ${words[1]} "* ]]; then
        want=$(_arrow_names "$arrow")
      elif [[ ' images rmi tag history save export push ' = *" ${words[1]} "* ]]; then
        want=$(_arrow_images "$arrow")
      elif [ "${words[1]}" = image ]; then
        [[ ' build import load ' = *" ${words[2]} "* ]] || want=$(_arrow_images "$arrow")
      elif [ "${words[1]}" = network ]; then
        case ${words[2]} in
        inspect | rm) want=$("$arrow" network ls -q 2>/dev/null) ;;
        connect | disconnect) want="$("$arrow" network ls -q 2>/dev/null) $(_arrow_names "$arrow")" ;;
        esac
      elif [ "${words[1]}" = boot ]; then
        want='start stop'
      elif [ "${words[1]}" = system ]; then
        want='df prune events info'
      elif [ "${words[1]}" = container ]; then
        want='prune ls'
      elif [ "${command[*]}" = 'kernel build' ]; then
        want='micro general'
      elif [ "$at" -eq 3 ]; then
        want=$(_arrow_kernels "$arrow")
      fi
      ;;
    esac
    if [ -z "$want" ]; then
      # Only what takes files: programs and values of options.
      if [[ -n $prev || ' run create cp build import load ' = *" ${words[1]} "* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        [[ -n $prev || ' run create ' != *" ${words[1]} "* || $cur == [./]* ]] ||
          mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "$(_arrow_images "$arrow")" -- "$cur")
      fi
      return 0
    fi
  fi

  mapfile -t COMPREPLY < <(compgen -W "$want" -- "$cur")
  # What stands before a colon is a word of its own to bash, which it does not replace.
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
  fi
  [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}

complete -o filenames -F _arrow arrow
