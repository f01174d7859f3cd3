/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_CONTROL_CONTROL_H
#define ARROW_CORE_CONTROL_CONTROL_H

/*
 * The control socket of an Arrow, RUN/arrows/<id>/control, over which any command talks to the
 * keeper by the frames of protocol/protocol.h. Docs/protocol.md says what can be asked.
 */

#include "core/control/channel.h"
#include "core/instance/instance.h"

/* For the keeper: makes the socket. Returns it, or a negative errno. */
int control_listen(const char *run_dir, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Connects to the keeper of an Arrow; waits for one that is just starting.
 * Returns the socket. Errors: -ESRCH (it does not run), and what connect() gives.
 */
int control_connect(
	const struct arrow_instance *instance, struct arrow_error *error) ARROW_MUST_CHECK;

/* What an answer brought beside its success; owned. */
struct control_answer {
	uint8_t *data;
	size_t size;
};

/*
 * Connects, asks and waits for the answer.
 *   data, size: the payload of the request (protocol/frame.h)
 *   wait_ms:    for the answer; 0 for ever
 *   answer:     gets what came with it, or NULL
 * Errors: -ESRCH (it does not run, or ended before it could answer), what the keeper answered.
 */
int control_ask(const struct arrow_instance *instance, uint16_t request, const void *data,
	size_t size, unsigned int wait_ms, struct control_answer *answer,
	struct arrow_error *error) ARROW_MUST_CHECK;

#endif
