/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_FS_CALLER_H
#define ARROW_FS_CALLER_H

#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * As whom the thread of requests acts: with the ids of the file system that the guest's program
 * has, so that what it creates belongs to it (and counts for its quota), and with our capabilities,
 * because the guest's kernel has checked the permissions already (default_permissions). An id that
 * is not mapped in our user namespace becomes our own.
 *
 * System calls are made only where something changes.
 */
struct fs_caller {
	uid_t own_uid, uid;
	gid_t own_gid, gid;
	mode_t mask;
	bool fsetid;      /* CAP_FSETID is there now */
	int death_signal; /* of prctl(2), which Linux forgets with each change of these */
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];
};

/* Notes as what we run, and keeps capabilities over changes of the ids, where that is allowed. */
void caller_init(struct fs_caller *c);

/* Acts as this user from now on. */
void caller_become(struct fs_caller *c, uid_t uid, gid_t gid);

/* Creates with this umask from now on; a default ACL of the directory replaces it. */
void caller_set_mask(struct fs_caller *c, mode_t mask);

/* Whether what changes a file leaves its set-user-id and set-group-id bits. */
void caller_keep_suid(struct fs_caller *c, bool keep);

#endif
