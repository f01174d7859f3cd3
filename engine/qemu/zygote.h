/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_ZYGOTE_H
#define ARROW_ENGINE_QEMU_ZYGOTE_H

/*
 * The zygote of a template, for TCG: a clone that has rehearsed a job, so that its translation of
 * the guest's code is warm, and that was paused then. It forks the Arrows of its template; Arrow's
 * own QEMU can do that (hypervisor/, softmmu/arrow-fork.c). docs/templates.md tells the whole.
 *
 *   TEMPLATE/zygote       its socket, there once it can fork
 *   TEMPLATE/zygote.lock  held as long as it lives, so there is one
 *   TEMPLATE/zygote.log   what its QEMU says
 *   TEMPLATE/zygote.crashes   a byte for each of its forks that died by itself
 *
 * Where the template has no file of translated blocks yet, this QEMU writes it, also for those of
 * its clones that cannot be forked; a zygote for nothing but that ends with it.
 *
 * Two processes: QEMU, and the one that started it, made it ready and ends it: when nobody asked
 * for a while, after many forks or a few that died by themselves, when memory is short, when the
 * template is gone. The forked ones are children of
 * that QEMU by the kernel's books only: each lives as long as its keeper's connection.
 */

#include "engine/engine.h"
#include "engine/qemu/program.h"

/* The name by which the program of this process is executed to become one. */
#define QEMU_ZYGOTE_NAME "arrow-zygote"

/* Numbers of QEMU's descriptors in a zygote; those of a keeper are below. */
enum {
	QEMU_ZYGOTE_QMP = 200,
	QEMU_ZYGOTE_CHANNEL,
	QEMU_ZYGOTE_CONSOLE,
	QEMU_ZYGOTE_SHARE,
	QEMU_ZYGOTE_LISTEN,
	QEMU_ZYGOTE_CONTROL,
	QEMU_ZYGOTE_BLOCKS,     /* to map; see blocks.h */
	QEMU_ZYGOTE_NEW_BLOCKS, /* to write */
	QEMU_ZYGOTE_DISK = 210,
	QEMU_ZYGOTE_NIC = 220,
	QEMU_ZYGOTE_END = 230,
};
#define QEMU_ZYGOTE_DISKS 8u
#define QEMU_ZYGOTE_NICS 8u

/* Whether a VM of this configuration can be forked: one without QEMU's own network. */
bool qemu_zygote_suits(const struct qemu_program *program, const struct arrow_vm_config *config);

/* What an Arrow brings: the ends of its sockets that are QEMU's. */
struct qemu_zygote_request {
	const char *name; /* for the process title */
	int stderr_fd, qmp_fd;
};

/*
 * Has the zygote of config->cache_dir fork a VM with the descriptors of request and config.
 *   pidfd: of the process, owned by the caller
 *   tie:   owned by the caller: as long as it is open, the process lives
 * Returns 0, or a negative errno: -ENOENT or -ECONNREFUSED where there is no zygote.
 */
int qemu_zygote_fork(const struct arrow_vm_config *config,
	const struct qemu_zygote_request *request, int *pidfd, int *tie) ARROW_MUST_CHECK;

/*
 * Asks over a connection for a fork with these descriptors, which runs once it gets a byte. Returns
 * a pidfd of it or a negative errno.
 */
int qemu_zygote_ask(int fd, const char *name, const int *fds, size_t n);

/* The process id behind a pidfd, by the numbers of this process; 0 if it is gone. */
pid_t qemu_zygote_pid(int pidfd);

/*
 * A fork of the zygote in dir died by no wish of its guest: it may have tried out addresses, which
 * all forks of one zygote have in common. After a few the zygote serves nobody any more, and ends.
 */
void qemu_zygote_note_crash(const char *dir);

/*
 * Starts the zygote of config->cache_dir in the background, if nobody has done so. Failing is no
 * error: clones are started one by one then.
 *   forks: whether it is to serve, or only to write the file of blocks
 */
void qemu_zygote_begin(
	const struct qemu_program *program, const struct arrow_vm_config *config, bool forks);

/* The process that holds a zygote. Returns its exit status. */
int qemu_zygote_main(int argc, char **argv);

#endif
