/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_KEEPER_H
#define ARROW_CORE_KEEPER_KEEPER_H

/*
 * The keeper: one process an Arrow. It owns the VM, hands it its job, passes frames between the
 * guest and the commands that are connected, keeps the log, says how the Arrow ended, and starts it
 * again where its restart policy says so. One thread, one poll loop, bounded buffers.
 *
 *   booting   the VM starts; the loader has not said READY. A clone is past this when it is born:
 *             its loader waited for the job already.
 *   handing   the job goes to the loader.
 *   running   frames pass both ways.
 *   ending    the program has EXITED (or FAILED); its last output and DONE are awaited.
 *             A clone that does not get here sets its template aside, and a cold VM takes its
 *             place.
 *   over      the VM is stopped. Then either
 *   waiting   until the restart policy starts the next VM, or
 *             the end: the state is written, the commands are told.
 *
 * An Arrow that runs in the foreground ends with its client, unless that one said DETACH.
 */

#include "core/instance/instance.h"
#include "core/job/job.h"
#include "core/keeper/server.h"
#include "core/template/template.h"
#include "engine/engine.h"
#include "net/net.h"

struct keeper_config {
	struct arrow_instance *instance; /* taken over; its lock is held */
	const struct arrow_paths *paths;
	struct arrow_spec *spec;
	const struct arrow_engine *engine;
	struct arrow_vm_config *vm;         /* its sockets are the keeper's to fill in */
	bool share_channel;                 /* the engine has one: as in engine/engine.h */
	const struct server_config *server; /* of volumes, but for the limits; NULL: no volumes */
	struct arrow_template *template; /* what the VM is cloned from, or NULL for a cold start */
	struct arrow_job *job;
	struct net_attachment *network; /* taken over */
	int client_fd;                  /* of the command that starts it; taken over */
	unsigned int streams; /* bit n: that command takes part in fd n from the beginning */
	bool bound;           /* the Arrow ends when that command is gone */
	uint64_t begin_us;    /* when the command began, by now_us() */
};

/* Runs the keeper in this process, which was forked for it, to its end. Never returns. */
void keeper_main(const struct keeper_config *config) __attribute__((noreturn));

#endif
