/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_KEEPER_H
#define ARROW_CORE_KEEPER_H

/*
 * The keeper: one process an Arrow. It owns the VM, hands it its job, passes frames between guest
 * and client, and tells the client how it ended. One thread, one poll loop, bounded buffers.
 *
 *   booting   the VM starts; the loader has not said READY. The client is not read. A clone is
 *             past this when it is born: its loader waited for the job already.
 *   handing   the job goes to the loader.
 *   running   frames pass both ways.
 *   ending    the program has EXITED (or FAILED); its last output and DONE are awaited.
 *             A clone that does not get here sets its template aside, and a cold VM takes its
 * place. over      the VM is stopped, the state on disk removed, the client told.
 *
 * An Arrow that runs in the foreground ends with its client.
 */

#include "core/instance.h"
#include "core/job.h"
#include "core/template.h"
#include "engine/engine.h"

struct keeper_config {
	struct arrow_instance *instance; /* taken over */
	const struct arrow_spec *spec;
	struct arrow_instance_facts facts;
	const struct arrow_engine *engine;
	struct arrow_vm_config *vm;      /* channel_fd and console_fd are the keeper's to fill in */
	struct arrow_template *template; /* what the VM is cloned from, or NULL for a cold start */
	struct arrow_job *job;
	struct net_attachment *network; /* taken over */
	int client_fd;     /* taken over */
	uint64_t begin_us; /* when the command began, by now_us() */
};

/* Runs the keeper in this process, which was forked for it, to its end. Never returns. */
void keeper_main(const struct keeper_config *config) __attribute__((noreturn));

#endif
