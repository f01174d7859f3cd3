/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_JAIL_H
#define ARROW_ENGINE_JAIL_H

/*
 * The jail of a process that holds a VM, and of one that serves an Arrow's volumes. What is in it
 * can reach the descriptors that it was given, the files of its root, which are read-only, and its
 * volumes: nothing else.
 *
 *   fork    new namespaces: processes, mounts, network, IPC, host name, cgroups, and for an
 *           ordinary user the users
 *   enter   root   the prepared directory becomes the root, with /proc/self of this process alone
 *           user   root becomes a user of its own: the id is base + process id, so no two living
 *                  processes share one; every capability goes, but those that volumes need
 *           files  what it may only read is on a read-only mount, so it cannot be reopened
 *           filter the system calls that a VM needs, and no others
 *
 * What namespaces cannot be had (an ordinary user on a host that forbids user namespaces) is left
 * out; the filter, the empty capabilities and no_new_privs are always there. docs/security.md says
 * what that means.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/error.h"

/* The first of the ids for jails, outside of all that systemd, Docker and useradd give out. */
#define ARROW_JAIL_UID_BASE 0x70000000u
#define ARROW_JAIL_UID_COUNT 0x00400000u /* as many as there can be processes */

/* In a jail's root: a directory of places to mount volumes on, of either kind. */
#define ARROW_JAIL_MOUNTS 24u
#define ARROW_JAIL_VOLUMES "/volumes"
#define ARROW_JAIL_DIR ARROW_JAIL_VOLUMES "/%u"
#define ARROW_JAIL_FILE ARROW_JAIL_VOLUMES "/f%u"

/* A directory or file of the host that is mounted into the jail. */
struct arrow_jail_mount {
	int fd; /* borrowed; O_PATH */
	bool read_only;
	bool file; /* a single file: it becomes ARROW_JAIL_FILE, else ARROW_JAIL_DIR */
};

struct arrow_jail {
	const char *root; /* directory made by arrow_jail_root(); borrowed */
	const struct arrow_jail_mount *mounts;
	unsigned int n_mounts; /* ARROW_JAIL_MOUNTS at most; number n is at the path of n */
	int userns_fd;         /* user namespace whose ids the volumes have, or -1 */
	bool kvm;              /* /dev/kvm is there */
	/*
	 * It serves the mounts to a guest and has no VM: its working directory is
	 * ARROW_JAIL_VOLUMES; it may act as any user, and keeps the other capabilities when it
	 * does.
	 */
	bool serves;
	const struct arrow_vm_limits *limits; /* of engine/engine.h, or NULL */
	/*
	 * It makes processes like itself, which may outlive it: so there is no namespace of
	 * processes. It keeps the capabilities to give each of them namespaces and a user of its
	 * own; they lose all, and enter a filter of their own on top.
	 */
	bool forks;
	unsigned long uid_base; /* of its user, see arrow_jail_uid_base() */
	bool network;           /* keeps the network of the caller, and its /etc/resolv.conf */

	/*
	 * Open files of the host that are only to be read: each becomes one that cannot be opened
	 * again for writing either, under the same number.
	 */
	int *read_only;
	unsigned int n_read_only;
	/*
	 * A file that is opened for writing and only mapped private: the keeper answers the call
	 * (arrow_jail_answer(), jail_ram.h) with a descriptor for reading. -1 for none.
	 */
	int ram_fd;
	int ram_socket; /* to the keeper, if there is one */
	int write_fd;   /* a file that it may open again and write: it becomes its own; or -1 */

	/* Set by arrow_jail_fork(). */
	bool namespaces; /* there are any */
	bool own_users;  /* made with a user namespace of its own, which it has to map */
	uid_t uid;       /* of the caller */
	gid_t gid;
};

/*
 * As fork(), but the child begins in the namespaces of its jail. It is a child of the caller, in
 * whose process ids the result is told.
 * Returns the process id, 0 in the child, or a negative errno.
 */
pid_t arrow_jail_fork(struct arrow_jail *jail);

/*
 * In the child, once it needs nothing more of the host: enters the jail for good, so that what is
 * left is to make descriptors inheritable and to execute a program of the jail's root. Every
 * descriptor above 2 is closed on exec from here on.
 *   keeper: pidfd of the process that it may not outlive
 *   what:   gets what could not be done, for a message
 * Returns 0 or a negative errno.
 */
int arrow_jail_enter(const struct arrow_jail *jail, int keeper, const char **what) ARROW_MUST_CHECK;

/*
 * What a jail would have here, found by making one: namespaces, and a user of its own. Neither,
 * where even the process cannot be made.
 */
void arrow_jail_probe(bool *namespaces, bool *own_user);

/*
 * The first user id of jails, as asked for; ARROW_JAIL_UID_BASE where that could be the id of a
 * person, or leaves fewer than ARROW_JAIL_UID_COUNT ids on top.
 */
uid_t arrow_jail_uid_base(unsigned long asked);

#endif
