/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_REHEARSE_SHARE_H
#define ARROW_ENGINE_QEMU_REHEARSE_SHARE_H

/*
 * The server of a rehearsal's volume: directories without end, with nothing else in them. What the
 * guest asks for with a volume it has asked for once then.
 */

/*
 * Answers one request, which has begun to come. Waits for the rest of it, which the guest's device
 * sends at once. Returns 0 or a negative errno.
 */
int qemu_rehearse_share(int fd);

#endif
