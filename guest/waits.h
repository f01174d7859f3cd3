/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_WAITS_H
#define ARROW_GUEST_WAITS_H

/*
 * Whoever waits for a lock on a share waits in the kernel, which does not tell the host's server
 * of signals: a program that is killed would stay until the lock is free. So the server has a file
 * in the share, ".arrow-waits": reading it waits until somebody waits for a lock, and gives a line
 * "NUMBER PID\n" for each; writing "NUMBER\n" ends that wait with EINTR.
 */

/*
 * Starts a thread that ends the waits of those who have a signal. Of the loader, so that no program
 * sees it as a process or can end it.
 *   dir: where the share is mounted; one whose server has no such file is left alone
 */
void waits_watch(const char *dir);

#endif
