/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_TEMPLATE_JAILROOT_H
#define ARROW_CORE_TEMPLATE_JAILROOT_H

/*
 * The root that the jail of a VM's process has (engine/jail.h): a directory with copies of an
 * engine's program, its libraries and the files that it opens by itself, and places to mount
 * volumes on. One mount of it is all that a start needs, and nothing else of the host is in it.
 *
 *   STORE/jails/<key>/root   the directory; readable by every user, below one that is not
 *   STORE/jails/<key>/files  what was copied, with the identity that each file had
 *
 * The key names the program's path. When a file has changed, as by an upgrade, the root is made
 * anew; processes that run keep what they have mapped.
 */

#include "engine/engine.h"
#include "util/error.h"

/* The server of volumes, in its root. */
#define ARROW_JAIL_SERVER "/arrow-fs"

/*
 * Finds or makes the root of an engine's jail.
 *   store: the data directory
 *   dir:   its path; owned by the caller
 * Errors: the program is not there (-ENOENT), a library is missing, a full disk.
 */
int arrow_jail_root(const char *store, const struct arrow_engine *engine,
	const struct arrow_engine_settings *settings, char **dir,
	struct arrow_error *error) ARROW_MUST_CHECK;

/*
 * Finds or makes the root of the jail of an Arrow's server of volumes: the program, which is a part
 * of this one, as ARROW_JAIL_SERVER, and the places for volumes. It is STORE/jails/fs-<digest>.
 *   store: the data directory
 *   dir:   its path; owned by the caller
 */
int arrow_jail_server_root(
	const char *store, char **dir, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
