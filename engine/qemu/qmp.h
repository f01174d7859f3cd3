/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_QEMU_QMP_H
#define ARROW_ENGINE_QEMU_QMP_H

/*
 * QEMU's machine protocol (docs/interop/qmp-spec.txt of QEMU): one JSON object a line, over a
 * socketpair. Commands are sent without waiting; what comes back is taken in by qmp_read().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QMP_LINE_MAX                                                                               \
	65536u /* bytes; QEMU's greeting and the answers that we ask for are far shorter */

struct qmp {
	int fd;
	char *line; /* QMP_LINE_MAX bytes */
	size_t used;
	uint64_t asked;    /* query-status commands sent */
	uint64_t answered; /* and answered, in order */
	bool saved;        /* the migration that was asked for is complete */
	bool saving;       /* qmp_save() was called */
	bool down;         /* the guest switched off or reset */
	bool paused;       /* STOP came, and no RESUME since */
	bool go_on;        /* what is loaded was paused, and is to run */
	char *error;       /* what QEMU refused, one line; owned */
};

/* What a migration is about: with memory in a file that both sides share, the devices only. */
enum qmp_content { QMP_DEVICES, QMP_WHOLE };

/*
 * Takes over fd, and sends what opens the session. incoming is a descriptor of QEMU's from which
 * it is to load its state, or -1. Nothing waits for an answer. Returns 0 or a negative errno.
 */
int qmp_init(struct qmp *qmp, int fd, int incoming, enum qmp_content content);

/*
 * Asks a paused VM of Arrow's own QEMU with TCG to write its translated blocks to a file, borrowed.
 * Returns 0 or a negative errno.
 */
int qmp_write_blocks(struct qmp *qmp, int fd);

/* Asks for the state to be saved to fd, which is borrowed; qmp->saved or qmp->error tells. */
int qmp_save(struct qmp *qmp, int fd, enum qmp_content content);

/* How a machine is forked; descriptors are those of QEMU. As x-arrow-fork has it (hypervisor/). */
struct qmp_fork {
	int listen, control;
	const int *sockets;
	size_t n_sockets;
	unsigned int n_disks; /* nodes d0, d1... */
	bool isolate;         /* copies get namespaces of their own */
	uid_t user;           /* and users from this one on; 0 for none */
	int blocks;           /* an empty file for its translated blocks, or -1 */
};

/* Asks for the machine to be paused for good and forked from then on. Returns 0 or a negative
 * errno. */
int qmp_fork(struct qmp *qmp, const struct qmp_fork *fork);

/* A session that is open already, in a machine that was forked. */
int qmp_take_over(struct qmp *qmp, int fd);

/* Ask for the processors to stop or to go on; qmp->paused tells. */
void qmp_stop(struct qmp *qmp);
void qmp_cont(struct qmp *qmp);

/* Asks for a guest that has a balloon to be left with so many bytes. Returns 0 or a negative errno.
 */
int qmp_balloon(struct qmp *qmp, uint64_t bytes);

/* Asks for the VM's status. A QEMU that does not read its socket loses the question only. */
void qmp_ask(struct qmp *qmp);

/* Takes in what is there. Returns 0, -EPIPE at the end, -EPROTO on what is not QMP. Never blocks.
 */
int qmp_read(struct qmp *qmp);

void qmp_release(struct qmp *qmp);

#endif
