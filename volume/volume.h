/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_VOLUME_VOLUME_H
#define ARROW_VOLUME_VOLUME_H

/*
 * Volumes by name: what `arrow volume create` and `-v NAME:/path` make.
 *
 *   DATA/volumes/<name>/volume.json   driver, labels, options, the time when it was made
 *   DATA/volumes/<name>/_data/        the files, unless its options name another directory
 *   DATA/volumes/<name>/lease         opened by each run that uses it
 *   DATA/volumes/.lock                held shared by those who start to use volumes, exclusively by
 *                                     those who remove some
 *
 * Whether one is in use is said by the configs of Arrows (core/instance/volumes.h).
 */

#include <jansson.h>
#include <stdbool.h>

#include "util/error.h"
#include "util/io.h"

#define VOLUME_DRIVER "local"
#define VOLUME_NAME_MAX 200 /* bytes */
/* As Docker: the label of a volume whose name was made up. */
#define VOLUME_ANONYMOUS "com.docker.volume.anonymous"

struct volume {
	char *name, *dir; /* dir: the absolute path of its files */
	char created[TIME_TEXT];
	json_t *labels, *options; /* objects of texts */
};

/* What is asked for; texts are those of the options, NULL where not given. */
struct volume_wish {
	const char *name;           /* NULL or "": one is made up */
	const char *const *labels;  /* KEY=VALUE, NULL-terminated */
	const char *const *options; /* the same: type=none, o=bind, device=DIR */
};

/* Letters, digits and "_.-", not one of these three first. */
bool volume_name_is_valid(const char *name) ARROW_MUST_CHECK;

/*
 * Takes the lock, and waits for it if it is held the other way. Returns the descriptor whose close
 * gives it back, or a negative errno.
 *   wait: otherwise -EWOULDBLOCK
 */
int volume_lock(
	const char *data, bool exclusive, bool wait, struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Makes a volume, or opens the one that has this name. Hold the lock.
 *   volume: released by the caller even after a failure
 * Errors: -EINVAL (an invalid name or option), -EEXIST (there is one with other options).
 */
int volume_create(struct volume *volume, const char *data, const struct volume_wish *wish,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Opens one. Errors: -ENOENT, -EBADMSG (its volume.json is damaged). */
int volume_open(struct volume *volume, const char *data, const char *name,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Opens the file on which the only user of a volume has a lease (F_SETLEASE in fcntl(2)), so that
 * it is told of the next one: this call, which waits until it has given it up.
 *   dir: of its files
 * Returns a descriptor, or a negative errno: -ENOTSUP if the files are in a directory that others
 * can use under another name, -EBUSY if the user does not answer.
 */
int volume_open_lease(const char *data, const char *name, const char *dir,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Calls each() for all of them, in the order of their names. One that is damaged is left out. */
int volume_list(const char *data,
	int (*each)(const struct volume *, void *arg, struct arrow_error *error), void *arg,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Removes one with its files; those of another directory stay. Hold the lock exclusively, and know
 * that nobody uses it.
 * Errors: -ENOENT.
 */
int volume_remove(const char *data, const char *name, struct arrow_error *error) ARROW_MUST_CHECK;

/* Whether its name was made up. */
bool volume_is_anonymous(const struct volume *volume);

/* As Docker's `volume inspect` has it. Owned by the caller. */
json_t *volume_json(const struct volume *volume);

void volume_release(struct volume *volume);

#define _cleanup_volume_ __attribute__((cleanup(volume_release)))

#endif
