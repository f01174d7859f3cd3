/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_START_USERNS_H
#define ARROW_CORE_START_USERNS_H

#include <stdint.h>
#include <sys/types.h>

#include "util/error.h"

#define ARROW_SUBUID "/etc/subuid"
#define ARROW_SUBGID "/etc/subgid"

struct arrow_id_range {
	uint32_t start, count;
};

/*
 * The first range of a user, by name or number, in the text of /etc/subuid or /etc/subgid: lines
 * of "user:start:count". A line that is not so is passed over. Returns 0 or -ENOENT.
 */
int arrow_subid_parse(const char *text, const char *user, uid_t uid,
	struct arrow_id_range *range) ARROW_MUST_CHECK;

/*
 * The first id after all ranges of such a text that a new range of count ids can begin at, 100000
 * or more, as useradd chooses it; 0 if there is none.
 */
uint32_t arrow_subid_free(const char *text, uint32_t count);

/* The first range of the caller, from the file. Returns 0, -ENOENT, or what reading the file gave.
 */
int arrow_subid_find(const char *path, struct arrow_id_range *range) ARROW_MUST_CHECK;

/*
 * A user namespace for an ordinary user's volumes and root directories, as rootless Podman has
 * it: the user is root in it, and the ids from 1 on are those of /etc/subuid and /etc/subgid, where
 * the user has any. Where not, only the user's own id can be given to files.
 *   fd: gets the namespace, owned by the caller; -1 for root, who needs none
 */
int arrow_userns_create(int *fd, struct arrow_error *error) ARROW_MUST_CHECK;

#endif
