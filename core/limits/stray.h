/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_LIMITS_STRAY_H
#define ARROW_CORE_LIMITS_STRAY_H

/*
 * A VM's process that outlived its keeper. QEMU dies with its keeper, but one that a guest has
 * taken over could have let go of what ties it: a fork of a zygote closes a descriptor for that. So
 * the keeper notes which process it is, and whoever cleans up after the keeper ends that process.
 */

#include <sys/types.h>

#include "util/error.h"

/*
 * Writes to a file which process holds the VM: its id, and when it began, which together no other
 * process has. One that is gone already is noted as none. Returns 0 or a negative errno.
 */
int arrow_stray_note(const char *path, pid_t pid) ARROW_MUST_CHECK;

/*
 * Kills the process that a file names, if it still lives, and waits for its end, for 10 s at most.
 * Fine where there is no such file.
 */
void arrow_stray_kill(int dir_fd, const char *path);

#endif
