/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_STREAM_H
#define ARROW_GUEST_STREAM_H

/* The streams of all processes, between their pipes and the channel. */

#include "guest/loader.h"

/* A process that is in use, or NULL. The number may be anything. */
struct process *stream_process(struct loader *loader, uint32_t number);

/* From now on the program's stdin is taken, which may come before there is a program. 0 or -errno.
 */
int stream_expect(struct loader *loader);

/* Has the loop watch the streams of a process. Returns 0 or -errno. */
int stream_watch(struct loader *loader, uint32_t number);
void stream_ready(struct loader *loader, uint16_t stream, uint32_t events);

/* Takes what the host sends; control frames go to loader->take_control. */
struct channel_sink stream_sink(struct loader *loader);

/* Moves what can be moved. True if anything did. */
bool stream_pump(struct loader *loader);

/* A terminal tells unreliably when it takes input again. True if one is worth another try. */
bool stream_retry(struct loader *loader);

/* The process is gone: its stdin is void, and of its output only what is left. */
void stream_process_ended(struct process *process);

/* True when all output, with its end, is in the queue. */
bool stream_drained(const struct loader *loader);

/* A restored Arrow: the streams of a process begin anew, with another host. */
void stream_rebind(struct loader *loader, uint32_t number, const struct job *job);

/* Gives up on output that does not end. */
void stream_abandon(struct loader *loader);

#endif
