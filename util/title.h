/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_UTIL_TITLE_H
#define ARROW_UTIL_TITLE_H

/*
 * Names a process that was forked and is going to live: its threads show as `name`, and its command
 * line, which everybody may read and which holds the options of the command that it was forked
 * from, is overwritten with "name detail". Nothing may point into the arguments of main() any more.
 *   name: at most 15 bytes are shown
 *   detail: or NULL
 */
void title_set(const char *name, const char *detail);

#endif
