/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_UPKEEP_USAGE_H
#define ARROW_CORE_UPKEEP_USAGE_H

#include <jansson.h>

#include "util/error.h"
#include "util/paths.h"

/* The kinds of things that take disk. */
enum arrow_usage_kind {
	ARROW_USAGE_IMAGES,    /* container images: their layers, which several may share */
	ARROW_USAGE_ARROWS,    /* the folders of Arrows, with their logs */
	ARROW_USAGE_ROOTS,     /* root images: what images, programs and directories were made to */
	ARROW_USAGE_TEMPLATES, /* VMs that Arrows are cloned from */
	ARROW_USAGE_KERNELS,
	ARROW_USAGE_VOLUMES,
	ARROW_USAGE_KINDS,
};

struct arrow_usage {
	/*
	 * Objects: "id", "name" (or ""), "size" (bytes of disk), "created" (RFC 3339, or "") and
	 * "active": whether it is in use; of images by how many Arrows ("users").
	 */
	json_t *rows;                         /* owned */
	unsigned long long size, reclaimable; /* bytes of all, and of those that nobody uses */
};

/*
 * What the store of a data directory takes on disk. Of kernels those of this store alone.
 * usage gets one of each kind; release it in any case.
 */
int arrow_usage_look(const struct arrow_paths *paths, struct arrow_usage usage[ARROW_USAGE_KINDS],
	struct arrow_error *error) ARROW_MUST_CHECK;

void arrow_usage_release(struct arrow_usage usage[ARROW_USAGE_KINDS]);

/* Bytes of disk that a file takes, or all that is in a directory. 0 for what is not there. */
unsigned long long arrow_disk_bytes(int dir_fd, const char *path);

#endif
