/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_TOKEN_H
#define ARROW_REGISTRY_TOKEN_H

#include "registry/session.h"

/*
 * Asks for a token, or takes up Basic, after a 401.
 *   generation: of the authorization that was refused; if it is not the newest nothing is asked
 * Errors: -EACCES (nobody is logged in, wrong credentials), -EPROTO (a realm that is not to be
 * trusted, an answer without token).
 */
int registry_authenticate(struct registry *r, struct http *h, const struct challenge *challenge,
	unsigned int generation, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
