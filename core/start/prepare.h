/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_START_PREPARE_H
#define ARROW_CORE_START_PREPARE_H

/* What a start needs before there is a keeper: it is looked for, checked and opened. */

#include "core/spec/spec.h"
#include "package/resolve.h"
#include "core/instance/instance.h"
#include "core/job/job.h"
#include "core/snapshot/saved.h"
#include "core/template/template.h"
#include "engine/choice/choice.h"
#include "kernel/kernel.h"
#include "net/net.h"

/* All that a run holds until it is over. */
struct run {
	struct arrow_image image;
	struct arrow_kernel kernel;
	struct arrow_engine_choice choice;
	struct arrow_job job;
	char *jail_root;
	struct arrow_template template; /* ram_fd is -1 for a cold start */
	struct arrow_saved saved;       /* with spec->from */
	struct arrow_disk disk;
	struct arrow_share *shares;
	bool share_channel; /* the engine has one, see engine/engine.h */
	int *leases;        /* for each volume, see core/keeper/server.h */
	char *server_root;  /* of the jail of the volumes' server; NULL where it has none */
	bool *files;        /* for each volume, whether it is a single file */
	struct net_plan network_plan;
	struct net_attachment network;
	struct arrow_nic nics[NET_CARDS_MAX];
	struct arrow_forward *forwards; /* of a card of ARROW_NIC_USER */
	int initrd_fd, userns_fd;
	uint64_t begin_us;
};

/* Makes it one that owns nothing: run_release() is right from here on. */
void run_init(struct run *run);

/*
 * Finds all that does not depend on the Arrow's id: image, kernel, engine, volumes, the plan of its
 * network; checks limits, and says which cannot be kept here. run is zeroed, and to be released
 * after a failure, too. With spec->from the spec takes over what was saved.
 */
int run_resolve(struct run *run, const struct arrow_paths *paths, struct arrow_spec *spec,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* Makes the paths of a spec absolute: what is stored must be found from any directory. */
int run_make_absolute(struct arrow_spec *spec, struct arrow_error *error) ARROW_MUST_CHECK;

/* The template to clone from. Without one the start is cold, which is slower and no failure. */
void run_open_template(
	struct run *run, const struct arrow_paths *paths, const struct arrow_spec *spec);

/*
 * Opens what leases of its volumes are had on (core/keeper/server.h); waits until their only user
 * knows. The keeper keeps them; who starts it closes his.
 */
int run_open_leases(struct run *run, const struct arrow_paths *paths, const struct arrow_spec *spec,
	struct arrow_error *error) ARROW_MUST_CHECK;
void run_close_leases(struct run *run, const struct arrow_spec *spec);

/* Makes the network cards. */
int run_attach_network(struct run *run, const struct arrow_paths *paths,
	const struct arrow_instance *instance, const struct arrow_spec *spec,
	struct arrow_error *error) ARROW_MUST_CHECK;

/* The VM of a run; what it points to is the run's. */
struct arrow_vm_config run_vm(const struct run *run, const struct arrow_spec *spec);

void run_release(struct run *run, const struct arrow_spec *spec);

#endif
