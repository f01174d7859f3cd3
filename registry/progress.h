/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_REGISTRY_PROGRESS_H
#define ARROW_REGISTRY_PROGRESS_H

/*
 * What a pull or push shows of its layers: on a terminal a bar each, redrawn in place; elsewhere a
 * line whenever the state of one changes. All functions may be called from any thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "util/error.h"

struct progress;

/*
 * to: where it is shown; NULL for nowhere. Drawing on a terminal begins with progress_start().
 * Returns NULL when out of memory.
 */
struct progress *progress_new(FILE *to) ARROW_MUST_CHECK;

/*
 * Adds a layer, before progress_start(). Returns its number, or -ENOMEM.
 *   digest: "sha256:HEX", of which the first digits are shown
 *   size:   bytes
 *   state:  "Waiting"
 */
int progress_add(
	struct progress *p, const char *digest, uint64_t size, const char *state) ARROW_MUST_CHECK;

void progress_start(struct progress *p);

/* What a layer does; text is not copied and lives as long as p. */
void progress_state(struct progress *p, int layer, const char *text);

/* It has come so far: a bar is shown. */
void progress_bytes(struct progress *p, int layer, const char *doing, uint64_t bytes);

/* Draws a last time and frees it. */
void progress_end(struct progress *p);

#endif
