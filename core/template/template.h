/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_TEMPLATE_TEMPLATE_H
#define ARROW_CORE_TEMPLATE_TEMPLATE_H

/*
 * Templates: a VM booted once up to the loader that waits for its job, and saved. Clones of it map
 * its memory copy-on-write, so they share one kernel and boot nothing.
 *
 *   STORE/templates/<key>/ram            the guest's memory; sparse, never changed
 *   STORE/templates/<key>/state          the state of its devices
 *   STORE/templates/<key>/template.json  what it was made of, and the digests of those two
 *   STORE/templates/<key>/checked        a note that they were compared, see util/checked.h
 *
 * The key is the digest of all that a template depends on: kernel, loader, engine (its program and
 * the CPU that the guest sees), memory, vCPUs, devices, owner. When one of them changes, another
 * template is made. A folder is made beside and renamed, under STORE/templates/lock, so a half
 * made one is never seen and two starts at once make one.
 */

#include <jansson.h>

#include "core/spec/spec.h"
#include "engine/engine.h"
#include "util/note.h"

#define ARROW_TEMPLATE_UNUSED_S (24 * 60 * 60) /* then `prune` removes it */

struct arrow_template {
	char key[65];
	char *dir;
	int ram_fd, state_fd; /* owned */
	int code_fd;  /* of a saved one: translated code, see engine/engine.h. Owned; or -1 */
	bool fresh;   /* made by this call */
	bool running; /* of an Arrow that ran and was saved: it goes on where it was */
};

/*
 * Opens the template that a VM of this configuration can be cloned from, and makes it first if
 * there is none. Of vm, what the job brings (disks, shares, channels) counts only by its number.
 *   store:     the data directory
 *   kernel_id: of the kernel in vm->kernel_fd
 *   notes:     who is told before one is made, which takes seconds; or NULL
 * Errors: whatever keeps a VM from booting or a template from being written. The caller can start
 * cold instead.
 */
int arrow_template_open(struct arrow_template *t, const char *store, const char *kernel_id,
	const struct arrow_engine *engine, const struct arrow_vm_config *vm,
	const struct arrow_notes *notes, struct arrow_error *error) ARROW_MUST_CHECK;

/* Sets a template aside that a clone could not be made of, so that nobody uses it again. */
void arrow_template_discard(const char *dir);

void arrow_template_release(struct arrow_template *t);

/*
 * Lists the templates of a store: an array of objects with what template.json says, "id", "bytes"
 * (disk that its memory takes) and "used" (when an Arrow was last cloned of it).
 *   list: owned by the caller
 */
int arrow_template_list(
	const char *store, json_t **list, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes a template, by its id or a prefix of at least 8 digits. Clones that run keep what they
 * have mapped.
 * Errors: -ENOENT, -EEXIST (several begin so).
 */
int arrow_template_remove(
	const char *store, const char *id, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
